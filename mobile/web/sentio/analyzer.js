import { downmix } from "./downmix.js";
import { SentioError } from "./errors.js";
import { Resampler } from "./resampler.js";
import { Timeline } from "./timeline.js";
import { Windows } from "./windows.js";

/**
 * Sound at its own rate -> a growing timeline: downmix, resampler, windows, model.
 *
 * A new one for every song: nothing of one song reaches the next.
 */
export class Analyzer {
  /** @param engine see engine.js; @param {number} sampleRate of the sound [Hz]. */
  constructor(engine, sampleRate) {
    const { card } = engine;
    this.engine = engine;
    this.resampler = new Resampler(sampleRate, card.audio.sample_rate, card.kernel);
    this.windows = new Windows({
      size: card.audio.samples,
      hopS: card.windows.hop_s,
      sampleRate: card.audio.sample_rate,
      minTailS: card.windows.min_tail_s ?? 1, // cards of before it was stated
    });
    this.timeline = new Timeline(card);
    this.timeline.sampleRate = sampleRate;
  }

  /** The next samples of all channels; returns the segments that they complete. */
  async push(channels) {
    return this.judge(this.windows.push(this.resampler.push(downmix(channels))));
  }

  /** The end of the song.  Throws SentioError if there was no sound in it. */
  async finish() {
    const last = this.windows.push(this.resampler.finish());
    const segments = await this.judge([...last, ...this.windows.finish()]);
    this.timeline.durationS = this.windows.total / this.windows.rate;
    if (!this.windows.total) throw new SentioError("the file holds no sound; choose another one");
    if (!this.timeline.segments.length) {
      throw new SentioError("the file is silent throughout; there is nothing to judge");
    }
    return segments;
  }

  async judge(windows) {
    const found = [];
    for (const window of windows) {
      const silent = peakOf(window) < this.engine.card.windows.silence_peak;
      const segment = this.timeline.add(window, silent ? null : await this.engine.run(window.samples));
      if (segment) found.push(segment);
    }
    return found;
  }
}

// Floats beyond are integers that were stored as floats, no sound in [-1, 1].
const ABSURD_PEAK = 16;

/** Largest magnitude.  What is no number must not reach the model: it would answer it as if it were sound. */
function peakOf({ samples, startS }) {
  let peak = 0;
  for (let i = 0; i < samples.length; i++) {
    const magnitude = Math.abs(samples[i]);
    if (!Number.isFinite(magnitude)) {
      throw new SentioError(`the sound holds NaN or infinity near ${startS.toFixed(0)} s; convert the file again`);
    }
    if (magnitude > peak) peak = magnitude;
  }
  if (peak > ABSURD_PEAK) {
    throw new SentioError(`expected samples in [-1, 1], received ${peak.toFixed(0)} near ${startS.toFixed(0)} s; scale the file`);
  }
  return peak;
}
