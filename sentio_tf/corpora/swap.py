"""Are valence and arousal swapped?  Song-level labels against the same songs' labels over time.

Both columns of a song-level file can be exchanged and still look plausible, because valence and
arousal correlate.  Labels over time of the same songs come from another file and decide it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .track import Dynamics

# Below this the two files say too little of one another to decide.
DECISIVE = 0.2
FEWEST = 10


@dataclass(frozen=True)
class SwapTest:
    """Correlations of the static columns with the song means of the dynamic ones, in one block of songs.

    `difference` is the cosine of (static valence - static arousal) with (dynamic valence - dynamic
    arousal): near +1 where the columns are right, near -1 where they are exchanged.  It is the sign of
    the difference of squared errors between both readings, whatever the scale of the dynamic labels:
    sum |(V,A)s - c (A,V)d|^2 - sum |(V,A)s - c (V,A)d|^2 = 2c sum (Vs - As)(Vd - Ad).
    """

    block: str
    songs: int
    valence_valence: float  # static valence with dynamic valence
    valence_arousal: float  # static valence with dynamic arousal
    arousal_valence: float
    arousal_arousal: float
    difference: float

    @property
    def swapped(self) -> bool | None:
        """None where the songs are too few or the evidence too weak."""
        if self.songs < FEWEST or not abs(self.difference) >= DECISIVE:
            return None
        return self.difference < 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON: an undefined correlation is null."""
        values = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}
        return values | {"swapped": self.swapped}


def swap_test(block: str, static: Mapping[str, tuple[float, float]], dynamic: Mapping[str, Dynamics]) -> SwapTest:
    """Test one block of songs.

    Args:
        static: song -> (valence, arousal) as the file has them, mapped to [-1, 1].
        dynamic: song -> labels over time; songs without are left out.
    """
    songs = sorted(static.keys() & dynamic.keys())
    s = np.array([static[k] for k in songs], float).reshape(-1, 2)
    d = np.array([(dynamic[k].valence.mean(), dynamic[k].arousal.mean()) for k in songs], float).reshape(-1, 2)
    a, b = s[:, 0] - s[:, 1], d[:, 0] - d[:, 1]
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return SwapTest(
        block=block,
        songs=len(songs),
        valence_valence=_pearson(s[:, 0], d[:, 0]),
        valence_arousal=_pearson(s[:, 0], d[:, 1]),
        arousal_valence=_pearson(s[:, 1], d[:, 0]),
        arousal_arousal=_pearson(s[:, 1], d[:, 1]),
        difference=float(a @ b) / norm if norm > 0 else float("nan"),
    )


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    if len(x) < 3 or x.std() == 0 or y.std() == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
