/** Median and 95 % quantile (linear between neighbours, as numpy) of times [ms], and how many there are. */
export function times(ms) {
  if (!ms.length) return null;
  const sorted = Float64Array.from(ms).sort();
  const at = (share) => {
    const place = share * (sorted.length - 1);
    const low = Math.floor(place);
    const high = Math.min(low + 1, sorted.length - 1);
    return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
  };
  return { median_ms: at(0.5), p95_ms: at(0.95), runs: ms.length };
}

/** The waveform whose answer the card states: integers only, so that every language makes the same samples. */
export function goldenWaveform(samples, sampleRate) {
  const found = new Float32Array(samples);
  const steps = [131, 165, 196, 262].map((hertz) => Math.floor((65536 * hertz) / sampleRate));
  for (let i = 0; i < samples; i++) {
    const envelope = 8192 - Math.floor((8192 * (i % sampleRate)) / sampleRate);
    let total = 0;
    for (const step of steps) total += (((i * step) % 65536) - 32768) * envelope;
    found[i] = total / 2 ** 31;
  }
  return found;
}

/**
 * Latency of a window: `runs` answers to the golden waveform after one that warms up.
 *
 * @param {{card: object, run: (samples: Float32Array) => Promise<object>}} engine
 * @param {() => number} now clock [ms].
 */
export async function measure(engine, { runs = 10, now = () => performance.now(), onRun } = {}) {
  const { samples, sample_rate: rate } = engine.card.audio;
  const waveform = goldenWaveform(samples, rate);
  await engine.run(waveform);
  const ms = [];
  for (let i = 0; i < runs; i++) {
    const began = now();
    await engine.run(waveform);
    ms.push(now() - began);
    onRun?.(i + 1, runs);
  }
  return times(ms);
}
