import { mood } from "../sentio/circumplex.js";
import { clock } from "./words.js";

/**
 * A song of the list: what is known of it, and its line there.
 *
 * `state` is waiting, listening, done or failed.
 */
export class Song {
  constructor(id, name, file, timeline) {
    Object.assign(this, { id, name, file, timeline });
    this.state = "waiting";
    this.message = "";
    this.seconds = 0; // heard
    this.durationS = null; // of the whole, where known
    this.url = null; // of the sound, for the player
  }

  get length() {
    return Math.max(this.durationS ?? 0, this.seconds, this.timeline.segments.at(-1)?.endS ?? 0);
  }

  get said() {
    if (this.state === "failed") return this.message;
    if (this.state === "waiting") return "waiting";
    if (this.state === "listening") {
      return this.durationS ? `${clock(this.seconds)} of ${clock(this.durationS)}` : `${clock(this.seconds)} heard`;
    }
    const { valence, arousal } = this.timeline.song();
    return `${mood(valence, arousal)} · ${clock(this.seconds)}`;
  }
}

/** The list: `onPick(song)`, `onRemove(song)`. */
export class SongList {
  constructor(parent, { onPick, onRemove }) {
    this.parent = parent;
    this.handlers = { onPick, onRemove };
    this.lines = new Map();
  }

  add(song) {
    const line = document.createElement("li");
    line.innerHTML =
      '<button type="button" class="pick"><span class="name"></span><span class="state"></span>' +
      '<progress max="1" hidden></progress></button><button type="button" class="drop-it">✕</button>';
    const [pick, remove] = line.querySelectorAll("button");
    line.querySelector(".name").textContent = song.name;
    line.querySelector(".name").title = song.name;
    remove.setAttribute("aria-label", `Remove ${song.name}`);
    pick.addEventListener("click", () => this.handlers.onPick(song));
    remove.addEventListener("click", () => this.handlers.onRemove(song));
    this.parent.append(line);
    this.lines.set(song.id, line);
    this.update(song);
  }

  update(song) {
    const line = this.lines.get(song.id);
    if (!line) return;
    line.classList.toggle("failed", song.state === "failed");
    line.querySelector(".state").textContent = song.said;
    const bar = line.querySelector("progress");
    bar.hidden = song.state !== "listening";
    bar.setAttribute("aria-label", `${song.name}: heard so far`);
    if (song.durationS) bar.value = Math.min(1, song.seconds / song.durationS);
    else bar.removeAttribute("value");
  }

  select(song) {
    for (const [id, line] of this.lines) {
      line.querySelector(".pick").setAttribute("aria-current", String(id === song?.id));
    }
  }

  remove(song) {
    this.lines.get(song.id)?.remove();
    this.lines.delete(song.id);
  }
}
