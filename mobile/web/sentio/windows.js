import { SentioError } from "./errors.js";

/**
 * A stream of samples to windows of fixed length.  Windows start at 0, hop, 2 hop, ... as long as they fit; if more than
 * `minTailS` is left, one more ends with the file; a file shorter than a window is repeated to fill one.
 *
 * A window is {startS, endS, samples, repeated}.  Two windows are held at most.
 */
export class Windows {
  constructor({ size, hopS, sampleRate, minTailS }) {
    this.size = size;
    this.rate = sampleRate;
    this.tail = minTailS * sampleRate;
    this.hop = Math.round(hopS * sampleRate);
    if (!(this.hop > 0 && this.hop <= size)) {
      throw new SentioError(`expected a hop of more than 0 and at most ${size / sampleRate} s, received ${hopS}`);
    }
    this.buffer = new Float32Array(0);
    this.pending = []; // behind it, joined only when a window is complete
    this.first = 0; // index in the file of buffer[0]
    this.start = 0; // index in the file of the next window
    this.total = 0;
    this.covered = 0;
  }

  push(samples) {
    this.pending.push(samples.slice());
    this.total += samples.length;
    const found = [];
    if (this.total < this.start + this.size) return found;
    this.join();
    while (this.total >= this.start + this.size) {
      found.push(this.cut(this.start));
      this.covered = this.start + this.size;
      this.start += this.hop;
    }
    // The last window may begin up to one hop before the next start: keep that much.
    const keep = Math.max(0, Math.min(this.start, this.total - this.size) - this.hop);
    if (keep > this.first) {
      this.buffer = this.buffer.slice(keep - this.first);
      this.first = keep;
    }
    return found;
  }

  finish() {
    if (this.total === 0) return [];
    this.join();
    if (this.covered === 0) {
      const samples = new Float32Array(this.size);
      for (let i = 0; i < this.size; i++) samples[i] = this.buffer[i % this.total];
      return [{ startS: 0, endS: this.total / this.rate, samples, repeated: this.total < this.size }];
    }
    return this.total - this.covered > this.tail ? [this.cut(this.total - this.size)] : [];
  }

  join() {
    const joined = new Float32Array(this.total - this.first);
    joined.set(this.buffer);
    let at = this.buffer.length;
    for (const part of this.pending) {
      joined.set(part, at);
      at += part.length;
    }
    this.buffer = joined;
    this.pending = [];
  }

  cut(begin) {
    const samples = this.buffer.slice(begin - this.first, begin - this.first + this.size);
    return { startS: begin / this.rate, endS: (begin + this.size) / this.rate, samples, repeated: false };
  }
}
