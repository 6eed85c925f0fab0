/** What of the page needs no browser: encoder delays, words, ticks, a card on LiteRT's module. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { place } from "../page/circumplex-view.js";
import { ticks } from "../page/timeline-view.js";
import { clock, signed, spoken } from "../page/words.js";
import { Card } from "../sentio/card.js";
import { Engine } from "../sentio/engine.js";
import { SentioError } from "../sentio/errors.js";
import { gapless } from "../sentio/gapless.js";
import { Timeline } from "../sentio/timeline.js";

const golden = (name) => readFileSync(new URL(`../../golden/${name}`, import.meta.url));
const card = Card.parse(golden("card.json").toString());

test("an MP3 says which samples are sound", async () => {
  const mp3 = golden("tone.mp3");
  const { skip, samples } = await gapless(new Blob([mp3]));
  assert.deepEqual([skip, samples], [1105 + 529 - 529, 66150]); // LAME's 576 and FFmpeg's 529 of run-in, 1.5 s at 44.1 kHz
  const tag = Buffer.concat([Buffer.from("ID3\x04\0\0\0\0\x02\x01", "latin1"), Buffer.alloc(257), mp3]);
  assert.deepEqual(await gapless(new Blob([tag])), { skip, samples });
  for (const other of [golden("tone.wav"), Buffer.alloc(5), Buffer.alloc(5000, 0xff), mp3.subarray(2000)]) {
    assert.deepEqual(await gapless(new Blob([other])), { skip: 0, samples: Infinity });
  }
});

test("numbers and times as people write them", () => {
  assert.deepEqual([signed(0.314), signed(-0.005), signed(-0.001), signed(0), signed(-1)], ["+0.31", "−0.01", "+0.00", "+0.00", "−1.00"]);
  assert.deepEqual([clock(0), clock(59.9), clock(60), clock(3725)], ["0:00", "0:59", "1:00", "1:02:05"]);
  assert.equal(spoken({ valence: 0.5, arousal: 0.02 }), "happy, valence +0.50, arousal +0.02");
});

test("what to know beside the answer", () => {
  const timeline = new Timeline(card);
  Object.assign(timeline, { sampleRate: 44100, durationS: 60 });
  timeline.add({ startS: 0, endS: 30 }, { valence: 0.5, arousal: 0.1, std: null, distance: 0 });
  assert.deepEqual(timeline.warnings(), []);
  timeline.add({ startS: 0, endS: 2.25, repeated: true }, { valence: 0.5, arousal: 0.1, std: null, distance: 1e9 });
  Object.assign(timeline, { silent: 2, sampleRate: 8000, durationS: 2.25, streams: 2 });
  assert.deepEqual(timeline.warnings(), [
    "shorter than one window of 30 s: 2.25 s were repeated to fill it",
    "2 silent windows were left out",
    "sampled at 8000 Hz: nothing above 4 kHz, less than the model listens to",
    "holds 2 audio streams: the first was heard",
    "does not sound like the music the model was trained on: take the answer with caution",
  ]);
});

test("what is shared has the fields of predict", () => {
  const timeline = new Timeline(card);
  const fields = Object.keys(JSON.parse(JSON.stringify(timeline)));
  const expected = "model valence arousal valence_std arousal_std quadrant mood duration_s windows in_domain warnings timeline";
  assert.equal(fields.join(" "), expected);
  assert.equal(timeline.toJSON().valence, null);
});

test("ticks stand on round times and are not too many", () => {
  assert.deepEqual(ticks(47, 6), [0, 10, 20, 30, 40]);
  for (const seconds of [1, 29, 61, 200, 3600, 90000]) {
    const found = ticks(seconds, 6);
    assert.ok(found.length <= 13 && found[0] === 0 && found.at(-1) <= seconds, String(seconds));
  }
});

test("pleasant lies to the right, energetic above", () => {
  const [centre, right, up] = [[0, 0], [1, 0], [0, 1]].map(([valence, arousal]) => place({ valence, arousal }));
  assert.ok(right.x > centre.x && right.y === centre.y && up.y < centre.y && up.x === centre.x);
});

/** LiteRT's module as far as the engine uses it: a model that answers what it is told to. */
function litert({ answer, shape = [1, card.audio.samples], outputs = { valence_arousal: [1, 2] }, fails = null }) {
  const alive = new Set();
  class Tensor {
    constructor(values) {
      this.values = values;
      alive.add(this);
    }
    async data() {
      return Float32Array.from(this.values);
    }
    delete() {
      alive.delete(this);
    }
  }
  const details = (all) => Object.entries(all).map(([name, of]) => ({ name, shape: Int32Array.from(of) }));
  const runner = { getInputDetails: () => details({ waveform: shape }), getOutputDetails: () => details(outputs) };
  return {
    alive,
    Tensor,
    loadLiteRt: async () => {
      if (fails === "start") throw new Error("no SIMD\nhere");
    },
    loadAndCompile: async () => {
      if (fails === "compile") throw new Error("bad operator");
      return {
        signatures: { predict: runner },
        run: async () => Object.fromEntries(Object.entries(answer).map(([name, values]) => [name, new Tensor(values)])),
        delete: () => alive.delete("model"),
      };
    },
  };
}

const model = (() => {
  const models = new URL("../../../sentio_tf/models/", import.meta.url);
  const registry = JSON.parse(readFileSync(new URL("registry.json", models), "utf8"));
  const bytes = readFileSync(new URL(registry.models.find((m) => m.name === registry.live).file, models));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
})();

test("the engine frees every tensor, whatever the model answers", async () => {
  const fake = litert({ answer: { valence_arousal: [0.5, -0.25], distance: [2] } });
  const engine = await Engine.load(model, fake, { wasm: "wasm/" });
  const samples = new Float32Array(engine.card.audio.samples);
  const found = await engine.run(samples);
  assert.deepEqual([found.valence, found.arousal, found.std], [0.5, -0.25, null]);
  assert.equal(fake.alive.size, 0);
  const broken = await Engine.load(model, litert({ answer: { valence_arousal: [NaN, 0] } }), { wasm: "wasm/" });
  await assert.rejects(broken.run(samples), /no number/);
  assert.equal(broken.litert.alive.size, 0);
});

test("engines that cannot start say what to do", async () => {
  const load = (given) => Engine.load(model, litert({ answer: {}, ...given }), { wasm: "wasm/" });
  await assert.rejects(load({ fails: "start" }), /LiteRT does not start in this browser \(no SIMD\); update the browser/);
  await assert.rejects(load({ fails: "compile" }), /the model does not load \(bad operator\)/);
  await assert.rejects(load({ shape: [1, 16000] }), /received waveform \[1,16000\] -> valence_arousal; export the model again/);
  await assert.rejects(load({ outputs: { emotion: [1, 2] } }), SentioError);
});
