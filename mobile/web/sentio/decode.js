import { SentioError } from "./errors.js";
import { gapless } from "./gapless.js";

const BLOCK = 1 << 16; // samples handed on at a time, at least
const READABLE = "a sound file such as wav, mp3, flac, ogg, m4a or webm";

/**
 * A file's first sound track: `{sampleRate, channels, durationS, streams, blocks(), close()}`.
 *
 * The rate is the file's own.  `blocks()` yields one Float32Array a channel, about `BLOCK` samples long, decoded one after
 * the other, so that an hour takes no more memory than a minute.  `durationS` is null where the file does not say it.
 *
 * @param {Blob} file
 * @param {object} mediabunny the module of that name, which reads the containers; WebCodecs decodes.
 * @throws {SentioError} for what is no sound, is protected, or is in a code that the browser does not know; of `needsContext`
 *   where it has no WebCodecs, with the file's `sampleRate`: `decodeAtOnce` is what remains there.
 */
export async function open(file, mediabunny) {
  const { ADTS, BlobSource, FLAC, Input, MATROSKA, MP3, MP4, OGG, QTFF, WAVE, WEBM } = mediabunny;
  // By name and not "all": a playlist among them would go and fetch.
  const formats = [WAVE, MP3, OGG, FLAC, MP4, QTFF, WEBM, MATROSKA, ADTS].filter(Boolean);
  const input = new Input({ formats, source: new BlobSource(file) });
  try {
    const track = await understood(input, () => input.getPrimaryAudioTrack());
    if (!track) throw new SentioError(`${named(file)}holds no sound; choose another file`);
    const codec = await understood(input, () => track.getCodec());
    // FairPlay's name of a sample, and that of the common encryption.
    if (/^(drms|enca)$/i.test(String(await track.getInternalCodecId()))) {
      throw new SentioError(`${named(file)}is protected, and only its seller's program may play it; choose a file without protection`);
    }
    if (!codec) throw new SentioError(`${named(file)}is in a code that is not known; convert it to wav or mp3`);
    const sampleRate = await track.getSampleRate();
    if (!(await track.canDecode())) {
      const error = new SentioError(`${named(file)}holds ${codec}, which this browser does not decode; try another browser or mp3`);
      if (typeof AudioDecoder === "undefined") Object.assign(error, { needsContext: true, sampleRate });
      throw error;
    }
    const durationS = await track.getDurationFromMetadata().catch(() => null);
    const span = await soundOf(await input.getFormat(), mediabunny, track, sampleRate, file);
    return {
      sampleRate,
      channels: await track.getNumberOfChannels(),
      durationS,
      streams: (await input.getAudioTracks()).length,
      blocks: () => blocks(track, sampleRate, span, mediabunny, file),
      close: () => input.dispose(),
    };
  } catch (error) {
    input.dispose();
    throw error;
  }

  async function understood(of, ask) {
    try {
      if (!(await of.canRead())) throw new SentioError(`${named(file)}expected ${READABLE}, received another kind of file`);
      return await ask();
    } catch (error) {
      if (error instanceof SentioError) throw error;
      throw new SentioError(`${named(file)}cannot be read (${said(error)}); expected ${READABLE}`);
    }
  }
}

/** Which decoded samples are sound: codecs fill their first and last blocks, and their containers say by how much. */
async function soundOf(format, mediabunny, track, sampleRate, file) {
  if (format === mediabunny.MP3) return await gapless(file);
  if (format !== mediabunny.OGG) return { skip: 0, samples: Infinity };
  // An Ogg page counts samples; the last one's number is where the sound ends.
  const end = Math.round((await track.computeDuration()) * sampleRate);
  return { skip: 0, samples: end - (await uncounted(mediabunny, track, sampleRate)) };
}

/** Samples of Opus' run-in that the pages count as sound: none, but where FFmpeg has written them. */
async function uncounted({ EncodedPacketSink }, track, sampleRate) {
  if ((await track.getCodec()) !== "opus") return 0;
  const { description } = await track.getDecoderConfig();
  const header = ArrayBuffer.isView(description) ? description.buffer.slice(description.byteOffset) : description;
  if (!(header?.byteLength >= 12)) return 0;
  const runIn = new DataView(header).getUint16(10, true);
  const packets = new EncodedPacketSink(track);
  const first = await packets.getFirstPacket();
  const second = first && (await packets.getNextPacket(first));
  const counted = second ? Math.round((second.duration - first.duration) * sampleRate) : runIn;
  return Math.max(0, runIn - Math.max(0, counted));
}

async function* blocks(track, sampleRate, span, { AudioSampleSink }, file) {
  let parts = [];
  let length = 0;
  let { skip: ahead, samples: left } = span;
  let heard = false;
  try {
    for await (const sample of new AudioSampleSink(track).samples()) {
      try {
        if (sample.sampleRate !== sampleRate) {
          throw new SentioError(
            `${named(file)}changes its sample rate from ${sampleRate} to ${sample.sampleRate} Hz midway; convert it to wav first`,
          );
        }
        // What lies before the time zero is the encoder's run-in, too.
        const early = Math.max(0, Math.round(-sample.timestamp * sampleRate));
        const skip = Math.min(sample.numberOfFrames, early + ahead);
        ahead -= Math.max(0, skip - early);
        const count = Math.min(sample.numberOfFrames - skip, left);
        if (count > 0) {
          parts.push(planes(sample, skip, count));
          length += count;
          left -= count;
        }
      } finally {
        sample.close();
      }
      if (length >= BLOCK) {
        heard = true;
        yield joined(parts, length);
        parts = [];
        length = 0;
      }
    }
  } catch (error) {
    if (error instanceof SentioError) throw error;
    // What was decoded before the damage is still sound, as `sentio-tf predict` has it.
    if (!heard && !length) throw new SentioError(`${named(file)}cannot be decoded (${said(error)}); choose another file`);
  }
  if (length) yield joined(parts, length);
}

function planes(sample, frameOffset, frameCount) {
  return Array.from({ length: sample.numberOfChannels }, (_, planeIndex) => {
    const plane = new Float32Array(frameCount);
    sample.copyTo(plane, { planeIndex, format: "f32-planar", frameOffset, frameCount });
    return plane;
  });
}

/** Parts of few samples one behind the other; a part with fewer channels than the first repeats its own first. */
function joined(parts, length) {
  return parts[0].map((_, channel) => {
    const whole = new Float32Array(length);
    let at = 0;
    for (const part of parts) {
      const plane = part[channel] ?? part[0];
      whole.set(plane, at);
      at += plane.length;
    }
    return whole;
  });
}

/**
 * For browsers without WebCodecs: the whole file at once, at its own rate, by Web Audio.
 *
 * @returns {Promise<AudioBuffer>}
 * @throws {SentioError} for a file that would not fit into memory, or that the browser does not decode.
 */
export async function decodeAtOnce(file, sampleRate, { longestBytes = 60e6 } = {}) {
  if (file.size > longestBytes) {
    throw new SentioError(
      `${named(file)}has ${Math.round(file.size / 1e6)} MB; this browser decodes a file only as a whole, up to ` +
        `${Math.round(longestBytes / 1e6)} MB; update it or try another one`,
    );
  }
  try {
    return await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new SentioError(`${named(file)}cannot be decoded by this browser; expected ${READABLE}`);
  }
}

const named = (file) => (file.name ? `${file.name}: ` : "");
const said = (error) => String(error?.message ?? error).split("\n")[0].slice(0, 160);
