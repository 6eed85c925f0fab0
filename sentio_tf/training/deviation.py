"""How far an answer may be off: a standard deviation per axis and song, learnt behind a trained network.

A generalised linear model of squared errors (gamma, log link) on what the network's last layer hears.  Its deviance is
twice the negative log-likelihood of a Gaussian with that variance (Nix & Weigend 1994), and it leaves the answers as
they are, which a joint training does not (Seitzer et al. 2022, arXiv:2203.09168; Stirn et al. 2023, arXiv:2212.09184).

A network follows the labels it has learnt from, their noise included, so that its errors on training songs lack that
noise: sd^2 / n of a mean of n ratings of spread sd is added.  Where teachers stand in for ratings, their own squared
error on rated songs is, more where they disagree more than there.  All that gives relative sizes: logarithms are then
stretched and moved to fit the errors, rating - answer, of validation songs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..contract import AXES
from ..corpora.track import Track
from ..evaluation import metrics
from ..layers.chunks import ChunkMean
from ..layers.deviation import StandardDeviation
from . import ridge_head
from .build import load_model
from .start import batched

FILE = "deviation.npz"
FEWEST = 12  # rated validation songs that a calibration needs
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
SCORE = "neg_mean_gamma_deviance"
BATCH = 16
LEAST = 1e-4  # squared error, (.01)^2: nobody is surer of a rating
STRETCH = 1.5  # at most; below 0, the surer the worse, would be chance


@dataclass(frozen=True)
class Wanted:
    """Windows of songs, and what is known of the right answer to each.

    Args:
        examples: inputs of the network, in order.
        truth: `(n, 2)` in [-1, 1].
        noise: `(n, 2)`, what the squared error of a window that was learnt from lacks.
        group: `(n,)`, whose windows a cross-validation must not divide.
        known: `(n,)`, whether anything is.
        songs: of these, how many are rated.
    """

    examples: Iterable[np.ndarray]
    truth: np.ndarray
    noise: np.ndarray
    group: np.ndarray
    known: np.ndarray
    songs: int


@dataclass(frozen=True)
class Deviation:
    """log sd = clip(features kernel + bias, low, high); see `layers.deviation`."""

    kernel: np.ndarray  # (d, 2)
    bias: np.ndarray  # (2,)
    low: np.ndarray  # (2,)
    high: np.ndarray  # (2,)

    def layer(self, **kwargs: Any) -> StandardDeviation:
        """Features `(batch, d)` -> `(batch, 2)`; `kwargs` of the layer."""
        return StandardDeviation(self.kernel, self.bias, self.low, self.high, **kwargs)

    @classmethod
    def load(cls, path: Path) -> Deviation | None:
        """None where there is no such file."""
        if not path.exists():
            return None
        with np.load(path) as found:
            return cls(**{f.name: found[f.name] for f in dataclasses.fields(cls)})

    def stretched(self, factor: np.ndarray, offset: np.ndarray) -> Deviation:
        """log sd -> factor * log sd + offset."""
        ends = (factor * end + offset for end in (self.low, self.high))
        return Deviation(self.kernel * factor, self.bias * factor + offset, *ends)


def write(folder: Path, learnt: Deviation | None) -> None:
    """`deviation.npz` of a part or run; where none was learnt there is none of an earlier training either."""
    (folder / FILE).unlink(missing_ok=True)
    if learnt:
        kernel, bias, low, high = (np.asarray(v, np.float32) for v in dataclasses.astuple(learnt))
        np.savez(folder / FILE, kernel=kernel, bias=bias, low=low, high=high)


def rated(tracks: Sequence[Track], counts: Sequence[int], examples: Iterable[np.ndarray]) -> Wanted:
    """What ratings say of `counts` windows of each track; of signs alone nothing is known."""
    song = np.repeat(np.arange(len(tracks)), counts)
    truth = np.array([(t.valence, t.arousal) if t.rated else (0, 0) for t in tracks], float).reshape(-1, 2)
    known = np.array([t.rated for t in tracks], bool)
    return Wanted(examples, truth[song], noise_of(tracks)[song], groups_of(tracks)[song], known[song], int(known.sum()))


def groups_of(tracks: Sequence[Track]) -> np.ndarray:
    """A number for the group of each track, `(n,)`."""
    return np.unique([t.group for t in tracks], return_inverse=True)[1]


def noise_of(tracks: Sequence[Track]) -> np.ndarray:
    """Variance of each track's mean rating, `(n, 2)`: sd^2 / n, 0 where it is not known."""
    return np.array(
        [[(sd or 0.0) ** 2 / t.raters if t.raters else 0.0 for sd in (t.valence_sd, t.arousal_sd)] for t in tracks]
    ).reshape(-1, 2)


def before_head(network: keras.Model):
    """The tensor `(batch, d)` that the last dense layer takes, its mean over the chunks where windows are cut."""
    x = ridge_head.features(network).output
    behind = network.layers[-1]
    return ChunkMean(behind.n, dtype="float32", name="deviation_features")(x) if isinstance(behind, ChunkMean) else x


def answers_and_log(network: keras.Model, deviation: Deviation) -> keras.Model:
    """`(batch, 4)`: answers, and the logarithms of their standard deviations."""
    log = deviation.layer(logarithm=True, name="log_deviation")(before_head(network))
    both = keras.layers.Concatenate(dtype="float32", name="answers_and_log")([network.output, log])
    return keras.Model(network.input, both, name=network.name)


def predict_with(file: Path, judge: Callable[[keras.Model], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What `judge` finds with a saved network: answers, and their standard deviations, both `(songs, 2)`.

    NaN where no deviation lies beside the file.
    """
    learnt, network = Deviation.load(file.with_name(FILE)), load_model(file)
    if learnt is None:
        found = judge(network)
        return found, np.full_like(found, np.nan)
    found = judge(answers_and_log(network, learnt))
    return found[:, : len(AXES)], np.exp(found[:, len(AXES) :])


def learn(
    network: keras.Model,
    wanted: Wanted,
    validation: Sequence[Track],
    judge: Callable[[keras.Model], np.ndarray],
    *,
    twin: keras.Model,
    report: Callable[[str], None],
) -> Deviation | None:
    """Of a trained network; None, with the reason, where there are too few rated songs.

    Args:
        wanted: training windows.
        validation: songs that calibrate.
        judge: network -> mean output over the windows of each validation song.
        twin: the network with the same weights that `judge` takes, where windows are longer there.
    """
    kept = np.array([t.rated for t in validation], bool)
    if kept.sum() < FEWEST or wanted.songs < FEWEST:
        report(
            f"no standard deviation is learnt: expected {FEWEST} rated songs in training and validation, received "
            f"{wanted.songs} and {kept.sum()}"
        )
        return None
    both = keras.Model(network.input, [network.output, before_head(network)])
    found = [both.predict_on_batch(x) for x in batched(wanted.examples, BATCH)]
    answers, features = (np.concatenate([np.asarray(pair[i], float) for pair in found]) for i in (0, 1))
    squared = (wanted.truth - answers) ** 2 + wanted.noise
    raw = fit(features[wanted.known], squared[wanted.known], wanted.group[wanted.known])
    judged = judge(answers_and_log(twin, raw))[kept]
    truth = np.array([(t.valence, t.arousal) for t, k in zip(validation, kept, strict=True) if k], float)
    factor, offset = calibrate(judged[:, 2:], truth - judged[:, :2])
    report(
        f"standard deviation from {wanted.known.sum()} windows; calibrated on {kept.sum()} songs, stretched by "
        f"{factor[0]:.2f}, {factor[1]:.2f}"
    )
    return raw.stretched(factor, offset)


def fit(features: np.ndarray, squared: np.ndarray, groups: np.ndarray) -> Deviation:
    """Gamma regression of squared errors `(n, 2)` on `(n, d)`; the penalty by cross-validation that divides no group.

    Features that hardly vary get no weight, as in `ridge_head.linear_head`; logarithms end where those of `squared`'s
    windows do.
    """
    from sklearn.linear_model import GammaRegressor
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    sd = np.sqrt(scaler.var_)
    alive = sd > ridge_head.DEAD * max(sd.max(), 1e-12)
    x = (features[:, alive] - scaler.mean_[alive]) / sd[alive]
    kernel, bias = np.zeros((features.shape[1], len(AXES))), np.zeros(len(AXES))
    folds = GroupKFold(min(5, len(set(groups))))
    for axis in range(len(AXES)):
        y = np.maximum(squared[:, axis], LEAST)
        search = GridSearchCV(GammaRegressor(max_iter=500), {"alpha": PENALTIES}, cv=folds, scoring=SCORE)
        best = search.fit(x, y, groups=groups).best_estimator_
        # Half: of the variance's logarithm.
        kernel[alive, axis] = best.coef_ / sd[alive] / 2
        bias[axis] = best.intercept_ / 2 - scaler.mean_ @ kernel[:, axis]
    log = features @ kernel + bias
    return Deviation(kernel, bias, log.min(axis=0), log.max(axis=0))


def calibrate(log_sd: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factor and offset `(2,)` that make errors `(n, 2)` of such logarithms likeliest; factors are 0 to `STRETCH`.

    Gaussian: log s + e^2 / (2 s^2).  A factor of 0 is one standard deviation for all songs.
    """
    from scipy.optimize import minimize_scalar

    factor, offset = np.zeros(len(AXES)), np.zeros(len(AXES))
    for axis in range(len(AXES)):
        log, squared = log_sd[:, axis], np.maximum(errors[:, axis] ** 2, LEAST)

        def best_offset(a: float, log=log, squared=squared) -> float:  # where its derivative is 0
            return float(np.log(np.mean(squared * np.exp(-2 * a * log))) / 2)

        def unlikely(a: float, log=log, squared=squared, best=best_offset) -> float:
            s = a * log + best(a)
            return float(np.mean(s + squared * np.exp(-2 * s) / 2))

        found = minimize_scalar(unlikely, bounds=(0, STRETCH), method="bounded")
        factor[axis] = found.x if unlikely(found.x) < unlikely(0.0) else 0.0
        offset[axis] = best_offset(factor[axis])
    return factor, offset


def quality(errors: np.ndarray, sd: np.ndarray) -> dict[str, Any]:
    """Of songs with errors and standard deviations `(n, 2)`, per axis.

    Returns: `within`, share of errors of at most one and two sd (a Gaussian has .683 and .954); `z`, root mean square
    of error / sd, 1 at best; `spearman` of |error| and sd, None where all sd are one.
    """
    found: dict[str, Any] = {"songs": len(errors)}
    for axis, name in enumerate(AXES):
        z = np.abs(errors[:, axis]) / sd[:, axis]
        varies = len(z) > 2 and np.ptp(sd[:, axis]) > 1e-9
        rank = metrics.spearman(np.abs(errors[:, axis]), sd[:, axis]) if varies else None
        found[name] = {
            "mean": round(float(sd[:, axis].mean()), 4),
            "within": [round(float((z <= k).mean()), 4) for k in (1, 2)],
            "z": round(float(np.sqrt(np.mean(z**2))), 4),
            "spearman": None if rank is None else round(rank, 4),
        }
    return found


def of_rows(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`quality` over the rated test rows of predictions.csv that have a standard deviation; {} without two.

    Those of a validation part have calibrated it.
    """
    tested = [r for r in rows if r["label"] == "rating" and r["split"] == "test"]
    kept = [r for r in tested if "" not in (r["valence_std"], r["arousal_std"])]
    if len(kept) < 2:
        return {}
    errors = np.array([[r[axis] - r[f"{axis}_hat"] for axis in AXES] for r in kept])
    return quality(errors, np.array([[r[f"{axis}_std"] for axis in AXES] for r in kept]))
