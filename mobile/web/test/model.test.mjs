/** Card and metadata of the real model, timeline and analyzer with an engine that answers what the files say. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Analyzer } from "../sentio/analyzer.js";
import { goldenWaveform } from "../sentio/benchmark.js";
import { Card } from "../sentio/card.js";
import { SentioError } from "../sentio/errors.js";
import { readMetadata } from "../sentio/metadata.js";
import { Timeline } from "../sentio/timeline.js";

const text = (name) => readFileSync(new URL(`../../golden/${name}`, import.meta.url), "utf8");
const answers = JSON.parse(text("answers.json"));
const golden = JSON.parse(text("card.json"));
const models = new URL("../../../sentio_tf/models/", import.meta.url);
const { live: name, models: known } = JSON.parse(readFileSync(new URL("registry.json", models), "utf8"));
const bytes = readFileSync(new URL(known.find((m) => m.name === name).file, models));
const model = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);

test("the card inside the model is the golden one", () => {
  assert.equal(bytes.length, answers.model.bytes);
  const card = Card.of(model);
  for (const [key, value] of Object.entries(golden)) {
    // Fields that this version adds have their default in the golden card, and no place in an older file.
    if (card[key] === undefined) continue;
    if (key === "resampler" || key === "signature" || key === "windows") continue;
    assert.deepEqual(card[key], value, key);
  }
  assert.equal(card.audio.sample_rate, answers.waveform.sample_rate);
  assert.deepEqual(card.kernel, { taps: 257, beta: 7, cutoff: 0.956 });
});

test("metadata of what is no model", () => {
  assert.throws(() => readMetadata(new ArrayBuffer(100), "x"), /received a file that is none/);
  assert.throws(() => readMetadata(new ArrayBuffer(3), "x"), SentioError);
  assert.throws(() => readMetadata(model.slice(0, 5000), "sentio.json"), /cut short or damaged/);
  assert.equal(readMetadata(model, "nothing of that name"), null);
});

test("cards that cannot be used", () => {
  const changed = (change) => JSON.stringify({ ...golden, ...change });
  assert.throws(() => Card.parse("{"), /received text that does not parse/);
  assert.throws(() => Card.parse(changed({ schema: "sentio/2" })), /sentio\/2; update this app/);
  assert.throws(() => Card.parse("[]"), /received none/);
  assert.throws(() => Card.parse(changed({ audio: { ...golden.audio, samples: 0 } })), /audio\.samples/);
  assert.throws(() => Card.parse(changed({ windows: { ...golden.windows, hop_s: 31 } })), /windows\.hop_s/);
});

/** Answers the windows of a golden waveform as the file says, by their place. */
function engineOf(card, run) {
  return { card, run };
}

test("a song becomes the golden timeline", async () => {
  const { segments, samples, valence, arousal } = answers.timeline;
  const card = Card.parse(text("card.json"));
  let count = 0;
  const engine = engineOf(card, async (window) => {
    assert.equal(window.length, card.audio.samples);
    return { valence: segments[count].valence, arousal: segments[count++].arousal, std: null, distance: 1 };
  });
  const analyzer = new Analyzer(engine, card.audio.sample_rate);
  const sound = goldenWaveform(samples, card.audio.sample_rate);
  for (let at = 0; at < samples; at += 4096) await analyzer.push([sound.subarray(at, at + 4096)]);
  await analyzer.finish();
  const found = analyzer.timeline;
  assert.deepEqual(
    found.segments.map((s) => [s.startS, s.endS]),
    segments.map((s) => [s.start_s, s.end_s]),
  );
  const song = found.song();
  assert.ok(Math.abs(song.valence - valence) < 1e-6 && Math.abs(song.arousal - arousal) < 1e-6);
  assert.equal(song.valenceStd, golden.uncertainty.valence_std);
  assert.equal(song.inDomain, 1 <= golden.domain.threshold);
  assert.equal(found.at(3).startS, 0);
  assert.equal(found.at(46).startS, segments.at(-1).start_s);
  assert.equal(JSON.parse(JSON.stringify(found)).timeline.length, 3);
});

test("standard deviations of a song", () => {
  const timeline = new Timeline(Card.parse(text("card.json")));
  const window = { startS: 0, endS: 30, repeated: false };
  timeline.add(window, { valence: 0.2, arousal: 0, std: [0.1, 0.2], distance: null });
  timeline.add(window, { valence: 0.4, arousal: 0, std: [0.4, 0.2], distance: null });
  const song = timeline.song();
  assert.ok(Math.abs(song.valenceStd - 0.2) < 1e-12 && Math.abs(song.arousalStd - 0.2) < 1e-12);
  assert.equal(song.inDomain, null);
});

test("silence, and nothing at all", async () => {
  const engine = engineOf(Card.parse(text("card.json")), async () => assert.fail("silence is not judged"));
  const silent = new Analyzer(engine, 44100);
  await silent.push([new Float32Array(44100), new Float32Array(44100)]);
  await assert.rejects(silent.finish(), /silent throughout/);
  await assert.rejects(new Analyzer(engine, 44100).finish(), /holds no sound/);
  assert.throws(() => new Analyzer(engine, 44100.5), /expected sample rates in Hz/);
});

test("what is no sound is refused before it reaches the model", async () => {
  const engine = engineOf(Card.parse(text("card.json")), async () => assert.fail("no sound is not judged"));
  const block = () => new Float32Array(22050).fill(0.1);
  for (const [sample, said] of [[NaN, /NaN or infinity near 1\.0 s/], [-Infinity, /NaN or inf/], [32767, /a peak of 32767 near 1\.0 s/]]) {
    const analyzer = new Analyzer(engine, 22050);
    await analyzer.push([block(), block()]);
    await assert.rejects(analyzer.push([block(), block().fill(sample, 500, 600)]), said);
  }
  const inverted = new Analyzer(engine, 22050);
  await inverted.push([block(), block().map((x) => -x)]);
  await assert.rejects(inverted.finish(), /cancel each other out in mono/);
});

test("overshoot is clipped, as the contract has it", async () => {
  const seen = [];
  const engine = engineOf(Card.parse(text("card.json")), async (window) => {
    seen.push(Math.max(...window.slice(0, 100)), Math.min(...window.slice(0, 100)));
    return { valence: 0, arousal: 0, std: null, distance: null };
  });
  const analyzer = new Analyzer(engine, 22050);
  await analyzer.push([Float32Array.from({ length: 22050 }, (_, i) => (i % 2 ? 1.5 : -1.25))]);
  await analyzer.finish();
  assert.deepEqual(seen, [1, -1]);
});

test("an hour in bounded memory, and two songs that know nothing of each other", async () => {
  const card = Card.parse(text("card.json"));
  const seen = [];
  const engine = engineOf(card, async (window) => {
    seen.push(window[0]);
    return { valence: 0, arousal: 0, std: null, distance: null };
  });
  const first = new Analyzer(engine, card.audio.sample_rate);
  const block = new Float32Array(card.audio.sample_rate * 10).fill(0.25);
  for (let i = 0; i < 360; i++) {
    await first.push([block]);
    assert.ok(first.windows.buffer.length < 3 * card.audio.samples);
  }
  await first.finish();
  assert.equal(first.timeline.segments.length, 239);
  const second = new Analyzer(engine, card.audio.sample_rate);
  await second.push([block.map((x) => -x)]);
  await second.finish();
  assert.equal(second.timeline.segments.length, 1);
  assert.equal(seen.at(-1), -0.25);
});
