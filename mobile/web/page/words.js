import { mood } from "../sentio/circumplex.js";

// Below this rate the music lacks the bands that the model listens to.
const LOW_RATE = 16000; // Hz

/** +0.31, never -0.00. */
export function signed(value) {
  const text = Math.abs(value).toFixed(2);
  return `${value < 0 && text !== "0.00" ? "−" : "+"}${text}`;
}

/** m:ss, h:mm:ss from an hour on. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** One sentence for a point, for those who do not see it. */
export const spoken = ({ valence, arousal }) =>
  `${mood(valence, arousal)}, valence ${signed(valence)}, arousal ${signed(arousal)}`;

/** What to know about an answer beside the answer. */
export function notes({ timeline, song, sampleRate, seconds, streams }) {
  const { audio, windows } = timeline.card;
  const found = [];
  const window = audio.samples / audio.sample_rate;
  if (timeline.repeated) found.push(`Shorter than ${window} s: ${seconds.toFixed(1)} s were repeated to fill a window.`);
  if (timeline.silent) found.push(`${timeline.silent} silent ${timeline.silent > 1 ? "windows were" : "window was"} left out.`);
  if (sampleRate < LOW_RATE) {
    found.push(`Sampled at ${sampleRate} Hz: nothing above ${sampleRate / 2000} kHz, less than the model listens to.`);
  }
  if (streams > 1) found.push(`Holds ${streams} sound tracks: the first was heard.`);
  if (song?.inDomain === false) {
    found.push("Does not sound like the music the model was trained on: take the answer with caution.");
  }
  return found;
}
