/** Every step on the golden files that `sentio-tf export golden` writes. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { goldenWaveform, measure, times } from "../sentio/benchmark.js";
import { Card } from "../sentio/card.js";
import { mood, quadrant } from "../sentio/circumplex.js";
import { downmix } from "../sentio/downmix.js";
import { Resampler, resample } from "../sentio/resampler.js";
import { Windows } from "../sentio/windows.js";

const folder = new URL("../../golden/", import.meta.url);
const text = (name) => readFileSync(new URL(name, folder), "utf8");
const json = (name) => JSON.parse(text(name));
function floats(name) {
  const bytes = readFileSync(new URL(name, folder));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
const far = (a, b) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);

test("downmix", () => {
  for (const { channels, mono } of json("downmix.json").cases) {
    const found = downmix(channels.map((c) => Float32Array.from(c)));
    assert.equal(found.length, mono.length);
    assert.ok(far(found, mono) < 1e-6);
  }
});

test("resampler", () => {
  const { resampler, tolerance, cases } = json("resampler.json");
  assert.equal(resampler.kind, "kaiser_sinc");
  for (const { rate_in, rate_out, in: given, out: expected } of cases) {
    const found = resample(floats(given), rate_in, rate_out, resampler);
    assert.equal(found.length, floats(expected).length);
    assert.ok(far(found, floats(expected)) <= tolerance, `${rate_in} -> ${rate_out}: ${far(found, floats(expected))}`);
  }
});

test("resampler in pieces", () => {
  const { resampler, cases } = json("resampler.json");
  const { rate_in, rate_out, in: given } = cases[1];
  const sound = floats(given);
  const stream = new Resampler(rate_in, rate_out, resampler);
  const found = [];
  for (let at = 0, size = 1; at < sound.length; at += size, size = (size * 7) % 911 || 1) {
    found.push(...stream.push(sound.subarray(at, at + size)));
    assert.ok(stream.buffer.length < 2000, "memory does not grow");
  }
  found.push(...stream.finish());
  assert.deepEqual(found, [...resample(sound, rate_in, rate_out, resampler)]);
});

test("windows", () => {
  const { rate, size, hop_s: hopS, min_tail_s: minTailS, cases } = json("windows.json");
  for (const expected of cases) {
    const cutter = new Windows({ size, hopS, sampleRate: rate, minTailS });
    const found = [];
    for (let at = 0; at < expected.samples; at += rate) {
      // Sample i is i, so that a window shows where it comes from (whole numbers up to 2^24 are exact).
      const block = Float32Array.from({ length: Math.min(rate, expected.samples - at) }, (_, i) => at + i);
      found.push(...cutter.push(block));
      assert.ok(cutter.buffer.length <= 2 * size + rate, "two windows at most");
    }
    found.push(...cutter.finish());
    assert.deepEqual(
      found.map((w) => [Math.round(w.startS * rate), Math.round(w.endS * rate)]),
      expected.windows,
      `${expected.samples} samples`,
    );
    assert.equal(found[0].repeated, expected.repeated);
    found.forEach(({ samples, repeated }, k) => {
      const [begin, end] = expected.windows[k];
      assert.equal(samples.length, size);
      assert.equal(samples[0], begin);
      assert.equal(samples[size - 1], repeated ? (size - 1) % expected.samples : end - 1);
    });
  }
});

test("circumplex", () => {
  for (const [valence, arousal, q, word] of json("circumplex.json").cases) {
    assert.equal(quadrant(valence, arousal), q, `${valence}, ${arousal}`);
    assert.equal(mood(valence, arousal), word, `${valence}, ${arousal}`);
  }
});

test("benchmark", async () => {
  for (const { ms, median_ms, p95_ms, runs } of json("benchmark.json").cases) {
    const found = times(ms);
    assert.ok(Math.abs(found.median_ms - median_ms) < 1e-3);
    assert.ok(Math.abs(found.p95_ms - p95_ms) < 1e-3);
    assert.equal(found.runs, runs);
  }
  assert.equal(times([]), null);
  let clock = 0;
  const engine = { card: Card.parse(text("card.json")), run: async () => void (clock += 25) };
  assert.deepEqual(await measure(engine, { runs: 4, now: () => clock }), { median_ms: 25, p95_ms: 25, runs: 4 });
});

test("golden waveform, bit by bit", () => {
  const { samples, sample_rate, sha256 } = json("answers.json").waveform;
  const bytes = new Uint8Array(goldenWaveform(samples, sample_rate).buffer);
  assert.equal(createHash("sha256").update(bytes).digest("hex"), sha256);
});
