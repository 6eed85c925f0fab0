import { mood, quadrant } from "./circumplex.js";

/** Answers to windows in the order of time, and the answer of all together. */
export class Timeline {
  constructor(card) {
    this.card = card;
    this.segments = []; // {startS, endS, valence, arousal, std, distance}
    this.silent = 0; // windows that held nothing
    this.repeated = false;
    // What is known of the sound: its rate [Hz], length [s] and how many tracks the file has.
    this.sampleRate = null;
    this.durationS = null;
    this.streams = 1;
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

  /** What to know beside the answer, in the words of `sentio-tf predict`. */
  warnings() {
    const { audio } = this.card;
    const found = [];
    if (this.repeated && this.durationS != null) {
      const window = audio.samples / audio.sample_rate;
      found.push(`shorter than one window of ${window} s: ${this.durationS.toFixed(2)} s were repeated to fill it`);
    }
    if (this.silent) found.push(`${this.silent} silent windows were left out`);
    if (this.sampleRate && this.sampleRate < LOW_RATE) {
      const top = this.sampleRate / 2000;
      found.push(`sampled at ${this.sampleRate} Hz: nothing above ${top} kHz, less than the model listens to`);
    }
    if (this.streams > 1) found.push(`holds ${this.streams} audio streams: the first was heard`);
    if (this.song()?.inDomain === false) {
      found.push("does not sound like the music the model was trained on: take the answer with caution");
    }
    return found;
  }

  /** What a user would share: the fields of `sentio-tf predict --format json --timeline`. */
  toJSON() {
    const song = this.song();
    return {
      model: this.card.name,
      valence: song?.valence ?? null,
      arousal: song?.arousal ?? null,
      valence_std: song?.valenceStd ?? null,
      arousal_std: song?.arousalStd ?? null,
      quadrant: song?.quadrant ?? null,
      mood: song?.mood ?? null,
      duration_s: this.durationS,
      windows: this.segments.length + this.silent,
      in_domain: song?.inDomain ?? null,
      warnings: this.warnings(),
      timeline: this.segments.map(({ startS, endS, valence, arousal }) => ({ start_s: startS, end_s: endS, valence, arousal })),
    };
  }
}

// Below it the music lacks bands that the model listens to [Hz].
const LOW_RATE = 16000;
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
