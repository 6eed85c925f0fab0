import { mood } from "../sentio/circumplex.js";
import { px, svg } from "./svg.js";
import { spoken } from "./words.js";

const SIZE = 360;
const REACH = 146; // from the centre to 1
const CORNERS = [
  ["excited", 1, 1, "q1"],
  ["tense", -1, 1, "q2"],
  ["sad", -1, -1, "q3"],
  ["serene", 1, -1, "q4"],
];

/** Where a point of [-1, 1] x [-1, 1] is drawn; arousal grows upwards. */
export const place = ({ valence, arousal }) => ({ x: SIZE / 2 + REACH * valence, y: SIZE / 2 - REACH * arousal });

/** The plane of valence and arousal, the way of a song over it, its mean, and where it is now. */
export class CircumplexView {
  constructor(parent) {
    this.marks = svg("g");
    this.root = svg("svg", { class: "chart", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img" }, ...frame(), this.marks);
    parent.replaceChildren(this.root);
    this.show(null);
  }

  /** @param timeline of a song, or null; @param now segment that is heard, or null. */
  show(timeline, now = null) {
    const song = timeline?.song();
    this.marks.replaceChildren();
    this.root.setAttribute("aria-label", song ? `The song lies at: ${spoken(song)}` : "Circumplex of emotion, empty");
    if (!song) return;
    const centre = place(song);
    if (song.valenceStd && song.arousalStd) {
      const [rx, ry] = [px(REACH * song.valenceStd), px(REACH * song.arousalStd)];
      this.marks.append(svg("ellipse", { class: "span", cx: px(centre.x), cy: px(centre.y), rx, ry }));
    }
    const points = timeline.segments.map(place);
    this.marks.append(svg("polyline", { class: "way", points: points.map((p) => `${px(p.x)},${px(p.y)}`).join(" ") }));
    points.forEach((p, i) => {
      // The older, the fainter: the way has a direction.
      const opacity = 0.15 + (0.55 * (i + 1)) / points.length;
      this.marks.append(svg("circle", { class: "step", cx: px(p.x), cy: px(p.y), r: 2.2, "fill-opacity": px(opacity * 10) / 10 }));
    });
    this.marks.append(svg("circle", { class: "mean", cx: px(centre.x), cy: px(centre.y), r: 7 }));
    const here = now ?? song;
    const p = place(here);
    this.marks.append(svg("circle", { class: "now", cx: px(p.x), cy: px(p.y), r: 6 }));
    const left = p.x > SIZE - 90;
    this.marks.append(
      svg("text", { class: "here", x: px(p.x + (left ? -12 : 12)), y: px(p.y - 9), "text-anchor": left ? "end" : "start" },
        mood(here.valence, here.arousal)),
    );
  }
}

function frame() {
  const c = SIZE / 2;
  const parts = CORNERS.map(([, v, a, name]) =>
    svg("rect", {
      x: v > 0 ? c : c - REACH, y: a > 0 ? c - REACH : c, width: REACH, height: REACH, style: `fill:var(--${name})`,
    }),
  );
  parts.push(svg("circle", { class: "rim", cx: c, cy: c, r: REACH }));
  parts.push(svg("circle", { class: "grid", cx: c, cy: c, r: REACH / 2 }));
  parts.push(svg("path", { class: "zero", d: `M${c - REACH} ${c}H${c + REACH}M${c} ${c - REACH}V${c + REACH}` }));
  for (const [word, v, a] of CORNERS) {
    const [x, y] = [c + v * (REACH - 8), c - a * (REACH - 12)];
    parts.push(svg("text", { class: "word", x, y: y + 4, "text-anchor": v > 0 ? "end" : "start" }, word));
  }
  const ends = [
    ["energetic", c, c - REACH - 10, "middle", ""],
    ["calm", c, c + REACH + 20, "middle", ""],
    ["unpleasant", c - REACH - 12, c, "middle", `rotate(-90 ${c - REACH - 12} ${c})`],
    ["pleasant", c + REACH + 12, c, "middle", `rotate(90 ${c + REACH + 12} ${c})`],
  ];
  for (const [word, x, y, anchor, transform] of ends) {
    parts.push(svg("text", { x, y, "text-anchor": anchor, ...(transform && { transform }) }, word));
  }
  return parts;
}
