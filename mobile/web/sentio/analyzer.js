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
    Object.assign(this.timeline, { sampleRate, durationS: 0 });
    this.loudest = 0; // in any channel
  }

  /** The next samples of all channels; returns the segments that they complete. */
  async push(channels) {
    for (const channel of channels) this.loudest = Math.max(this.loudest, this.checked(channel));
    return this.judge(this.cut(this.resampler.push(downmix(channels))));
  }

  /** The end of the song.  Throws SentioError if there was no sound in it. */
  async finish() {
    const segments = await this.judge([...this.cut(this.resampler.finish()), ...this.windows.finish()]);
    if (!this.windows.total) throw new SentioError("the file holds no sound; choose another one");
    if (!this.timeline.segments.length) {
      throw new SentioError(
        this.loudest < this.engine.card.windows.silence_peak
          ? "the file is silent throughout; there is nothing to judge"
          : "the channels cancel each other out in mono (one is inverted); invert it or take one channel",
      );
    }
    return segments;
  }

  /** Windows that the next samples complete, within the contract's range: filters and decoders overshoot. */
  cut(samples) {
    const [low, high] = this.engine.card.audio.value_range ?? [-1, 1];
    const found = this.windows.push(samples.map((x) => Math.min(high, Math.max(low, x))));
    this.timeline.durationS = this.windows.total / this.windows.rate;
    return found;
  }

  async judge(windows) {
    const found = [];
    for (const window of windows) {
      const silent = peakOf(window.samples) < this.engine.card.windows.silence_peak;
      const segment = this.timeline.add(window, silent ? null : await this.engine.run(window.samples));
      if (segment) found.push(segment);
    }
    return found;
  }

  /** Peak of a channel.  What is no sound must not reach the model, which would answer it as if it were. */
  checked(channel) {
    const peak = peakOf(channel);
    if (peak <= ABSURD_PEAK) return peak;
    const received = Number.isFinite(peak) ? `a peak of ${peak.toFixed(0)}` : "NaN or infinity";
    throw new SentioError(
      `expected samples in [-1, 1], received ${received} near ${this.timeline.durationS.toFixed(1)} s; convert the file`,
    );
  }
}

// Louder than any decoder: integers that were stored as floats.
const ABSURD_PEAK = 16;

/** Largest magnitude; NaN if there is one. */
function peakOf(samples) {
  let peak = 0;
  for (let i = 0; i < samples.length; i++) peak = Math.max(peak, Math.abs(samples[i]));
  return peak;
}
