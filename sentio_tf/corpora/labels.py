"""Label files: rows as dictionaries, and values checked on the way in."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError

# Quadrant -> (valence sign, arousal sign), Russell's numbering used by Panda 4Q and EMOPIA.
QUADRANT_SIGNS = {"Q1": (1, 1), "Q2": (-1, 1), "Q3": (-1, -1), "Q4": (1, -1)}


def rows(path: Path, required: set[str], *, corpus: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and row of a CSV file that has the `required` columns.

    Raises: DataError if the file is missing, not text, or another corpus' (columns missing).
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = {(name or "").strip() for name in reader.fieldnames or ()}
            if missing := sorted(required - names):
                raise DataError(
                    f"{path}: expected the label file of {corpus} with columns {', '.join(missing)}, "
                    f"received {', '.join(sorted(names)) or 'no header'}; is this the right folder?"
                )
            for number, row in enumerate(reader, start=2):
                yield number, {(k or "").strip(): (v or "").strip() for k, v in row.items() if not isinstance(v, list)}
    except FileNotFoundError:
        raise DataError(f"{path}: no such label file; name the folder of {corpus} that holds it") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file in UTF-8, received one that does not read ({error})") from None


def number(row: dict[str, str], column: str, low: float, high: float, *, where: str) -> float:
    """The value of a column, which must be a finite number in [low, high].

    Raises: DataError naming file, line and value.
    """
    try:
        value = float(row[column])
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise DataError(f"{where}: expected {column} in [{low:g}, {high:g}], received {row[column]!r}; correct the row")
    return value


def rescale(value: float, low: float, high: float) -> float:
    """Map [low, high] to [-1, 1]."""
    return (2 * value - low - high) / (high - low)


def signs(row: dict[str, str], *, where: str) -> tuple[int, int]:
    """(valence sign, arousal sign) of a row's `quadrant`.

    Raises: DataError if the quadrant is none of Q1..Q4.
    """
    quadrant = row["quadrant"].upper()
    if quadrant not in QUADRANT_SIGNS:
        raise DataError(f"{where}: expected quadrant Q1, Q2, Q3 or Q4, received {row['quadrant']!r}; correct the row")
    return QUADRANT_SIGNS[quadrant]
