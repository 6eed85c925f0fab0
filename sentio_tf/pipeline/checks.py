"""Quality checks of cached log-mels and their labels: what the published recipe promises, as code.

The recipe's examples are windows of exactly 1292 frames, z-scored over the whole clip; its figures
hold only if the scores stay within [-8, 8], few lie beyond 5, nothing is NaN, and labels are in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..contract import N_FRAMES
from ..corpora.track import Track
from .cache import Cache
from .data import crop, window_starts

LIMIT = 8.0  # of a z-score
FAR = 5.0
FAR_SHARE = 0.01  # of the scores; a clip beyond is mostly silence or a click


@dataclass
class Quality:
    """What was found over all windows of all tracks."""

    tracks: int = 0
    windows: int = 0
    lowest: float = 0.0  # z-score
    highest: float = 0.0
    far: float = 0.0  # share of the scores beyond +-FAR
    errors: dict[str, str] = field(default_factory=dict)  # track that cannot be learnt from -> why
    warnings: dict[str, str] = field(default_factory=dict)  # track -> what is strange about it

    def lines(self) -> list[str]:
        """For a reader."""
        head = (
            f"{self.windows} windows of {self.tracks} tracks: z-scores from {self.lowest:.1f} to {self.highest:.1f}, "
            f"{100 * self.far:.3g} % beyond {FAR:g}"
        )
        return [head, *(f"{key}: {why}" for key, why in [*self.errors.items(), *self.warnings.items()])]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**vars(self), "limit": LIMIT, "far_limit": FAR}


def zscore(x: np.ndarray) -> np.ndarray:
    """Per-clip z-score of a log-mel in dB, as `layers.normalize.ClipZScore`; constant input gives zeros."""
    x = np.asarray(x, np.float64)
    return (x - x.mean()) / max(float(x.std()), 1e-6)


def check_window(x: np.ndarray) -> list[str]:
    """What is wrong with one example `(bands, frames, 1)`; empty if nothing is."""
    wrong = []
    if x.shape[1] != N_FRAMES:
        wrong.append(f"expected {N_FRAMES} frames, received {x.shape[1]}")
    if not np.isfinite(x).all():
        return [*wrong, f"expected finite values, received {int((~np.isfinite(x)).sum())} that are not"]
    if float(x.std()) < 1e-3:
        wrong.append("expected sound, received a constant spectrogram (silence)")
    z = zscore(x)
    if (peak := float(np.abs(z).max())) > LIMIT:
        wrong.append(f"expected z-scores within +-{LIMIT:g}, received {peak:.1f}")
    return wrong


def check_labels(track: Track) -> list[str]:
    """What is wrong with a track's labels, if it has any: NaN, or outside [-1, 1]."""
    if not track.has_emotion:
        return []
    values = (
        {"valence": track.valence, "arousal": track.arousal}
        if track.rated
        else {"valence sign": track.valence_sign, "arousal sign": track.arousal_sign}
    )
    return [
        f"expected {name} in [-1, 1], received {value}"
        for name, value in values.items()
        if value is None or not -1 <= value <= 1
    ]


def check_tracks(tracks: Sequence[Track], cache: Cache) -> Quality:
    """Every window of every track, and its labels.

    An error is what would spoil training (NaN, wrong length, labels out of range, a track of silence
    only); z-scores beyond the limit and many beyond 5 are warnings, because digital silence within a
    song is enough for them.
    """
    quality = Quality(tracks=len(tracks))
    far = total = 0
    for track in tracks:
        values = cache.read(track)
        bad = check_labels(track)
        silent, strange = 0, []
        starts = window_starts(len(values))
        track_far = track_total = 0
        for start in starts:
            x = crop(values, start, N_FRAMES)
            wrong = check_window(x)
            silent += any("silence" in w for w in wrong)
            bad += [w for w in wrong if "finite" in w or "frames" in w]
            strange += [w for w in wrong if "z-scores" in w]
            z = zscore(x) if not bad else np.zeros(1)
            quality.lowest = min(quality.lowest, float(z.min()))
            quality.highest = max(quality.highest, float(z.max()))
            track_far += int((np.abs(z) > FAR).sum())
            track_total += z.size
        if silent == len(starts):
            bad.append("expected sound, received silence only")
        elif silent:
            strange.append(f"{silent} of {len(starts)} windows are silent")
        if track_far > FAR_SHARE * track_total:
            strange.append(f"{100 * track_far / track_total:.1f} % of the z-scores lie beyond {FAR:g}")
        if bad:
            quality.errors[track.key] = "; ".join(dict.fromkeys(bad))
        elif strange:
            quality.warnings[track.key] = "; ".join(dict.fromkeys(strange))
        quality.windows += len(starts)
        far, total = far + track_far, total + track_total
    quality.far = far / max(1, total)
    return quality
