// Eight sectors of 45 degrees, counter-clockwise from pleasant; weak and strong words (Russell 1980).
export const SECTORS = [
  ["pleasant", "happy"],
  ["upbeat", "excited"],
  ["lively", "energetic"],
  ["restless", "tense"],
  ["uneasy", "distressed"],
  ["wistful", "sad"],
  ["quiet", "drowsy"],
  ["relaxed", "serene"],
];
export const NEUTRAL_RADIUS = 0.1;
export const STRONG_RADIUS = 0.35;

/** Q1 (+,+), Q2 (-,+), Q3 (-,-) or Q4 (+,-); exactly 0 counts as negative. */
export function quadrant(valence, arousal) {
  if (arousal > 0) return valence > 0 ? "Q1" : "Q2";
  return valence > 0 ? "Q4" : "Q3";
}

/** A word for the point; neutral near the centre. */
export function mood(valence, arousal) {
  const radius = Math.hypot(valence, arousal);
  if (radius < NEUTRAL_RADIUS) return "neutral";
  const degrees = (Math.atan2(arousal, valence) * 180) / Math.PI + 22.5;
  const sector = Math.floor((((degrees % 360) + 360) % 360) / 45);
  return SECTORS[sector][radius >= STRONG_RADIUS ? 1 : 0];
}
