import { SentioError } from "./errors.js";

const TABLE = 2048; // rows at most; rates with a smaller common divisor compute their weights anew

/**
 * A stream of mono samples from one rate to another; memory does not grow.
 *
 * A windowed sinc: sample n of the output lies at p = n rateIn / rateOut of the input and is the sum over the `taps`
 * samples k around it of x[k] h(p - k), divided by the sum of these h, with
 * h(t) = sinc(cutoff min(1, rateOut / rateIn) t) I0(beta sqrt(1 - (t / w)^2)), w = (taps - 1) / 2.
 */
export class Resampler {
  /** @param {{taps: number, beta: number, cutoff: number}} kernel of the model's card. */
  constructor(rateIn, rateOut, kernel) {
    if (![rateIn, rateOut].every((rate) => Number.isInteger(rate) && rate > 0)) {
      throw new SentioError(`expected sample rates in Hz, received ${rateIn} and ${rateOut}; convert the file`);
    }
    const shared = gcd(rateIn, rateOut);
    this.up = rateOut / shared;
    this.down = rateIn / shared;
    this.kernel = kernel;
    this.half = (kernel.taps - 1) / 2;
    this.rows = new Map();
    this.heard = 0; // input samples
    this.made = 0; // output samples
    this.first = -this.half; // index in the input of buffer[0]; before the file lies silence
    this.buffer = new Float32Array(this.half);
  }

  /** What can be known now that `samples` have been heard, Float32Array. */
  push(samples) {
    if (this.up === this.down) return Float32Array.from(samples);
    this.heard += samples.length;
    this.append(samples);
    return this.until(Math.floor(((this.heard - 1 - this.half) * this.up) / this.down) + 1);
  }

  /** The rest; behind the file lies silence. */
  finish() {
    if (this.up === this.down) return new Float32Array(0);
    this.append(new Float32Array(this.half + 1));
    return this.until(Math.floor((2 * this.heard * this.up + this.down) / (2 * this.down)));
  }

  append(samples) {
    const grown = new Float32Array(this.buffer.length + samples.length);
    grown.set(this.buffer);
    grown.set(samples, this.buffer.length);
    this.buffer = grown;
  }

  until(end) {
    const count = Math.max(0, end - this.made);
    const out = new Float32Array(count);
    const { taps } = this.kernel;
    for (let i = 0; i < count; i++) {
      const position = (this.made + i) * this.down;
      const start = Math.floor(position / this.up) - this.half - this.first;
      const weights = this.weights(position % this.up);
      let sum = 0;
      for (let k = 0; k < taps; k++) sum += this.buffer[start + k] * weights[k];
      out[i] = sum;
    }
    this.made += count;
    const keep = Math.min(Math.floor((this.made * this.down) / this.up) - this.half - this.first, this.buffer.length);
    if (keep > 0) {
      this.buffer = this.buffer.slice(keep);
      this.first += keep;
    }
    return out;
  }

  /** Of the samples around an output whose place has the fraction `numerator` / up. */
  weights(numerator) {
    const known = this.rows.get(numerator);
    if (known) return known;
    const { taps, beta, cutoff } = this.kernel;
    const scale = cutoff * Math.min(1, this.up / this.down);
    const found = new Float64Array(taps);
    let sum = 0;
    for (let k = 0; k < taps; k++) {
      const t = numerator / this.up - (k - this.half);
      const inside = 1 - (t / this.half) ** 2;
      found[k] = Math.abs(t) <= this.half ? sinc(scale * t) * bessel(beta * Math.sqrt(Math.max(0, inside))) : 0;
      sum += found[k];
    }
    for (let k = 0; k < taps; k++) found[k] /= sum;
    if (this.up <= TABLE) this.rows.set(numerator, found);
    return found;
  }
}

/** A whole recording at once. */
export function resample(samples, rateIn, rateOut, kernel) {
  const stream = new Resampler(rateIn, rateOut, kernel);
  const head = stream.push(samples);
  const tail = stream.finish();
  const whole = new Float32Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}

function gcd(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Modified Bessel function of order 0: its power series, which converges for every argument. */
function bessel(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
