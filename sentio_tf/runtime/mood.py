"""Quadrant and mood word of a point on the circumplex."""

from __future__ import annotations

import math

# Eight sectors of 45 degrees, counter-clockwise from pleasant; words from Russell (1980), figure 4,
# one pair a sector: weak (close to the centre) and strong.
SECTORS = (
    ("pleasant", "happy"),
    ("upbeat", "excited"),
    ("lively", "energetic"),
    ("restless", "tense"),
    ("uneasy", "distressed"),
    ("wistful", "sad"),
    ("quiet", "drowsy"),
    ("relaxed", "serene"),
)
NEUTRAL_RADIUS = 0.1
STRONG_RADIUS = 0.35


def quadrant(valence: float, arousal: float) -> str:
    """Q1 (+,+), Q2 (-,+), Q3 (-,-) or Q4 (+,-); exactly 0 counts as negative."""
    if arousal > 0:
        return "Q1" if valence > 0 else "Q2"
    return "Q4" if valence > 0 else "Q3"


def mood(valence: float, arousal: float) -> str:
    """A word for the point; `neutral` within `NEUTRAL_RADIUS` of the centre."""
    radius = math.hypot(valence, arousal)
    if radius < NEUTRAL_RADIUS:
        return "neutral"
    # Sectors centred on the axes' directions: pleasant spans -22.5 .. +22.5 degrees.
    sector = int(((math.degrees(math.atan2(arousal, valence)) + 22.5) % 360) // 45)
    return SECTORS[sector][radius >= STRONG_RADIUS]
