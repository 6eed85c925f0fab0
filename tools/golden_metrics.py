"""Golden values of the metrics, by exact rational arithmetic: reference, estimated, expected.

    python tools/golden_metrics.py [FOLDER]

Writes tests/evaluation/golden/*.json, or into FOLDER.  Every float is taken as the fraction that it is;
only the last step, a square root or the rounding to a float, is not exact, and square roots are taken to
60 digits.  Nothing of the package is used.
"""

from __future__ import annotations

import json
import random
import sys
from fractions import Fraction
from math import isqrt
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "tests" / "evaluation" / "golden"
QUADRANTS = {(True, True): 0, (False, True): 1, (False, False): 2, (True, False): 3}
DIGITS = 10**60

Row = list[Fraction]


def root(x: Fraction) -> Fraction:
    """Square root of x >= 0 to 60 significant digits and more."""
    scale = DIGITS * max(1, x.denominator)
    return Fraction(isqrt(x.numerator * scale * scale // x.denominator), scale)


def mean(values: Row) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def covariance(a: Row, b: Row) -> Fraction:
    mean_a, mean_b = mean(a), mean(b)
    return mean([(x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)])


def correlation(a: Row, b: Row) -> Fraction:
    product = covariance(a, a) * covariance(b, b)
    return covariance(a, b) / root(product) if product else Fraction(0)


def ranks(values: Row) -> Row:
    """Number of smaller values, plus half of what is equal."""
    return [Fraction(2 * sum(y < x for y in values) + sum(y == x for y in values) + 1, 2) for x in values]


def axis(reference: list[float], estimated: list[float]) -> dict[str, float]:
    r, e = [Fraction(x) for x in reference], [Fraction(x) for x in estimated]
    error = [y - x for x, y in zip(r, e, strict=True)]
    square, variance_r, variance_e = mean([d * d for d in error]), covariance(r, r), covariance(e, e)
    spread = variance_r + variance_e + mean(error) ** 2
    constant = not variance_r or not variance_e
    exact = {
        "ccc": Fraction(0) if constant else 2 * covariance(r, e) / spread,
        "r2": 1 - square / variance_r if variance_r else Fraction(0),
        "pearson": correlation(r, e),
        "spearman": correlation(ranks(r), ranks(e)),
        "rmse": root(square),
        "mae": mean([abs(d) for d in error]),
        "bias": mean(error),
        "sd_ratio": root(variance_e / variance_r) if variance_r else Fraction(0),
        "sign_accuracy": mean([Fraction((x > 0) == (y > 0)) for x, y in zip(r, e, strict=True)]),
    }
    return {name: float(value) for name, value in exact.items()}


def plane(reference: list[list[float]], estimated: list[list[float]]) -> dict:
    counts = [[0] * 4 for _ in range(4)]
    for r, e in zip(reference, estimated, strict=True):
        counts[QUADRANTS[r[0] > 0, r[1] > 0]][QUADRANTS[e[0] > 0, e[1] > 0]] += 1
    scores = []
    for q in range(4):
        rows = sum(counts[q]) + sum(line[q] for line in counts)
        if rows:
            scores.append(Fraction(2 * counts[q][q], rows))
    columns = [([r[i] for r in reference], [e[i] for e in estimated]) for i in range(2)]
    return {
        "valence": axis(*columns[0]),
        "arousal": axis(*columns[1]),
        "quadrant": {
            "accuracy": float(Fraction(sum(counts[q][q] for q in range(4)), len(reference))),
            "f1": float(mean(scores)),
            "confusion": counts,
        },
    }


def cases() -> dict[str, dict]:
    """Name: golden triple.  `random.random` gives the same numbers on every machine and version."""
    rng = random.Random(20)

    def uniform(n: int) -> list[float]:
        return [2 * rng.random() - 1 for _ in range(n)]

    truth = uniform(60)
    good = [0.6 * x + 0.2 * y + 0.1 for x, y in zip(truth, uniform(60), strict=True)]
    near = [1e6 + 1e-9 * rng.randrange(40) for _ in range(30)]
    one_axis = {
        "two_rows": ([0.25, -0.5], [0.1, 0.2]),
        "good": (truth, good),
        "unrelated": (uniform(50), uniform(50)),
        "opposite": (truth, [-x for x in truth]),
        "equal": (truth, truth),
        "ties": ([round(x, 1) for x in uniform(80)], [round(x, 1) for x in uniform(80)]),
        # Values that differ in their last bits only.
        "far_and_close": (near, [x + 1e-9 * rng.randrange(10) for x in near]),
        "one_far": ([1e6, *uniform(20)], [1e6 + 1, *uniform(20)]),
        "two_scales": ([1e-6 * x for x in truth], [1e6 * x for x in good]),
        # Constants whose mean in floats is not the constant.
        "constant_estimates": (truth[:10], [0.1] * 10),
        "constant_reference": ([0.1] * 10, truth[:10]),
        "constants": ([0.1] * 10, [0.3] * 10),
        "same_constant": ([0.7] * 3, [0.7] * 3),
        "zeros": ([0.0, 0.0, 1.0, -1.0], [0.0, 0.5, 0.0, -0.0]),
    }
    rows = [list(pair) for pair in zip(uniform(70), uniform(70), strict=True)]
    guess = [
        [0.7 * v + 0.4 * x, 0.8 * a + 0.3 * y] for (v, a), x, y in zip(rows, uniform(70), uniform(70), strict=True)
    ]
    planes = {
        "plane": (rows, guess),
        "plane_one_quadrant": ([[0.5, 0.5], [0.2, 0.9], [0.4, 0.1]], [[0.1, 0.1], [-0.2, 0.3], [0.6, 0.2]]),
        "plane_on_axes": ([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]),
    }
    triples = {name: (r, e, axis(r, e)) for name, (r, e) in one_axis.items()}
    triples |= {name: (r, e, plane(r, e)) for name, (r, e) in planes.items()}
    return {name: dict(zip(("reference", "estimated", "expected"), t, strict=True)) for name, t in triples.items()}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, triple in cases().items():
        (folder / f"{name}.json").write_text(json.dumps(triple, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
