"""Label files: rows as dictionaries, and values checked on the way in."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from ..errors import DataError
from .track import Track

# Quadrant -> (valence sign, arousal sign), Russell's numbering used by Panda 4Q and EMOPIA.
QUADRANT_SIGNS = {"Q1": (1, 1), "Q2": (-1, 1), "Q3": (-1, -1), "Q4": (1, -1)}


Row = TypeVar("Row")

_problems: ContextVar[list[str] | None] = ContextVar("problems", default=None)


@contextmanager
def tolerated() -> Iterator[list[str]]:
    """Inside, a row that cannot be used is collected in the list and left out, instead of raised."""
    problems: list[str] = []
    token = _problems.set(problems)
    try:
        yield problems
    finally:
        _problems.reset(token)


def tracks(
    path: Path,
    required: Iterable[str],
    build: Callable[[dict[str, str], str], Track],
    *,
    corpus: str,
    lower: bool = False,
) -> list[Track]:
    """`build(row, where)` of every row of a label file; `where` is `FILE:LINE`.

    Raises: DataError of `rows`; that of the first bad row, unless inside `tolerated`.
    """

    def whole(row: dict[str, str], where: str) -> Track:
        # A quote that never closes takes every row below it into its cell, without an error of `csv`.
        if path.suffix != ".parquet" and any("\n" in value for value in row.values()):
            raise DataError(
                f"{where}: expected a row in one line, received one of several; close the quote, or remove it"
            )
        return build(row, where)

    return built(path, rows(path, set(required), corpus=corpus, lower=lower), whole)


def built(path: Path, rows: Iterable[tuple[int, Row]], build: Callable[[Row, str], Track]) -> list[Track]:
    """`build(row, where)` of every (line, row) of a file, as in `tracks`."""
    found = []
    for line, row in rows:
        try:
            found.append(build(row, f"{path}:{line}"))
        except DataError as error:
            if (problems := _problems.get()) is None:
                raise
            problems.append(str(error))
    return found


def first(root: Path, *candidates: str) -> Path:
    """The first of `candidates` that exists below `root`, else the first of all."""
    return next((root / c for c in candidates if (root / c).exists()), root / candidates[0])


def home(root: Path, file: str) -> Path:
    """The folder that has `file`: `root`, or a folder in it, as archives unpack; `root` if none has."""
    if (root / file).exists():
        return root
    inner = sorted(f for f in root.iterdir() if f.is_dir() and (f / file).exists()) if root.is_dir() else []
    return inner[0] if inner else root


def rows(
    path: Path, required: set[str], *, corpus: str, errors: str = "strict", lower: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number (its first) and row of a table that has the `required` columns.

    Names and values lose blanks and tabs around them, which the originals have in and beside quotes.

    With `lower`, the case of names does not matter: a user's own table may say Artist or Valence.
    `errors` is that of `open`: "replace" where a file of names has bytes that are no UTF-8.
    A Parquet file is read by its suffix; its rows are counted from 1.

    Raises: DataError if the file is missing, not text, or another corpus' (columns missing).
    """
    if path.suffix == ".parquet":
        for line, row in _parquet_rows(path, required, corpus, lower):
            yield line, row
        return

    def named(name: str | None) -> str:
        name = (name or "").strip()
        return name.lower() if lower else name

    try:
        with path.open(encoding="utf-8-sig", errors=errors, newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = {named(name) for name in reader.fieldnames or ()}
            _check_columns(path, required, names, corpus)
            for row in reader:
                values = {named(k): (v or "").strip() for k, v in row.items() if not isinstance(v, list)}
                yield reader.line_num - "".join(values.values()).count("\n"), values
    except FileNotFoundError:
        raise DataError(f"{path}: no such label file; name the folder of {corpus} that holds it") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected a CSV file in UTF-8, received another encoding ({error.reason}, byte "
            f"0x{error.object[error.start]:02x}); save it as UTF-8"
        ) from None
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file in UTF-8, received one that does not read ({error})") from None


def _check_columns(path: Path, required: set[str], names: set[str], corpus: str) -> None:
    if missing := sorted(required - names):
        # A stray quote makes one name of many lines.
        shown = " ".join(", ".join(sorted(names)[:12]).split())[:200] + (", ..." if len(names) > 12 else "")
        advice = "is this the right folder?"
        if len(names) == 1 and (sign := next((c for c in ";\t|" if c in shown or c in next(iter(names))), "")):
            advice += f" It looks separated by {sign!r}, not by commas"
        raise DataError(
            f"{path}: expected the label file of {corpus} with columns {', '.join(missing)}, "
            f"received {shown.strip(', ') or 'no header'}; {advice}"
        )


def _parquet_rows(path: Path, required: set[str], corpus: str, lower: bool) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{path}: reading Parquet needs pyarrow; install sentio-tf[train] or write a CSV") from None
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: expected a Parquet file, received one that does not read ({reason})") from None
    names = [name.strip().lower() if lower else name for name in table.column_names]
    _check_columns(path, required, set(names), corpus)
    for number, row in enumerate(table.rename_columns(names).to_pylist(), start=1):
        # A missing number is null or NaN, as pandas writes it.
        yield number, {k: "" if v is None or v != v else str(v).strip() for k, v in row.items()}


def artist(name: str) -> str:
    """Group of an artist's name: blanks and case do not make another artist."""
    return "artist:" + re.sub(r"\s+", " ", name).strip().casefold()


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


def signs(quadrant: str, *, where: str) -> tuple[int, int]:
    """(valence sign, arousal sign) of a quadrant.

    Raises: DataError if it is none of Q1..Q4.
    """
    if quadrant.upper() not in QUADRANT_SIGNS:
        raise DataError(f"{where}: expected quadrant Q1, Q2, Q3 or Q4, received {quadrant!r}; correct the row")
    return QUADRANT_SIGNS[quadrant.upper()]
