"""Audio: files that are missing, spare, silent, short, or the same sound twice."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...audio import decode
from ...audio.fingerprint import fingerprint, matches
from ...contract import SAMPLE_RATE
from ...errors import DataError, SentioError
from ..split import components
from ..track import Corpus, Track
from .findings import Report, many, name_some, quadrant

AUDIO = {".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif", ".wma", ".webm", ".mid", ".midi"}
MIDI = {".mid", ".midi"}
SILENT_DB = -60.0  # RMS of a second below which it is silence
SILENT_SHARE = 0.5  # of a file
SHORT_S = 5.0
WORKER_ENDED = (
    "was killed: out of memory, or this is a script that starts processes without `if __name__ == '__main__':`; "
    "run again with fewer --workers"
)


@dataclass(frozen=True)
class Heard:
    """What listening to a track found: seconds, share of silent seconds, hash of the samples, fingerprint."""

    seconds: float
    silent: float
    digest: str
    codes: np.ndarray | None


def check_files(report: Report, corpus: Corpus, root: Path, tracks: Sequence[Track]) -> None:
    missing = [t for t in tracks if not t.path.exists()]
    if missing:
        names = [t.track_id for t in missing]
        text = f"{corpus.name}: {len(missing)} of {len(tracks)} labelled tracks have no file: {name_some(names)}"
        if len(missing) == len(tracks):
            text += "; to examine labels alone: --no-audio"
        report.add("audio", "error", text, names)
    folders = {t.path.parent for t in tracks}
    known = {t.path for t in tracks}
    spare = sorted(
        os.path.relpath(path, root)
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if path.suffix.lower() in AUDIO and path not in known and not path.name.startswith("._")
    )
    if spare:
        text = f"{corpus.name}: {many(len(spare), 'audio file')} without a label: {name_some(spare)}"
        report.add("audio", "note", text, spare)


def listen_to(track: Track) -> Heard:
    """Decode a track's part and describe it.  Raises: SentioError if it cannot be read."""
    if track.path.suffix.lower() in MIDI:
        from ..render import last_note_s

        seconds = last_note_s(track.path)
        return Heard(seconds, 0.0, hashlib.sha256(track.path.read_bytes()).hexdigest(), None)
    digest = hashlib.sha256()
    parts = []
    for block in decode.blocks(track.path, offset_s=track.start_s, duration_s=track.duration_s):
        parts.append(np.round(block * 32767).astype(np.int16))
        digest.update(parts[-1].tobytes())
    y = np.concatenate(parts).astype(np.float32) / 32767
    seconds = len(y) / SAMPLE_RATE
    whole = y[: len(y) // SAMPLE_RATE * SAMPLE_RATE].reshape(-1, SAMPLE_RATE) if seconds >= 1 else y[None]
    rms = np.sqrt(np.square(whole).mean(axis=1))
    silent = float((rms < 10 ** (SILENT_DB / 20)).mean())
    return Heard(seconds, silent, digest.hexdigest(), fingerprint(y))


def listen(report: Report, workers: int | None, progress: Callable[[str, int, int], None] | None) -> None:
    there = [t for t in report.tracks if t.path.exists()]
    heard: dict[str, Heard] = {}
    broken: dict[str, str] = {}
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        jobs = {pool.submit(listen_to, t): t for t in there}
        for done, job in enumerate(as_completed(jobs), start=1):
            try:
                heard[jobs[job].key] = job.result()
            except SentioError as error:
                broken[jobs[job].key] = str(error)
            except BrokenProcessPool:
                raise DataError(f"a worker {WORKER_ENDED}") from None
            except Exception as error:  # one strange file must not lose the others
                broken[jobs[job].key] = f"{jobs[job].path}: {type(error).__name__}: {error}"
            if progress:
                progress("listen", done, len(there))
    if broken:
        text = f"{many(len(broken), 'file')} cannot be decoded: {name_some(list(broken.values()))}"
        report.add("audio", "error", text, [f"{key}: {why}" for key, why in broken.items()])
    if not heard:
        return
    known = [t for t in there if t.key in heard]
    seconds = np.array([heard[t.key].seconds for t in known])
    report.durations = {
        "shortest_s": round(float(seconds.min()), 2),
        "median_s": round(float(np.median(seconds)), 2),
        "longest_s": round(float(seconds.max()), 2),
        "total_h": round(float(seconds.sum()) / 3600, 3),
    }
    if short := [t.key for t, s in zip(known, seconds, strict=True) if s < SHORT_S and not t.category]:
        report.add(
            "audio", "warning", f"{many(len(short), 'file')} shorter than {SHORT_S:g} s: {name_some(short)}", short
        )
    if empty := [t.key for t in known if heard[t.key].silent == 1]:
        report.add("audio", "error", f"{many(len(empty), 'file')} silent throughout: {name_some(empty)}", empty)
    if quiet := [t.key for t in known if SILENT_SHARE < heard[t.key].silent < 1 and not t.category]:
        text = f"{many(len(quiet), 'file')} silent for more than {SILENT_SHARE:.0%} of the time: {name_some(quiet)}"
        report.add("audio", "warning", text, quiet)
    if cut := [t.key for t in known if t.duration_s and heard[t.key].seconds < 0.9 * t.duration_s]:
        report.add("audio", "warning", f"{many(len(cut), 'file')} too short for the label: {name_some(cut)}", cut)
    _duplicates(report, known, heard)
    if not broken and not empty:
        d = report.durations
        report.add(
            "audio",
            "ok",
            f"{len(known)} files decode, {d['total_h']:.2f} h, {d['shortest_s']:.1f} to {d['longest_s']:.1f} s, "
            f"median {d['median_s']:.1f} s",
        )


def _duplicates(report: Report, known: Sequence[Track], heard: dict[str, Heard]) -> None:
    """The same sound under two ids: exactly, or by fingerprint (another codec, another cut)."""
    groups = dict(zip((t.key for t in report.tracks), components(report.tracks), strict=True))
    pairs: dict[tuple[str, str], str] = {}
    same: dict[tuple[str, float], list[Track]] = defaultdict(list)
    for track in known:
        same[heard[track.key].digest, track.start_s].append(track)
    for own in same.values():
        for other in own[1:]:
            pairs[own[0].key, other.key] = "the same samples"
    voiced = [t for t in known if heard[t.key].codes is not None]
    for match in matches([heard[t.key].codes for t in voiced]):  # type: ignore[misc]  # None was left out
        key = voiced[match.first].key, voiced[match.second].key
        pairs.setdefault(
            key,
            f"the same recording for {match.overlap_s:.0f} s, {abs(match.offset_s):.1f} s apart, "
            f"{100 * match.bit_error_rate:.0f} % of the bits differ",
        )
    by_key = {t.key: t for t in known}
    harmless: list[str] = []
    harmful: list[str] = []
    for (a, b), how in sorted(pairs.items()):
        one, other = by_key[a], by_key[b]
        line = f"{a} and {b}: {how}"
        contradict = one.has_emotion and other.has_emotion and 0 not in (*one.side, *other.side)
        contradict = contradict and one.corpus == other.corpus and one.side != other.side
        if contradict:
            line += f", labels in other quadrants ({quadrant(one)}, {quadrant(other)})"
        if groups[a] != groups[b]:
            line += ", in other groups"
        (harmful if groups[a] != groups[b] else harmless).append(line)
    if harmful:
        text = f"{many(len(harmful), 'pair')} of the same sound, which may be divided between training and test: "
        report.add("duplicates", "error", text + name_some(harmful), harmful)
    if harmless:
        text = f"{many(len(harmless), 'pair')} of the same sound, within one group: {name_some(harmless)}"
        report.add("duplicates", "note", text, harmless)
    if not pairs:
        report.add("duplicates", "ok", f"no two of {len(known)} files sound the same")
