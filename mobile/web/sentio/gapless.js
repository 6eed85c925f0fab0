const DECODER_DELAY = 529; // samples that every MP3 decoder adds
const ALL = { skip: 0, samples: Infinity };

/**
 * Which of an MP3's decoded samples are sound, by the tag of its encoder (Xing, Info; LAME's extension of it).
 *
 * @param {Blob} file
 * @returns {Promise<{skip: number, samples: number}>} all of them where there is no tag.
 */
export async function gapless(file) {
  const start = await afterId3(file);
  const view = new DataView(await file.slice(start, start + 512).arrayBuffer());
  if (view.byteLength < 192) return ALL;
  const header = view.getUint32(0);
  const [version, layer, mono] = [(header >> 19) & 3, (header >> 17) & 3, ((header >> 6) & 3) === 3];
  if (header >>> 21 !== 0x7ff || layer !== 1 || version === 1) return ALL;
  const full = version === 3; // MPEG 1, not 2 or 2.5
  const tag = 4 + (full ? (mono ? 17 : 32) : mono ? 9 : 17);
  if (!["Xing", "Info"].includes(ascii(view, tag, 4))) return ALL;
  const flags = view.getUint32(tag + 4);
  let at = tag + 8;
  const frames = flags & 1 ? view.getUint32(at) : 0;
  for (const [bit, bytes] of [[1, 4], [2, 4], [4, 100], [8, 4]]) if (flags & bit) at += bytes;
  if (!frames || at + 24 > view.byteLength || !/^(LAME|Lavf|Lavc|L3\.9|GOGO)/.test(ascii(view, at, 4))) return ALL;
  const both = (view.getUint8(at + 21) << 16) | (view.getUint8(at + 22) << 8) | view.getUint8(at + 23);
  const [delay, padding] = [both >> 12, both & 0xfff];
  const samples = frames * (full ? 1152 : 576) - delay - padding;
  return samples > 0 ? { skip: delay + DECODER_DELAY, samples } : ALL;
}

/** Where the first frame lies: behind the tags of titles and pictures. */
async function afterId3(file) {
  let at = 0;
  for (;;) {
    const head = new DataView(await file.slice(at, at + 10).arrayBuffer());
    if (head.byteLength < 10 || ascii(head, 0, 3) !== "ID3") return at;
    const size = [6, 7, 8, 9].reduce((total, i) => (total << 7) | (head.getUint8(i) & 0x7f), 0);
    at += 10 + size + (head.getUint8(5) & 0x10 ? 10 : 0);
  }
}

function ascii(view, start, length) {
  let text = "";
  for (let i = 0; i < length; i++) text += String.fromCharCode(view.getUint8(start + i));
  return text;
}
