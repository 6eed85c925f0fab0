"""What every model's training shares: which tracks, and the run directory."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from .. import config as configuration
from .. import corpora, pipeline
from ..contract import GENERATED
from ..corpora.split import components
from ..corpora.track import Track
from ..errors import ConfigError, DataError, ModelError
from ..evaluation.predictions import COLUMNS
from .plan import Config, Plan

TRAINED = "trained.csv"
SONG = ("key", "group", "together", "recording")  # its columns, beside `via`
ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ("results", "docs")


def read_tracks(
    sources: Sequence[str],
    *,
    labels: str = "",
    skip_missing: bool = False,
    audio: bool = True,
    unlabelled: bool = False,
    generated: bool = False,
    report: Callable[[str], None] = print,
) -> list[Track]:
    """Tracks with an emotion of all `sources` (`CORPUS:ROOT`), each in one corpus only.

    Args:
        labels: version of the labels, see `corpora.read`.
        audio: whether every track needs its file; a table of features does without.
        unlabelled: keep music with neither ratings nor signs; sounds of a category never are music.
        generated: keep what a network made, see `training.generated`; else it is refused.

    Raises: DataError, ConfigError.
    """
    tracks: list[Track] = []
    for source in sources:
        if audio:
            tracks += corpora.read(source, version=labels or None, skip_missing=skip_missing)
        else:
            tracks += corpora.read_labels(source, version=labels or None)
    if twice := corpora.doubles(tracks):
        raise DataError(
            f"expected every track in one corpus only, received {twice[0]} twice; rename one of the folders"
        )
    if (made := [t for t in tracks if t.generated]) and not generated:
        raise DataError(
            f"expected recordings, received {len(made)} tracks of {made[0].corpus}, which a network generated: they "
            "may enter the training part of a network on log-mels (sentio-tf fit), nothing else; leave the corpus out"
        )
    if not sources:
        raise ConfigError("expected one corpus or more, received none; add --data CORPUS:ROOT")
    mute = [t for t in tracks if not t.has_emotion and (t.category or not unlabelled)]
    if mute:
        report(f"left out: {len(mute)} tracks with neither ratings nor signs, first {mute[0].key}")
        tracks = [t for t in tracks if t.has_emotion or (unlabelled and not t.category)]
    if not any(t.has_emotion for t in tracks):
        raise DataError("expected tracks with ratings or quadrants, received none; these corpora are not for emotion")
    return tracks


def prediction_row(
    track: Track, fold: str, split: str, estimated: np.ndarray, *, group: str = "", std: np.ndarray | None = None
) -> dict[str, Any]:
    """A row of predictions.csv; a track with signs only has them as reference and says so in `label`.

    Args:
        group: what the folds did not divide and intervals must not either: the track's own group, or of
            `components` where groups share a recording.
        std: standard deviation of the estimate, `(2,)`, NaN or None where it is not known.
    """
    reference = pipeline.target(track)

    def known(value: float | None) -> float | str:
        return "" if value is None or math.isnan(value) else round(value, 5)

    own = [None, None] if std is None else [float(s) for s in std]

    return {
        "track_id": track.track_id,
        "corpus": track.corpus,
        "group": group or track.group,
        "fold": fold,
        "split": split,
        "label": "rating" if track.rated else "sign",
        "valence": round(float(reference[0]), 5),
        "arousal": round(float(reference[1]), 5),
        "valence_hat": round(float(estimated[0]), 5),
        "arousal_hat": round(float(estimated[1]), 5),
        "genre": track.genre,
        "valence_sd": known(track.valence_sd),
        "arousal_sd": known(track.arousal_sd),
        "raters": known(track.raters),
        "valence_std": known(own[0]),
        "arousal_std": known(own[1]),
    }


def labels_hash(tracks: Sequence[Track], extra: Sequence[str]) -> str:
    """SHA-256 of the labels and of what stands for the audio (one text a track), whatever their order."""
    lines = sorted(f"{t.key},{pipeline.target(t).tolist()},{e}" for t, e in zip(tracks, extra, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def claim(
    out: Path,
    config: Config,
    sources: Sequence[str],
    tracks: Sequence[Track],
    *,
    work: Plan,
    labels_and_audio: str,
    came_from: Mapping[str, str] | None = None,
    heard_of: Sequence[Mapping[str, str]] = (),
) -> None:
    """Make `out` this experiment's directory, or continue it; `trained.csv` says what its final model knows.

    Args:
        heard_of: songs that it knows through others, see `songs_via`.

    Raises: ConfigError if it holds another experiment: configuration, split, labels or audio.
    """
    corpora_read = [s.partition(":")[0] for s in sources]
    text = configuration.dump(config) + (
        f"data: {corpora_read}\nsplit: {work.hash}\nparts: {work.exact}\nlabels_and_audio: {labels_and_audio}\n"
    )
    text += "".join(f"{name}: {digest}\n" for name, digest in (came_from or {}).items())
    file = out / "config.yaml"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not file.exists() or not _worth_keeping(out):
            part = out / f"config.{os.getpid()}.part"
            part.write_text(text, encoding="utf-8")
            os.replace(part, file)  # never half a file where another process looks
        same = file.read_text(encoding="utf-8", errors="replace") == text
    except OSError as error:
        raise ConfigError(f"{out}: the run directory cannot be written ({error.strerror}); choose another") from None
    if not same:
        raise ConfigError(f"{out}: holds a run with another configuration or other data; choose another --out")
    known = [
        {"key": t.key, "group": t.group, "together": g, "recording": t.recording}
        for t, g in zip(tracks, components(tracks), strict=True)
    ]
    write_csv(out / TRAINED, [*SONG, "via"], [*known, *map(dict, heard_of)])


def read_songs(folder: Path) -> list[dict[str, str]]:
    """Rows of a folder's `trained.csv`: at least `key` and `via`.

    `via` is empty for a song that was learnt from, else the generated corpus or the run through which it is known;
    older files have none.

    Raises: OSError, ValueError, KeyError or csv.Error if it does not read.
    """
    with (folder / TRAINED).open(newline="", encoding="utf-8") as file:
        return [{**row, "key": row["key"], "via": row.get("via") or ""} for row in csv.DictReader(file)]


def songs_via(name: str, rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Rows of `trained.csv` of a GAN or an earlier run, as who learns from `name` carries them on."""
    return [{**{column: row[column] for column in SONG}, "via": row["via"] or name} for row in rows]


def corpus_of(key: str) -> str:
    """The name by which `--data` reads the corpus of a track: `folder` for that of a user, whatever its folder."""
    name = key.partition("/")[0]
    return name if name in corpora.CORPORA else "folder"


def known_songs(run: Path) -> list[dict[str, str]]:
    """All songs that a run knows, as `read_songs`, with all columns of `SONG`.

    Raises: ModelError if it does not say, or learnt from a generated corpus and does not say what the GAN knows.
    """
    try:
        rows = [{**{column: row[column] for column in SONG}, "via": row["via"]} for row in read_songs(run)]
    except (OSError, ValueError, KeyError, csv.Error):
        rows = []
    if not rows:
        raise ModelError(
            f"{run}: expected {TRAINED} with the tracks that the run was trained on, received none; fit it again"
        )
    made = {row["key"].partition("/")[0] for row in rows if row["key"].startswith(GENERATED)}
    if silent := sorted(made - {row["via"] for row in rows}):
        raise ModelError(
            f"{run}: expected {TRAINED} with the songs that the GAN of {silent[0]} knows, received one of an earlier "
            "version; fit it again with another --out"
        )
    return rows


def trained_on(run: Path) -> set[str]:
    """Keys of the songs that a run learnt from itself; nothing where it does not say."""
    try:
        return {row["key"] for row in read_songs(run) if not row["via"]}
    except (OSError, ValueError, KeyError, csv.Error):
        return set()


def _worth_keeping(out: Path) -> bool:
    """Whether anything was trained in `out`; a command that failed before may be corrected and given again."""
    kept = ("metrics.json", "fold-*/done.json", "fold-*/checkpoint.npz")
    return any(next(out.glob(pattern), None) for pattern in kept)


def finished(folder: Path, *files: str) -> dict[str, Any] | None:
    """`done.json` of a part whose files are all there; None if the part must be trained (again)."""
    try:
        done = json.loads((folder / "done.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(done, dict) and {"seconds", "git_commit"} <= set(done)
    return done if whole and all((folder / name).is_file() for name in files) else None


def environment(out: Path, parts: Sequence[str], *, packages: Sequence[str], **more: Any) -> dict[str, Any]:
    """Versions, machine, commit, command and the parts' training time: what somebody needs to repeat the run."""
    done = [finished(out / f"fold-{name}") or {"git_commit": "", "seconds": 0} for name in parts]
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = ""
    return {
        "command": command(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        **more,
        "packages": versions,
        "git_commit": ", ".join(sorted({d["git_commit"] for d in done})),
        "seconds": sum(d["seconds"] for d in done),
    }


def command() -> str:
    """The command line as given, but whole paths by their last part: folders differ on every machine."""
    words = []
    for word in sys.argv[1:]:
        name, colon, root = word.partition(":")
        if colon and name in corpora.CORPORA and root:
            word = f"{name}:ROOT/{Path(root).name}"
        elif Path(word).is_absolute():
            word = Path(word).name
        words.append(word)
    program = Path(sys.argv[0] if sys.argv else "").name
    known = program in ("sentio-tf", "__main__.py")
    return shlex.join(["sentio-tf", *words]) if known else "called from Python"


def git_commit(root: Path = ROOT) -> str:
    """Commit of the checkout `root`, `-dirty` if what computes is changed; empty outside one or without git.

    What is published, `results` and `docs`, computes nothing: an experiment that writes there as it goes on is of one
    commit.  (The splits that lie there are known to a run by their hash.)
    """

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else None

    try:
        if Path(git("rev-parse", "--show-toplevel") or "/nowhere").resolve() != root.resolve():
            return ""
        commit = git("describe", "--always", "--abbrev=12", "--exclude=*")
        code = [".", *(f":!{name}" for name in PUBLISHED)]
        changed = git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--", *code)
        return "" if commit is None or changed is None else commit + ("-dirty" if changed else "")
    except OSError:
        return ""


# Of the code that this process runs, not of what the files become while it trains.
COMMIT = git_commit()


def write_bytes(path: Path, content: bytes) -> None:
    """The whole file or the one before, whenever the process is killed.

    Raises: ConfigError if it cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None


def write_json(path: Path, values: Any) -> None:
    write_bytes(path, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def write_predictions(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """`predictions.csv` of the rows of `prediction_row`; SHA-256 of the file, which `metrics.json` keeps."""
    write_csv(path, COLUMNS, rows)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reopen(out: Path) -> None:
    """The run is not complete while its results are written again.  Raises: ConfigError if it cannot be."""
    try:
        (out / "metrics.json").unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{out / 'metrics.json'}: cannot be replaced ({error.strerror}); choose another --out"
        ) from None
