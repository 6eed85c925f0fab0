import { px, svg } from "./svg.js";
import { clock, spoken } from "./words.js";

const HEIGHT = 230;
const EDGE = { left: 34, right: 12, top: 10, bottom: 26 };
const AXES = ["valence", "arousal"];
const STEP_S = 5; // of an arrow key

/** Ticks of a time axis: at most `most`, on round times [s]. */
export function ticks(seconds, most) {
  const step = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].find((s) => seconds / s <= most) ?? 7200;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step);
}

/**
 * Both axes over time, with a play head: a slider that the pointer and the keys move.
 *
 * `onSeek(seconds)` is called when a user moves it.
 */
export class TimelineView {
  constructor(parent, onSeek) {
    this.onSeek = onSeek;
    this.timeline = null;
    this.seconds = 0; // length of the song as far as known
    this.heard = 0; // how much of it was judged or decoded
    this.at = null;
    this.slider = document.createElement("div");
    Object.assign(this.slider, { className: "slider", tabIndex: 0 });
    this.slider.setAttribute("role", "slider");
    this.slider.setAttribute("aria-label", "Place in the song");
    this.slider.setAttribute("aria-orientation", "horizontal");
    parent.replaceChildren(this.slider);
    this.slider.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.slider.setPointerCapture(event.pointerId);
      this.seekTo(event);
    });
    this.slider.addEventListener("pointermove", (event) => {
      if (this.slider.hasPointerCapture(event.pointerId)) this.seekTo(event);
    });
    this.slider.addEventListener("keydown", (event) => {
      const now = this.at ?? 0;
      const to = {
        ArrowRight: now + STEP_S, ArrowUp: now + STEP_S, ArrowLeft: now - STEP_S, ArrowDown: now - STEP_S,
        PageUp: now + 6 * STEP_S, PageDown: now - 6 * STEP_S, Home: 0, End: this.seconds,
      }[event.key];
      if (to === undefined || !this.timeline?.segments.length) return;
      event.preventDefault();
      this.onSeek(Math.min(this.seconds, Math.max(0, to)));
    });
    new ResizeObserver(() => this.draw()).observe(this.slider);
  }

  /** @param timeline or null; @param seconds length of the song; @param heard of it so far; @param at play head, or null. */
  show(timeline, seconds, heard, at = null) {
    Object.assign(this, { timeline, seconds, heard, at });
    this.draw();
  }

  /** Moves the head alone. */
  move(at) {
    this.at = at;
    this.drawHead();
  }

  get width() {
    return Math.max(240, Math.round(this.slider.clientWidth || 480));
  }

  x(seconds) {
    return EDGE.left + (this.width - EDGE.left - EDGE.right) * (this.seconds ? Math.min(1, seconds / this.seconds) : 0);
  }

  y(value) {
    const half = (HEIGHT - EDGE.top - EDGE.bottom) / 2;
    return EDGE.top + half - half * value;
  }

  seekTo(event) {
    if (!this.timeline?.segments.length) return;
    const box = this.slider.getBoundingClientRect();
    const inside = (event.clientX - box.left - EDGE.left) / (box.width - EDGE.left - EDGE.right);
    this.onSeek(this.seconds * Math.min(1, Math.max(0, inside)));
  }

  draw() {
    const { width } = this;
    const right = width - EDGE.right;
    const root = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
    if (this.heard && this.heard < this.seconds - 0.5) {
      root.append(svg("rect", {
        class: "heard", x: EDGE.left, y: EDGE.top, width: px(this.x(this.heard) - EDGE.left), height: HEIGHT - EDGE.top - EDGE.bottom,
      }));
    }
    for (const value of [-1, -0.5, 0, 0.5, 1]) {
      const y = px(this.y(value));
      root.append(svg("path", { class: value ? "grid" : "zero", d: `M${EDGE.left} ${y}H${right}` }));
      if (Number.isInteger(value)) {
        root.append(svg("text", { x: EDGE.left - 8, y: y + 4, "text-anchor": "end" }, ["−1", "0", "+1"][value + 1]));
      }
    }
    for (const second of this.seconds ? ticks(this.seconds, width / 70) : []) {
      const anchor = second ? "middle" : "start";
      root.append(svg("text", { x: px(this.x(second)), y: HEIGHT - 6, "text-anchor": anchor }, clock(second)));
    }
    for (const axis of AXES) root.append(...this.lines(axis));
    this.head = svg("g");
    root.append(this.head);
    this.slider.replaceChildren(root);
    this.drawHead();
  }

  /** Through the middles of the windows, level to the song's ends; broken where windows were silent. */
  lines(axis) {
    const segments = this.timeline?.segments ?? [];
    const hop = this.timeline?.card.windows.hop_s ?? 0;
    const runs = [];
    for (const segment of segments) {
      const last = runs.at(-1)?.at(-1);
      if (!last || segment.startS - last.startS > 1.5 * hop) runs.push([]);
      runs.at(-1).push(segment);
    }
    const middle = (s) => (s.startS + s.endS) / 2;
    return runs.flatMap((run) => {
      const points = [[run[0].startS, run[0][axis]], ...run.map((s) => [middle(s), s[axis]]), [run.at(-1).endS, run.at(-1)[axis]]];
      const d = points.map(([t, value]) => `${px(this.x(t))},${px(this.y(value))}`).join(" ");
      return [
        svg("polyline", { class: `line ${axis}`, points: d }),
        ...run.map((s) => svg("circle", { class: `dot ${axis}`, cx: px(this.x(middle(s))), cy: px(this.y(s[axis])), r: 3 })),
      ];
    });
  }

  drawHead() {
    const { slider, timeline } = this;
    const usable = Boolean(timeline?.segments.length);
    slider.setAttribute("aria-disabled", String(!usable));
    slider.setAttribute("aria-valuemin", "0");
    slider.setAttribute("aria-valuemax", String(Math.round(this.seconds)));
    slider.setAttribute("aria-valuenow", String(Math.round(this.at ?? 0)));
    const segment = usable ? timeline.at(this.at ?? 0) : null;
    slider.setAttribute("aria-valuetext", segment ? `${clock(this.at ?? 0)}, ${spoken(segment)}` : "nothing judged yet");
    this.head?.replaceChildren();
    if (this.at === null || !usable) return;
    const x = px(this.x(this.at));
    this.head?.append(svg("path", { class: "head", d: `M${x} ${EDGE.top}V${HEIGHT - EDGE.bottom}` }));
  }
}
