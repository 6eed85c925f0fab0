import { SentioError } from "./errors.js";

// Fields of the tables of TFLite's schema, by their number.
const MODEL = { buffers: 4, metadata: 6 };
const METADATA = { name: 0, buffer: 1 };
const BUFFER = { data: 0 };

/**
 * A metadata entry of a `.tflite`, as bytes.
 *
 * @param {ArrayBuffer} file the whole model.
 * @param {string} name of the entry.
 * @returns {Uint8Array | null} null if there is no such entry.
 * @throws {SentioError} for a file that is no TFLite model, or is cut short.
 */
export function readMetadata(file, name) {
  const view = new DataView(file);
  if (file.byteLength < 8 || ascii(view, 4, 4) !== "TFL3") {
    throw new SentioError("expected a TFLite model, received a file that is none; choose a .tflite of sentio-tf export");
  }
  try {
    const model = indirect(view, 0);
    const entries = vector(view, model, MODEL.metadata);
    for (let i = 0; i < entries.length; i++) {
      const entry = indirect(view, entries.start + 4 * i);
      const label = vector(view, entry, METADATA.name);
      if (ascii(view, label.start, label.length) !== name) continue;
      const index = field(view, entry, METADATA.buffer);
      const buffers = vector(view, model, MODEL.buffers);
      const buffer = indirect(view, buffers.start + 4 * (index ? view.getUint32(index, true) : 0));
      const data = vector(view, buffer, BUFFER.data);
      return new Uint8Array(file, data.start, data.length);
    }
    return null;
  } catch (error) {
    if (error instanceof RangeError) {
      throw new SentioError("the TFLite model is cut short or damaged; get it again");
    }
    throw error;
  }
}

const indirect = (view, at) => at + view.getUint32(at, true);

/** Place of a field of the table at `table`, 0 if it is absent. */
function field(view, table, number) {
  const layout = table - view.getInt32(table, true);
  const entry = 4 + 2 * number;
  if (entry >= view.getUint16(layout, true)) return 0;
  const offset = view.getUint16(layout + entry, true);
  return offset ? table + offset : 0;
}

function vector(view, table, number) {
  const at = field(view, table, number);
  if (!at) return { start: 0, length: 0 };
  const place = indirect(view, at);
  return { start: place + 4, length: view.getUint32(place, true) };
}

function ascii(view, start, length) {
  let text = "";
  for (let i = 0; i < length; i++) text += String.fromCharCode(view.getUint8(start + i));
  return text;
}
