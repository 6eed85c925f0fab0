"""Splits by group: no artist, song or game series is ever on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from ..errors import DataError
from .track import Track


def stratum(track: Track) -> str:
    """Corpus and quadrant of a track: what the folds keep balanced."""
    valence = track.valence if track.valence is not None else track.valence_sign
    arousal = track.arousal if track.arousal is not None else track.arousal_sign
    return f"{track.corpus}:{(valence or 0) > 0:d}{(arousal or 0) > 0:d}"


def group_folds(tracks: Sequence[Track], k: int, *, seed: int) -> np.ndarray:
    """Fold 0..k-1 of each track, int `(tracks,)`, grouped and stratified by corpus and quadrant.

    Independent of the order of `tracks`.  Raises: DataError if there are fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = {t.group for t in tracks}
    if k < 2 or len(groups) < k:
        raise DataError(f"expected 2 or more folds and at least as many groups, received {k} and {len(groups)}")
    order = sorted(range(len(tracks)), key=lambda i: tracks[i].key)
    strata = np.array([stratum(tracks[i]) for i in order])
    # A stratum smaller than k cannot be in every fold; scikit-learn refuses it, we balance the rest.
    names, counts = np.unique(strata, return_counts=True)
    strata = np.where(np.isin(strata, names[counts < k]), "rare", strata)
    if 0 < np.sum(strata == "rare") < k:
        strata[strata == "rare"] = names[np.argmax(counts)]
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    folds = np.empty(len(tracks), int)
    group_of = np.array([tracks[i].group for i in order])
    for fold, (_, test) in enumerate(splitter.split(np.zeros(len(order)), strata, group_of)):
        folds[np.array(order)[test]] = fold
    return folds


def split_hash(tracks: Sequence[Track], folds: Sequence[int] | np.ndarray) -> str:
    """SHA-256 of the assignment, independent of the order."""
    lines = sorted(f"{t.key},{t.group},{int(f)}" for t, f in zip(tracks, folds, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
