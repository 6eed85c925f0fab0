/** Channels (arrays of one length) -> mono Float32Array: their mean. */
export function downmix(channels) {
  if (channels.length === 1) return Float32Array.from(channels[0]);
  const mono = new Float32Array(channels[0].length);
  for (const channel of channels) for (let i = 0; i < mono.length; i++) mono[i] += channel[i] / channels.length;
  return mono;
}
