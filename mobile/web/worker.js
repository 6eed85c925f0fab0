/**
 * Decodes, resamples and judges away from the page, which stays quick.  A classic worker: LiteRT loads its WebAssembly with
 * importScripts.
 *
 * In:  load {model, threads} · file {id, file} · open {id, sampleRate}, push {id, channels}, finish {id} · cancel {id} ·
 *      benchmark {runs}
 * Out: ready {card, threads} · progress {id, seconds, durationS} · segment {id, segments, silent, repeated} ·
 *      done {id, seconds, sampleRate, streams} · context {id, sampleRate} · failed {id, message} · latency {done, runs, times}
 */
const modules = Promise.all(
  ["sentio/engine.js", "sentio/analyzer.js", "sentio/decode.js", "sentio/benchmark.js", "sentio/errors.js"].map(
    (name) => import(`./${name}`),
  ),
).then((found) => Object.assign({}, ...found));

let engine = null;
const open = new Map(); // id -> {analyzer, sampleRate, heard, decoder}
const cancelled = new Set();
let queue = Promise.resolve(); // one after the other: there is one engine, and songs wait their turn

self.onmessage = ({ data }) => {
  if (data.type === "cancel") {
    cancelled.add(data.id);
    queue = queue.then(() => open.delete(data.id));
    return;
  }
  queue = queue.then(async () => {
    try {
      if (!cancelled.has(data.id)) await handlers[data.type](data);
    } catch (error) {
      const { SentioError } = await modules;
      if (!(error instanceof SentioError)) console.error(error);
      if (error.needsContext) {
        self.postMessage({ type: "context", id: data.id, sampleRate: error.sampleRate });
      } else {
        const message =
          error instanceof SentioError ? error.message : `this did not work (${error.message ?? error}); try it again, or reload the page`;
        self.postMessage({ type: "failed", id: data.id, message });
        open.delete(data.id);
      }
    }
  });
};

const handlers = {
  async load({ model, threads }) {
    const { Engine, SentioError } = await modules;
    const litert = await import("./lib/litert/index.js");
    const response = await fetch(model).catch(() => null);
    if (!response?.ok) {
      throw new SentioError(`the model ${model} is missing; write this page again with sentio-tf web`);
    }
    engine = await Engine.load(await response.arrayBuffer(), litert, {
      wasm: new URL("./lib/litert/wasm/", self.location).href,
      threads,
    });
    self.postMessage({ type: "ready", card: { ...engine.card }, threads });
  },

  async file({ id, file }) {
    const { open: openFile } = await modules;
    const mediabunny = await import("./lib/mediabunny/mediabunny.mjs");
    const sound = await openFile(file, mediabunny);
    try {
      await start(id, sound.sampleRate);
      for await (const channels of sound.blocks()) {
        if (cancelled.has(id)) return;
        await push(id, channels, sound.durationS);
      }
      await finish(id, sound.streams);
    } finally {
      sound.close();
      open.delete(id);
    }
  },

  open: ({ id, sampleRate }) => start(id, sampleRate),
  push: ({ id, channels, durationS }) => push(id, channels, durationS),
  finish: ({ id }) => finish(id, 1),

  async benchmark({ runs }) {
    const { measure } = await modules;
    const times = await measure(engine, {
      runs,
      onRun: (done) => self.postMessage({ type: "latency", done, runs }),
    });
    self.postMessage({ type: "latency", done: runs, runs, times });
  },
};

async function start(id, sampleRate) {
  const { Analyzer } = await modules;
  open.set(id, { analyzer: new Analyzer(engine, sampleRate), sampleRate, heard: 0 });
}

async function push(id, channels, durationS = null) {
  const song = open.get(id);
  if (!song) return; // it failed before
  song.heard += channels[0].length;
  report(id, song, await song.analyzer.push(channels));
  self.postMessage({ type: "progress", id, seconds: song.heard / song.sampleRate, durationS });
}

async function finish(id, streams) {
  const song = open.get(id);
  if (!song) return;
  report(id, song, await song.analyzer.finish());
  open.delete(id);
  const { sampleRate, analyzer } = song;
  self.postMessage({ type: "done", id, seconds: analyzer.timeline.durationS, sampleRate, streams });
}

function report(id, { analyzer }, segments) {
  const { silent, repeated } = analyzer.timeline;
  if (segments.length) self.postMessage({ type: "segment", id, segments, silent, repeated });
}
