"""Who reads the labels of samples: a ridge on band statistics that knows no song of the generator's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..evaluation import metrics
from .profile import Profile

FILE = "reader.npz"
PENALTIES = np.logspace(1, 5, 17)


@dataclass(frozen=True)
class Reader:
    """Valence and arousal of log-mels, linear in `Profile.bands`.

    Attributes:
        kernel, bias: `(384, 2)` and `(2,)`.
        rmse: its errors `(2,)` on songs of the training part, which it does not know.
    """

    kernel: np.ndarray
    bias: np.ndarray
    rmse: np.ndarray

    @classmethod
    def fit(cls, held: Profile, of_held: np.ndarray, train: Profile, of_train: np.ndarray) -> Reader:
        """Fitted to validation songs, its error taken on training songs.

        Ridge on standardised columns, the penalty by generalised cross-validation.

        Args: of_held, of_train: [valence, arousal] in [-1, 1], `(n, 2)`.
        """
        from sklearn.linear_model import RidgeCV
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(held.bands)
        ridge = RidgeCV(PENALTIES).fit(scaler.transform(held.bands), of_held)
        kernel = ridge.coef_.T / scaler.scale_[:, None]
        line = cls(kernel, ridge.intercept_ - scaler.mean_ @ kernel, np.ones(2))
        error = np.sqrt(((line.read(train) - of_train) ** 2).mean(axis=0))
        return cls(line.kernel, line.bias, np.maximum(error, 1e-6))

    def read(self, of: Profile) -> np.ndarray:
        """[valence, arousal] within [-1, 1], `(n, 2)`."""
        return np.clip(of.bands @ self.kernel + self.bias, -1, 1)

    def far(self, answers: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Distance of answers from conditions in units of `rmse`, root mean square over both axes, `(n,)`."""
        return np.sqrt((((answers - asked) / self.rmse) ** 2).mean(axis=1))

    def fidelity(self, of: Profile, asked: np.ndarray, *, seed: int = 0) -> dict[str, dict[str, float]]:
        """Agreement of what is read with the conditions `(n, 2)`: CCC and Pearson r an axis.

        `shuffled` is the CCC with the conditions in another order: what labels that mean nothing reach.
        """
        answers = self.read(of)
        other = np.random.default_rng(seed).permutation(len(asked))
        found = {}
        for axis, name in enumerate(("valence", "arousal")):
            own, given = np.asarray(asked[:, axis], np.float64), answers[:, axis]
            found[name] = {
                "ccc": metrics.ccc(own, given),
                "pearson": metrics.pearson(own, given),
                "shuffled": metrics.ccc(own[other], given),
            }
        return found

    def save(self, folder: Path) -> None:
        """`reader.npz`."""
        np.savez(folder / FILE, kernel=self.kernel, bias=self.bias, rmse=self.rmse)

    @classmethod
    def load(cls, folder: Path) -> Reader:
        """The reader of a run.  Raises: DataError."""
        try:
            with np.load(folder / FILE, allow_pickle=False) as file:
                return cls(file["kernel"], file["bias"], file["rmse"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(
                f"{folder / FILE}: expected the reader of labels of gan fit, received {error}; train the GAN again"
            ) from None
