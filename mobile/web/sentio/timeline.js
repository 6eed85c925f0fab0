import { mood, quadrant } from "./circumplex.js";

/** Answers to windows in the order of time, and the answer of all together. */
export class Timeline {
  constructor(card) {
    this.card = card;
    this.segments = []; // {startS, endS, valence, arousal, std, distance}
    this.silent = 0; // windows that held nothing
    this.repeated = false;
  }

  /** @param window of `Windows`; @param answer of `Engine`, null for a silent window. */
  add(window, answer) {
    this.repeated ||= window.repeated;
    if (!answer) {
      this.silent += 1;
      return null;
    }
    const segment = { startS: window.startS, endS: window.endS, ...answer };
    this.segments.push(segment);
    return segment;
  }

  /**
   * Mean of the windows that are not silent; the standard deviation is their geometric mean, or the card's.
   * null where all were silent.
   */
  song() {
    if (!this.segments.length) return null;
    const valence = mean(this.segments.map((s) => s.valence));
    const arousal = mean(this.segments.map((s) => s.arousal));
    const { uncertainty = {}, domain = {} } = this.card;
    const own = this.segments.every((s) => s.std);
    const geometric = (axis) => Math.exp(mean(this.segments.map((s) => Math.log(Math.max(s.std[axis], 1e-6)))));
    const distances = this.segments.map((s) => s.distance).filter((d) => d != null);
    return {
      valence,
      arousal,
      valenceStd: own ? geometric(0) : (uncertainty.valence_std ?? null),
      arousalStd: own ? geometric(1) : (uncertainty.arousal_std ?? null),
      quadrant: quadrant(valence, arousal),
      mood: mood(valence, arousal),
      inDomain: distances.length && domain.threshold != null ? mean(distances) <= domain.threshold : null,
    };
  }

  /** The window that is heard at a time [s]: of those that hold it the one whose middle is nearest. */
  at(seconds) {
    let best = null;
    for (const segment of this.segments) {
      const far = Math.abs((segment.startS + segment.endS) / 2 - seconds);
      if (!best || far < best.far) best = { far, segment };
    }
    return best?.segment ?? null;
  }

  /** What a user would share: plain numbers. */
  toJSON() {
    const song = this.song();
    return {
      model: this.card.name,
      ...song,
      windows: this.segments.length + this.silent,
      timeline: this.segments.map(({ startS, endS, valence, arousal }) => ({ startS, endS, valence, arousal })),
    };
  }
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
