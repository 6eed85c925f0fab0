"""`sentio-tf features`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import DataError, SentioError
from ..terminal import printable
from .common import progress_bar, require

# Taken from folders by their ending; a file that is named itself is recognised by its content.
ENDINGS = {".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".webm", ".aif", ".aiff", ".au"}


@click.command()
@click.argument("audio", nargs=-1, metavar="AUDIO...")
@click.option("--data", "sources", multiple=True, metavar="CORPUS:ROOT", help="Tracks of a corpus instead of AUDIO.")
@click.option("--out", type=click.Path(), metavar="FILE", help="Table to write: .parquet or .csv.")
@click.option("--set", "which", type=click.Choice(["recipe", "extended"]), default="recipe", show_default=True)
@click.option("--list", "show", is_flag=True, help="Print what the features are, and stop.")
@click.option("--labels", metavar="VERSION", help="With --data: of the labels, where there are several (deam).")
@click.option("--skip-missing", is_flag=True, help="With --data: leave out labelled tracks whose file is missing.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes [default: all cores].")
@click.option("--cache", type=click.Path(file_okay=False), metavar="DIR", help="[default: $SENTIO_CACHE].")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def features(audio, sources, out, which, show, labels, skip_missing, workers, cache, form) -> None:
    """Hand-crafted features of audio files and of the audio in folders: 164 (recipe) or 193 (extended).

    One row a file, `path` first; with --data one a track, `corpus` and `track_id` first.  What was
    computed once is kept in the cache.  A file that cannot be read gets one line on stderr; the others
    are still written and the exit code is 1.
    """
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names that are no Unicode
    if show:
        _list(which, form)
        return
    if not audio and not sources:
        raise click.UsageError("expected AUDIO or --data CORPUS:ROOT, received neither")
    if audio and sources:
        raise click.UsageError("expected AUDIO or --data, received both; their rows have different names")
    if out is None:
        raise click.UsageError("expected --out FILE, received none")
    require("train", "scipy")
    from .. import features as library
    from ..config import cache_root
    from ..features.tabular import check_target

    check_target(out)
    root = Path(cache) if cache else cache_root()
    bar = progress_bar()
    if sources:
        ids, items = _tracks(sources, labels, skip_missing, root, bar)
    else:
        paths = find(audio)
        ids, items = {"path": [str(p) for p in paths]}, [library.Item(p) for p in paths]
    names, matrix, failed = library.extract(
        items,
        which,
        cache=root,
        workers=workers,
        progress=lambda done, total: bar("features", done, total),
        report=lambda line: click.echo(f"warning: {printable(line)}", err=True),
    )
    for reason in failed.values():
        click.echo(f"error: {printable(reason)}", err=True)
    good = [i for i in range(len(items)) if i not in failed]
    if good:
        library.write(out, {name: [column[i] for i in good] for name, column in ids.items()}, names, matrix[good])
    _say(out, len(good), len(names), [(str(items[i].path), reason) for i, reason in failed.items()], form)
    if failed:
        sys.exit(1)


def find(paths: Sequence[str]) -> list[Path]:
    """The files named, and the audio files in the folders named and below, sorted; every one once.

    Raises: DataError for a folder that cannot be read, or without audio.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            found[path] = None
            continue

        def refuse(error: OSError) -> None:
            raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from None

        below = [
            Path(folder) / name
            for folder, _, names in os.walk(path, onerror=refuse, followlinks=False)
            for name in names
            if Path(name).suffix.lower() in ENDINGS and not name.startswith(".")
        ]
        if not below:
            raise DataError(f"{path}: expected audio files in the folder, found none; name another, or the files")
        found |= dict.fromkeys(sorted(below))
    return list(found)


def _tracks(sources, labels, skip_missing, root, bar):
    """Identifying columns and items of the tracks of corpora, MIDI rendered."""
    from .. import features as library
    from ..corpora import doubles, read

    tracks = [t for source in sources for t in read(source, version=labels, skip_missing=skip_missing)]
    if twice := doubles(tracks):
        raise DataError(f"expected every track once, received {twice[0]} twice or more; name each corpus once")
    if any(t.path.suffix.lower() in (".mid", ".midi") for t in tracks):
        require("train", "tensorflow", "keras")  # the pipeline's, not the rendering's
        from ..pipeline import render_tracks

        tracks = render_tracks(tracks, root, progress=bar)
    ids = {"corpus": [t.corpus for t in tracks], "track_id": [t.track_id for t in tracks]}
    return ids, [library.Item(t.path, t.start_s, t.duration_s) for t in tracks]


def _say(out: str, rows: int, columns: int, failed: list[tuple[str, str]], form: str) -> None:
    import json

    if form == "json":
        answer = {
            "out": str(out) if rows else None,
            "rows": rows,
            "features": columns,
            "failed": [{"path": path, "error": reason} for path, reason in failed],
        }
        click.echo(json.dumps(answer, indent=2))
    elif rows:
        click.echo(f"{printable(str(out))}: {rows} {'row' if rows == 1 else 'rows'} x {columns} features")
    else:
        raise SentioError("nothing could be read, so nothing was written")


def _list(which: str, form: str) -> None:
    """The table of features on stdout."""
    import json

    from ..features.table import features as rows

    fields = ("name", "formula", "unit", "group", "call")
    if form == "json":
        answer = [{f: getattr(r, f) for f in fields} | {"columns": list(r.columns)} for r in rows(which)]
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    width = max(len(r.name) for r in rows(which))
    for row in rows(which):
        unit = f" [{row.unit}]" if row.unit else ""
        of = f"  ({', '.join(row.statistics)})" if row.statistics else "  (song)"
        click.echo(f"{row.name:{width}}  {row.formula}{unit}{of}\n{'':{width}}  {row.call}")
