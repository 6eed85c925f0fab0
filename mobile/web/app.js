import { CircumplexView } from "./page/circumplex-view.js";
import { Song, SongList } from "./page/songs.js";
import { setUpTheme } from "./page/theme-button.js";
import { TimelineView } from "./page/timeline-view.js";
import { clock, signed } from "./page/words.js";
import { decodeAtOnce } from "./sentio/decode.js";
import { SentioError } from "./sentio/errors.js";
import { Recorder } from "./sentio/recorder.js";
import { Timeline } from "./sentio/timeline.js";
import { mood } from "./sentio/circumplex.js";

const $ = (id) => document.getElementById(id);
const BLOCK_S = 10; // of what is decoded at once, handed over
const asked = new URLSearchParams(location.search); // ?threads=1&runs=50, to compare devices
const RUNS = Math.min(1000, Math.max(1, Number(asked.get("runs")) || 10));

const songs = new Map();
let card = null;
let worker = null;
let shown = null;
let recorder = null;
let recorded = null; // the song that is being recorded
let count = 0;

const circumplex = new CircumplexView($("circumplex"));
const timelineView = new TimelineView($("timeline"), seek);
const list = new SongList($("songs"), { onPick: show, onRemove: remove });
setUpTheme($("theme"));

// -- model

async function start() {
  const { model } = self.SENTIO ?? {};
  if (!model) throw new SentioError("this page was not written by sentio-tf web: there is no model beside it");
  if (!("WebAssembly" in self && "Worker" in self)) throw new SentioError("this browser has no WebAssembly; update it");
  await offline();
  const cores = Number(asked.get("threads")) || Math.min(4, navigator.hardwareConcurrency || 1);
  const threads = self.crossOriginIsolated ? Math.min(16, Math.max(1, Math.round(cores))) : 1;
  worker = new Worker("worker.js");
  worker.onmessage = ({ data }) => answers[data.type](data);
  worker.onerror = () => trouble("the part of this page that judges did not start; reload the page, or update the browser");
  worker.postMessage({ type: "load", model, threads });
}

/** The service worker, which keeps the page for times without a network.  Without it the page works all the same. */
async function offline() {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
    const late = new Promise((go) => setTimeout(go, 4000));
    await Promise.race([navigator.serviceWorker.ready, late]);
    const taken = new Promise((go) => navigator.serviceWorker.addEventListener("controllerchange", go, { once: true }));
    if (!navigator.serviceWorker.controller) await Promise.race([taken, late]);
  } catch {
    // http without localhost, a private window, a full disk.
  }
}

const answers = {
  ready(data) {
    card = data.card;
    $("status").textContent = `Ready. ${card.name}, ${data.threads > 1 ? `${data.threads} threads` : "one thread"}.`;
    for (const id of ["choose", "record", "measure"]) $(id).disabled = false;
    $("measure").textContent = `Measure ${RUNS} windows`;
    describe();
    document.body.dataset.ready = "true";
  },
  progress({ id, seconds, durationS }) {
    const song = songs.get(id);
    if (!song) return;
    Object.assign(song, { state: "listening", seconds, durationS });
    changed(song);
  },
  segment({ id, segments, silent, repeated }) {
    const song = songs.get(id);
    if (!song) return;
    song.timeline.segments.push(...segments);
    Object.assign(song.timeline, { silent, repeated });
    changed(song);
  },
  done({ id, seconds, sampleRate, streams }) {
    const song = songs.get(id);
    if (!song) return;
    Object.assign(song, { state: "done", seconds, durationS: seconds });
    Object.assign(song.timeline, { sampleRate, streams, durationS: seconds });
    changed(song);
  },
  failed({ id, message }) {
    const song = songs.get(id);
    if (!song) {
      if (id === undefined) trouble(message);
      return;
    }
    Object.assign(song, { state: "failed", message });
    changed(song);
  },
  async context({ id, sampleRate }) {
    const song = songs.get(id);
    if (!song) return;
    try {
      const buffer = await decodeAtOnce(song.file, sampleRate);
      worker.postMessage({ type: "open", id, sampleRate: buffer.sampleRate });
      const step = BLOCK_S * buffer.sampleRate;
      for (let at = 0; at < buffer.length; at += step) {
        const channels = Array.from({ length: buffer.numberOfChannels }, (_, c) =>
          buffer.getChannelData(c).slice(at, at + step),
        );
        worker.postMessage({ type: "push", id, channels, durationS: buffer.duration }, channels.map((c) => c.buffer));
      }
      worker.postMessage({ type: "finish", id });
    } catch (error) {
      answers.failed({ id, message: error.message });
    }
  },
  latency({ done, runs, times }) {
    const { samples, sample_rate: rate } = card.audio;
    $("latency").textContent = times
      ? `Median ${times.median_ms.toFixed(0)} ms, 95 % within ${times.p95_ms.toFixed(0)} ms of ${times.runs}: ` +
        `${((1000 * samples) / rate / times.median_ms).toFixed(0)} times faster than the music plays.${memory()}`
      : `${done} of ${runs} …`;
    $("measure").disabled = !times;
    if (times) $("latency").dataset.times = JSON.stringify(times);
  },
};

const memory = () =>
  performance.memory ? ` The page holds ${(performance.memory.usedJSHeapSize / 1e6).toFixed(0)} MB of JavaScript's memory.` : "";

function describe() {
  const { training = {}, licence, name, version } = card;
  const corpora = training.corpora ?? training.data ?? [];
  const rows = [
    ["Model", `${name}, version ${version}`],
    ["Licence of the weights", licence],
    ["Trained on", (Array.isArray(corpora) ? corpora : Object.keys(corpora)).map((c) => c.name ?? c).join(", ")],
    ["Hears", `windows of ${card.audio.samples / card.audio.sample_rate} s every ${card.windows.hop_s} s at ${card.audio.sample_rate} Hz, mono`],
    ["The song's answer", "the mean of its windows; the ellipse is one standard deviation of the error"],
    ["Your music", "stays here: the page asks for nothing but its own files"],
  ];
  $("card").replaceChildren(
    ...rows.filter(([, value]) => value).flatMap(([term, value]) => [
      Object.assign(document.createElement("dt"), { textContent: term }),
      Object.assign(document.createElement("dd"), { textContent: value }),
    ]),
  );
}

// -- songs

function add(name, file) {
  const song = new Song(`song-${++count}`, name, file, new Timeline(card));
  songs.set(song.id, song);
  list.add(song);
  return song;
}

function hear(files) {
  trouble("");
  const found = [...files];
  if (!card || !found.length) return;
  const added = found.map((file) => {
    const song = add(file.name, file);
    song.url = URL.createObjectURL(file);
    worker.postMessage({ type: "file", id: song.id, file });
    return song;
  });
  show(added[0]);
}

function changed(song) {
  list.update(song);
  if (song === shown) refresh();
}

function remove(song) {
  if (song === recorded) recorder.stop();
  worker.postMessage({ type: "cancel", id: song.id });
  songs.delete(song.id);
  const next = [...songs.values()].at(-1) ?? null;
  const focused = document.activeElement?.closest("#songs");
  list.remove(song);
  if (song === shown) show(next);
  if (song.url) URL.revokeObjectURL(song.url);
  if (focused) ($("songs").querySelector(".pick") ?? $("choose")).focus();
}

function show(song) {
  shown = song;
  list.select(song);
  const player = $("player");
  player.hidden = !song?.url;
  if (song?.url) player.src = song.url;
  else player.removeAttribute("src");
  player.load();
  head = null;
  refresh();
}

let head = null; // place in a song that cannot be played

function refresh() {
  const song = shown;
  const timeline = song?.timeline ?? null;
  const answer = timeline?.song() ?? null;
  document.title = song ? `${song.name} · sentio` : "sentio";
  $("title").textContent = song?.name ?? "No song yet";
  $("answer").innerHTML = "";
  $("answer").append(...sentence(song, answer));
  const found = song?.state === "done" ? timeline.warnings() : [];
  $("notes").hidden = !found.length;
  $("notes").replaceChildren(...found.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  $("save").hidden = song?.state !== "done";
  const at = where();
  circumplex.show(timeline, at === null ? null : timeline?.at(at));
  timelineView.show(timeline, song?.length ?? 0, song?.seconds ?? 0, at);
  table(timeline);
}

/** Where the play head is [s]: null until someone plays or seeks. */
function where() {
  const player = $("player");
  if (!shown?.url) return head;
  return player.currentTime > 0 || !player.paused ? player.currentTime : head;
}

function sentence(song, answer) {
  if (!song) return ["Its place on the circumplex of emotion and its way over time appear here."];
  if (song.state === "failed") return [song.message];
  if (!answer) return [song.state === "waiting" ? "Waiting for its turn …" : "Listening to the first half minute …"];
  const strong = document.createElement("strong");
  strong.textContent = mood(answer.valence, answer.arousal);
  const parts = [strong, song.state === "listening" ? " so far: " : ": "];
  for (const [name, value, std] of [["valence", answer.valence, answer.valenceStd], ["arousal", answer.arousal, answer.arousalStd]]) {
    const span = Object.assign(document.createElement("span"), { className: `axis-${name}`, textContent: `${name} ${signed(value)}` });
    if (std) span.append(Object.assign(document.createElement("span"), { className: "quiet", textContent: ` ± ${std.toFixed(2)}` }));
    parts.push(span, name === "valence" ? ", " : "");
  }
  return parts;
}

function table(timeline) {
  const segments = timeline?.segments ?? [];
  $("windows").hidden = !segments.length;
  const body = $("windows").querySelector("tbody");
  if (body.dataset.of === `${shown?.id}:${segments.length}`) return;
  body.dataset.of = `${shown?.id}:${segments.length}`;
  body.replaceChildren(
    ...segments.map((s) => {
      const row = document.createElement("tr");
      const cells = [clock(s.startS), clock(s.endS), signed(s.valence), signed(s.arousal), mood(s.valence, s.arousal)];
      cells.forEach((text, i) =>
        row.append(Object.assign(document.createElement("td"), { textContent: text, className: i === 2 || i === 3 ? "number" : "" })),
      );
      return row;
    }),
  );
}

function seek(seconds) {
  head = seconds;
  if (shown?.url && Number.isFinite($("player").duration)) $("player").currentTime = Math.min(seconds, $("player").duration);
  follow();
}

/** The head and the point follow the sound. */
function follow() {
  const at = where();
  timelineView.move(at);
  circumplex.show(shown?.timeline ?? null, at === null ? null : shown?.timeline.at(at));
  if (!$("player").paused) requestAnimationFrame(follow);
}

function trouble(message) {
  $("trouble").hidden = !message;
  $("trouble").textContent = message;
  if (message && !card) $("status").textContent = "";
}

// -- microphone

async function record() {
  trouble("");
  $("record").disabled = true;
  try {
    const heard = { seconds: 0 };
    recorder = await Recorder.start(
      (samples) => {
        heard.seconds += samples.length / recorder.sampleRate;
        $("clock").textContent = clock(heard.seconds);
        $("level").value = Math.min(1, 1.4 * Math.sqrt(samples.reduce((a, b) => a + b * b, 0) / samples.length) ** 0.5);
        worker.postMessage({ type: "push", id: recorded.id, channels: [samples] }, [samples.buffer]);
      },
      (reason) => ended(reason, heard.seconds),
    );
  } catch (error) {
    trouble(error.message);
    $("record").disabled = false;
    return;
  }
  recorded = add(`Recording, ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`, null);
  worker.postMessage({ type: "open", id: recorded.id, sampleRate: recorder.sampleRate });
  $("drop").hidden = true;
  $("recording").hidden = false;
  $("clock").textContent = "0:00";
  $("stop").focus();
  show(recorded);
}

function ended(reason, seconds) {
  worker.postMessage({ type: "finish", id: recorded.id });
  if (reason === "interrupted") {
    trouble(`The microphone was taken away after ${clock(seconds)}; what was heard until then is judged.`);
  }
  $("recording").hidden = true;
  $("drop").hidden = false;
  $("record").disabled = false;
  $("record").focus();
  recorder = null;
  recorded = null;
}

// -- events

$("choose").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => {
  hear($("files").files);
  $("files").value = "";
});
$("record").addEventListener("click", record);
$("stop").addEventListener("click", () => recorder?.stop());
$("player").addEventListener("play", follow);
for (const event of ["seeked", "pause", "timeupdate"]) $("player").addEventListener(event, follow);
$("player").addEventListener("error", () => ($("player").hidden = true)); // judged, but not playable here

let over = 0;
addEventListener("dragenter", (event) => {
  event.preventDefault();
  over += 1;
  document.body.classList.add("over");
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("dragleave", () => {
  over = Math.max(0, over - 1);
  if (!over) document.body.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  document.body.classList.remove("over");
  hear(event.dataTransfer?.files ?? []);
});

$("measure").addEventListener("click", () => {
  $("measure").disabled = true;
  $("latency").textContent = "Warming up …";
  worker.postMessage({ type: "benchmark", runs: RUNS });
});

$("save").addEventListener("click", () => {
  const text = `${JSON.stringify({ path: shown.name, ...shown.timeline.toJSON() }, null, 1)}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: `${shown.name.replace(/\.\w+$/, "")}.sentio.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
});

start().catch((error) => trouble(error instanceof SentioError ? error.message : `this page did not start (${error.message})`));
