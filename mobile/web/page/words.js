import { mood } from "../sentio/circumplex.js";

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
