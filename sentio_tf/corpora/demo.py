"""A small synthetic corpus, composed and synthesised here: for tests, tutorials and CI, never for a result.

Nobody rated this music.  Its labels are a formula of the cues it was composed with (`demo_cues.CUES`), and
the formula, not emotion, is what a model learns from it.  Songs are versions of themes: a theme has
its own melody, harmony, rhythm and instruments, and is the group that no split may divide.

A ridge on mean, deviation and step of log-mel bands predicts arousal across themes (r about .75) and
valence less (.35 to .7, by the songs): its largest cue, the mode, is hardly in such statistics.  Told
the mode it reaches valence nearly as well as arousal.

Sound is additive synthesis, mono at `demo_sound.RATE`; the tones and the room also serve `tools/compose_tune.py`.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile
import yaml

from ..errors import ConfigError, DataError
from .demo_cues import CUES
from .demo_music import VERSION, Song, compose_song, synthesize
from .demo_sound import RATE

NAME = "sentio-synthetic-demo"
FORMS = {
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "wav": ("WAV", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
}
OUR_FILE = re.compile(rf"theme\d{{3,}}-\d\.({'|'.join(FORMS)})")
COLUMNS = ("track_id", "path", "valence", "arousal", "group", *CUES, "valence_effect", "arousal_effect")
README = f"""# Synthetic demo corpus

Music composed and synthesised by `sentio_tf.corpora.demo`; synthetic throughout, and rated by nobody.
`valence` and `arousal` are a formula of the cues each song was composed with (the columns
{", ".join(f"`{name}`" for name in CUES)}), plus a small effect of theme and song
(`valence_effect`, `arousal_effect`); the weights stand in that module as `CUES`.  The direction of
each cue is from the literature, its size is invented.  `group` is the theme that a song is a version of.

For tests, tutorials and CI.  No result may be reported on it: a model that predicts these labels has
learnt the formula, not what listeners hear.  CC0-1.0.
"""
Progress = Callable[[str, int, int], None]


def compose(
    root: Path,
    *,
    songs: int = 48,
    seconds: float = 30.0,
    seed: int = 0,
    form: str = "flac",
    progress: Progress | None = None,
) -> list[Path]:
    """Write the synthetic corpus that `folder:ROOT` reads; returns the audio files in order.

    `songs` of `seconds` s each, four to a theme (the last theme has fewer where `songs` does not
    divide by four); `form` is `flac`, `mp3`, `wav` or `ogg`.  Song i depends on `seed` and i only:
    samples and labels are the same whatever `songs` is (another processor or numpy may differ by a
    rounding of 16 bit).  `progress("compose", done, total)` is
    called after each song.

    A demo corpus already there is continued if it is of the same seed, seconds and form, else
    replaced.  `labels.csv` is written last, so that only a complete corpus can be read.

    Raises: ConfigError for a setting out of its range; DataError if `root` holds anything else or
    cannot be written.
    """
    _check(songs, seconds, seed, form)
    root = Path(root)
    about = {
        "name": NAME,
        "version": VERSION,
        "synthetic": True,
        "scale": [-1, 1],
        "licence": "CC0-1.0",
        "seed": seed,
        "seconds": float(seconds),
        "form": form,
    }
    composed = [compose_song(seed, i) for i in range(songs)]
    files = [root / "audio" / f"{song.track_id}.{form}" for song in composed]
    try:
        _make_room(root, about, keep={file.name for file in files})
        _write(root / "corpus.yaml", yaml.safe_dump(about, sort_keys=False, default_flow_style=None).encode())
        _write(root / "README.md", README.encode())
        for done, (song, file) in enumerate(zip(composed, files, strict=True), start=1):
            if not file.exists():
                _write(file, _encode(synthesize(song, seconds), form))
            if progress:
                progress("compose", done, songs)
        _write(root / "labels.csv", _table(composed, form))
    except OSError as error:
        raise DataError(
            f"{error.filename or root}: expected a place to write the demo corpus, received "
            f"{error.strerror or error}; free space there or name another folder"
        ) from None
    except soundfile.LibsndfileError as error:
        raise DataError(
            f"{root}: expected a libsndfile that writes {form}, received {error.error_string}; take another form"
        ) from None
    return files


def _check(songs: int, seconds: float, seed: int, form: str) -> None:
    if not (isinstance(songs, int) and 8 <= songs <= 4000):
        raise ConfigError(f"expected songs in 8..4000, received {songs!r}; two themes of four versions are the least")
    if not (isinstance(seconds, (int, float)) and 1 <= seconds <= 600):
        raise ConfigError(f"expected seconds in 1..600, received {seconds!r}; 30 is one window")
    if not (isinstance(seed, int) and seed >= 0):
        raise ConfigError(f"expected a seed of 0 or more, received {seed!r}; take a whole number")
    if form not in FORMS:
        raise ConfigError(f"expected form one of {', '.join(FORMS)}, received {form!r}; choose one of them")


def _make_room(root: Path, about: dict, *, keep: set[str]) -> None:
    """Folders for a new corpus, in place of an older demo; raises DataError for anything else."""
    before = _read_about(root / "corpus.yaml")
    if root.exists() and not root.is_dir():
        raise DataError(f"{root}: expected a folder, received a file; name another folder")
    others = sorted(p.name for p in root.iterdir() if not p.name.startswith(".")) if root.exists() else []
    if others and (before.get("name") != NAME or not _is_our_table(root)):
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        raise DataError(
            f"{root}: expected a new or empty folder, or an older demo corpus, received one with {shown}; "
            "name another folder"
        )
    (root / "audio").mkdir(parents=True, exist_ok=True)
    # Without its labels a corpus that is half old, half new cannot be read.
    (root / "labels.csv").unlink(missing_ok=True)
    for file in (root / "audio").iterdir():
        if OUR_FILE.fullmatch(file.name) and (before != about or file.name not in keep):
            file.unlink()


def _read_about(path: Path) -> dict:
    try:
        about = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return about if isinstance(about, dict) else {}


def _is_our_table(root: Path) -> bool:
    if (root / "labels.parquet").exists():
        return False
    try:
        with (root / "labels.csv").open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), None) == list(COLUMNS)
    except FileNotFoundError:
        return True  # interrupted before its labels
    except (UnicodeDecodeError, csv.Error):
        return False


def _table(songs: list[Song], form: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for song in songs:
        cues = asdict(song.cues)
        row = [song.track_id, f"audio/{song.track_id}.{form}", song.valence, song.arousal, song.group]
        writer.writerow([*row, *(cues[name] for name in CUES), *song.effect])
    return text.getvalue().encode()


def _encode(samples: np.ndarray, form: str) -> bytes:
    # Through memory, because libsndfile does not say so when a disk is full.
    kind, subtype = FORMS[form]
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=kind, subtype=subtype)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Only whole files ever have the final name."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
