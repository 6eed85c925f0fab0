"""Tables of features: Parquet or CSV, one row a track, what identifies it first."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError, SentioError
from ..terminal import printable

IDS = ("path", "corpus", "track_id", "song_id", "id")  # every other column is a feature
NAMING = ("path", "track_id", "song_id", "id")  # one of them must be there
ENDINGS = (".parquet", ".csv")
LIMIT = (2 - 2.0**-24) * 2.0**127  # from here on a number is rounded to an infinite float32


@dataclass(frozen=True)
class Table:
    """Features of tracks: `ids` columns of text, `names` of the features, `matrix` float32 `(tracks, features)`."""

    ids: dict[str, list[str]]
    names: list[str]
    matrix: np.ndarray


def check_target(path: str | Path) -> Path:
    """The path, if a table can be written there.  Raises: DataError otherwise, before any work is done."""
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise DataError(f"{path}: expected a file ending in .parquet or .csv, received {path.suffix or 'no ending'!r}")
    if path.is_dir():
        raise DataError(f"{path}: expected a file, received a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise DataError(f"{path}: no such folder {path.parent}; create it")
    if path.suffix.lower() == ".parquet":
        _pyarrow()
    return path


def write(path: str | Path, ids: dict[str, Sequence[str]], names: Sequence[str], matrix: np.ndarray) -> None:
    """Write a table, whole or not at all.

    Args:
        path: ends in .parquet or .csv.
        ids: columns that identify the rows, among `path`, `corpus`, `track_id`, `song_id`, `id`.
        matrix: float32 `(rows, names)`, finite.

    Raises: DataError if it cannot be written there; SentioError without pyarrow where Parquet is asked for.
    """
    lengths = {len(column) for column in ids.values()} | {len(matrix)}
    if len(lengths) != 1 or matrix.shape[1:] != (len(names),) or not {*ids} <= {*IDS} or {*names} & {*IDS}:
        raise ValueError(
            f"expected a value of each of {IDS} for each of the rows, and a name for each column. Received: "
            f"{list(ids)}, lengths {sorted(lengths)}, {len(names)} names, matrix {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        raise ValueError("expected finite features. Received: NaN or inf")
    path = Path(os.path.realpath(check_target(path)))  # a link stays one
    # A name that is no Unicode is written as a terminal would show it.
    text = {name: [str(v).encode("utf-8", "backslashreplace").decode() for v in column] for name, column in ids.items()}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            if path.suffix.lower() == ".parquet":
                _write_parquet(part, text, names, matrix)
            else:
                _write_csv(part, text, names, matrix)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); free space or name another file"
        ) from None


def _write_csv(path: Path, ids: dict[str, list[str]], names: Sequence[str], matrix: np.ndarray) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(",".join(map(_quoted, [*ids, *names])) + "\n")
        for keys, row in zip(zip(*ids.values(), strict=True), matrix, strict=True):
            numbers = (f"{value:.9g}" for value in row)  # nine digits give the same float32 back
            file.write(",".join([*map(_quoted, keys), *numbers]) + "\n")


def _quoted(cell: str) -> str:
    """A cell of CSV; Python's own writer leaves a carriage return bare."""
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\r\n') else cell


def _write_parquet(path: Path, ids: dict[str, list[str]], names: Sequence[str], matrix: np.ndarray) -> None:
    pyarrow, parquet = _pyarrow()
    columns = {name: pyarrow.array(column, pyarrow.string()) for name, column in ids.items()}
    values = np.ascontiguousarray(matrix.T, np.float32)
    columns |= {name: pyarrow.array(column) for name, column in zip(names, values, strict=True)}
    parquet.write_table(pyarrow.table(columns), path)


def _pyarrow():
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SentioError(
            "Parquet needs pyarrow; install it with: pip install 'sentio-tf[train]', or name a .csv"
        ) from None
    return pyarrow, pyarrow.parquet


def read(path: str | Path) -> Table:
    """A table that `write` or anybody else wrote: ids are `path`, `track_id`, `song_id` or `id` (and `corpus`).

    Raises: DataError if it cannot be read, has no id or no feature, two rows with the same ids, or a cell that is no
        finite number in a column of features.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise DataError(f"{path}: expected a table ending in .parquet or .csv, received {path.suffix or 'no ending'!r}")
    try:
        header, columns = (_read_parquet if path.suffix.lower() == ".parquet" else _read_csv)(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the name") from None
    _check_header(path, header)
    ids = {name: [_text(v) for v in column] for name, column in zip(header, columns, strict=True) if name in IDS}
    names = [name for name in header if name not in IDS]
    count = len(columns[0])
    if not count:
        raise DataError(f"{path}: expected a row a track, received none; write the table again")
    for name, texts in ids.items():
        if "" in texts:
            raise DataError(
                f"{path}: row {texts.index('') + 1}, column {name!r}: expected a name, received nothing; fill it"
            )
    doubled = [key for key, n in Counter(zip(*ids.values(), strict=True)).items() if n > 1]
    if doubled:
        raise DataError(
            f"{path}: expected every track once, received {_shown(' / '.join(doubled[0]))} twice or more "
            f"({len(doubled)} such); leave one row of each"
        )
    matrix = np.empty((count, len(names)), np.float32)
    features = (pair for pair in zip(header, columns, strict=True) if pair[0] not in IDS)
    for i, (name, column) in enumerate(features):
        matrix[:, i] = _numbers(path, name, column)
    return Table(ids, names, matrix)


def _check_header(path: Path, header: list[str]) -> None:
    if unnamed := [i for i, name in enumerate(header, 1) if not name or name.startswith("__index_level_")]:
        raise DataError(
            f"{path}: expected a name for every column, received none for column {unnamed[0]} (a row number that "
            "pandas wrote?); name or remove it"
        )
    if twice := [name for name, n in Counter(header).items() if n > 1]:
        raise DataError(f"{path}: expected every column once, received {_shown(twice[0])} twice; rename one")
    if not {*NAMING} & {*header}:
        raise DataError(
            f"{path}: expected a column {', '.join(NAMING[:-1])} or {NAMING[-1]}, received "
            f"{', '.join(map(_shown, header[:5]))}{' ...' * (len(header) > 5)}; name the one that identifies a track so"
        )
    if {*header} <= {*IDS}:
        raise DataError(f"{path}: expected columns of features, received ids only; add them")


def _text(value) -> str:
    return "" if value is None else str(value)


def _shown(value) -> str:
    """A cell for a message: one line, not too long."""
    text = printable(repr(value))
    return text if len(text) <= 40 else f"{text[:39]}…"


def _numbers(path: Path, name: str, column: Sequence) -> np.ndarray:
    """Cells of a column of features as float32.  Raises: DataError naming the first that is no finite number."""
    try:
        values = np.array(column, np.float64)
        if values.ndim == 1 and (np.abs(values) < LIMIT).all():
            return values.astype(np.float32)
    except (TypeError, ValueError):
        pass  # which cell it is, is found one by one
    for row, value in enumerate(column, 1):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not abs(number) < LIMIT:
            received = "an empty cell" if value in (None, "") else _shown(value)
            raise DataError(
                f"{path}: row {row}, column {_shown(name)}: expected a finite number, received {received}; "
                "mend the row, or remove the column if it is no feature"
            )
    raise DataError(f"{path}: column {_shown(name)}: expected numbers, received {type(column[0]).__name__}; remove it")


def _read_csv(path: Path) -> tuple[list[str], list[Sequence]]:
    """Header and columns of text.  Raises: OSError, DataError."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = _rows(path, csv.reader(file, strict=True))
            header = next(rows, None)
            if header is None:
                raise DataError(f"{path}: expected a line of column names, received an empty file; write it again")
            cells = list(rows)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path}: expected CSV in UTF-8, received another file ({error}); convert it") from None
    columns: list[Sequence] = [list(column) for column in zip(*cells, strict=True)] or [[] for _ in header]
    return [name.strip() for name in header], columns


def _rows(path: Path, reader) -> Iterator[list[str]]:
    """Rows that are not empty, all as long as the first."""
    width = None
    for number, row in enumerate(reader):
        if not row:
            continue
        width = width or len(row)
        if len(row) != width:
            raise DataError(f"{path}: row {number}: expected {width} cells, received {len(row)}; mend the row")
        yield row


def _read_parquet(path: Path) -> tuple[list[str], list[Sequence]]:
    """Header and columns.  Raises: OSError, DataError."""
    pyarrow, parquet = _pyarrow()
    with path.open("rb") as file:
        try:
            table = parquet.read_table(file)
        except (pyarrow.ArrowException, OSError) as error:  # pyarrow says OSError of damage, too
            detail = str(error).splitlines()[0]
            raise DataError(f"{path}: expected a Parquet file, received another or a damaged one ({detail})") from None
    return list(table.column_names), [_cells(pyarrow, column) for column in table.columns]


def _cells(pyarrow, column) -> Sequence:
    """Values of a column of Parquet; truth values as text, because they are no numbers here."""
    kind = column.type
    if not column.null_count and (pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)):
        return column.to_numpy()
    values = column.to_pylist()
    return [v if v is None else str(v) for v in values] if pyarrow.types.is_boolean(kind) else values
