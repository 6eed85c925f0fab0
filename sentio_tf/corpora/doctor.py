"""What is wrong with a corpus, before anybody trains on it.

Every check gives findings: an `error` would spoil a result, a `warning` is something to know before
one is believed, a `note` is a fact, `ok` says what was looked at and found sound.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import corpora
from ..audio import decode
from ..audio.fingerprint import fingerprint, matches
from ..contract import SAMPLE_RATE
from ..errors import DataError, SentioError
from . import deam, labels
from .split import UNUSED, Split, components
from .swap import SwapTest, swap_test
from .track import Corpus, Track

AUDIO = {".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".aif", ".wma", ".webm", ".mid", ".midi"}
MIDI = {".mid", ".midi"}
SILENT_DB = -60.0  # RMS of a second below which it is silence
SILENT_SHARE = 0.5  # of a file
SHORT_S = 5.0
RARE_QUADRANT = 0.05  # share of the tracks
FEW = 20  # tracks below which a distribution says nothing
KS_LEVEL = 0.01
SHOWN = 5  # names in a line
WORKER_ENDED = (
    "was killed: out of memory, or this is a script that starts processes without `if __name__ == '__main__':`; "
    "run again with fewer --workers"
)

QUADRANTS = {"Q1": (1, 1), "Q2": (-1, 1), "Q3": (-1, -1), "Q4": (1, -1)}


@dataclass(frozen=True)
class Finding:
    """One line of the report; `items` names what it is about, all of it."""

    check: str
    level: str  # error, warning, note or ok
    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Heard:
    """What listening to a track found: seconds, share of silent seconds, hash of the samples, fingerprint."""

    seconds: float
    silent: float
    digest: str
    codes: np.ndarray | None


@dataclass
class Report:
    """The findings, and the tables behind them."""

    sources: list[str]
    tracks: list[Track]
    version: str = ""
    findings: list[Finding] = field(default_factory=list)
    swaps: list[SwapTest] = field(default_factory=list)  # on the columns as the file has them
    quadrants: dict[str, dict[str, int]] = field(default_factory=dict)  # corpus -> quadrant -> tracks
    splits: list[dict[str, Any]] = field(default_factory=list)  # parts, axis, tracks, KS statistic and p
    durations: dict[str, float] = field(default_factory=dict)  # shortest, median, longest [s], total [h]

    @property
    def spoiled(self) -> bool:
        """Whether a result on these data would be."""
        return any(f.level == "error" for f in self.findings)

    def add(self, check: str, level: str, text: str, items: Sequence[str] = ()) -> None:
        self.findings.append(Finding(check, level, text, tuple(items)))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "sources": self.sources,
            "tracks": len(self.tracks),
            "labels": self.version,
            "spoiled": self.spoiled,
            "findings": [{**vars(f), "items": list(f.items)} for f in self.findings],
            "swap": [t.to_dict() for t in self.swaps],
            "quadrants": self.quadrants,
            "splits": self.splits,
            "durations": self.durations,
        }


def examine(
    sources: Sequence[str],
    *,
    version: str | None = None,
    listen: bool = True,
    split: Split | None = None,
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Examine one or several corpora (`CORPUS:ROOT`), each by itself and against each other.

    Args:
        version: of the labels, see `Corpus.versions`.
        listen: decode every file; without, only labels are examined and audio need not be there.
        split: a split to be judged beside the official ones.

    Raises: DataError if a label file is missing or of another corpus: there is nothing to examine then.
    """
    corpora.check_version(version)
    report = Report(list(sources), [])
    for source in sources:
        corpus, root = corpora.locate(source)
        if corpus.versions:
            report.version = version or corpus.versions[0]
        tracks = _read(report, corpus, root, version)
        _labels(report, corpus, tracks)
        _swap(report, corpus, root)
        if listen:
            _files(report, corpus, root, tracks)
        report.tracks += tracks
        _official(report, corpus, root, tracks)
    if not report.tracks:
        report.add("labels", "error", f"{', '.join(sources)}: no track is left to examine")
        return report
    _between(report)
    if split:
        _split(report, "split", split, report.tracks)
    if listen:
        _listen(report, workers, progress)
    else:
        report.add("audio", "note", "not examined")
    return report


def many(n: int, word: str) -> str:
    """`1 file`, `2 files`."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _name_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


# -- labels -----------------------------------------------------------------------------------------


def _read(report: Report, corpus: Corpus, root: Path, version: str | None) -> list[Track]:
    with labels.tolerated() as problems:
        try:
            tracks = corpora.read_labels(f"{corpus.name}:{root}", version=version)
        except DataError as error:
            if not corpus.versions or version == corpus.versions[-1]:
                raise
            # Which version cannot be told: say so, and examine the file as it is.
            problems.clear()
            report.version = corpus.versions[-1]
            tracks = corpora.read_labels(f"{corpus.name}:{root}", version=corpus.versions[-1])
            report.add("swap", "error", str(error))
    if problems:
        text = f"{many(len(problems), 'row')} cannot be used: {_name_some(problems)}"
        report.add("labels", "error", text, problems)
        if len(problems) >= max(FEW, len(tracks) // 20) or not tracks:
            _other_scale(report, corpus, problems)
    if twice := corpora.doubles(tracks):
        report.add("ids", "error", f"{many(len(twice), 'id')} more than once: {_name_some(twice)}", twice)
        tracks = list({t.key: t for t in tracks}.values())
    if not problems and not twice:
        report.add("labels", "ok", f"{len(tracks)} rows of {corpus.name}, every id once, every label in its range")
    return tracks


def _other_scale(report: Report, corpus: Corpus, problems: Sequence[str]) -> None:
    """Many labels off the scale: say what range they have, and where a scale is named."""
    texts = [m[1] for p in problems if (m := re.search(r"expected \S+ in \[.*received '(.*)'", p))]
    values = []
    for text in texts:
        with contextlib.suppress(ValueError):
            values.append(float(text))
    if values:
        advice = "is it another corpus' file, or are there two scales in it?"
        if corpus.name == "folder":
            advice = "name it in corpus.yaml, e.g. scale: [1, 9], unless there are two scales in it"
        text = f"{many(len(values), 'label')} off the scale ({corpus.scale}), from {min(values):g} to {max(values):g}"
        report.add("scale", "error", f"{text}: another scale? {advice}")


def _labels(report: Report, corpus: Corpus, tracks: Sequence[Track]) -> None:
    name = tracks[0].corpus if tracks else corpus.name  # a folder's own
    counts = dict.fromkeys(QUADRANTS, 0)
    for track in tracks:
        for quadrant, side in QUADRANTS.items():
            counts[quadrant] += track.side == side
    with_emotion = [t for t in tracks if t.has_emotion]
    if with_emotion:
        report.quadrants[name] = counts | {"on an axis": len(with_emotion) - sum(counts.values())}
        rare = [q for q, n in counts.items() if n < RARE_QUADRANT * len(with_emotion)]
        if rare and len(with_emotion) >= FEW:
            report.add("quadrants", "warning", f"{name}: hardly any tracks in {', '.join(rare)}", rare)
        groups = len(set(components(with_emotion)))
        text = f"{name}: {groups} groups (artist, song or series) of {len(with_emotion)} tracks"
        if groups < len(with_emotion):
            report.add("groups", "note", text)
        else:
            advice = "an artist may be on both sides; bring an artist column or the metadata files"
            report.add("groups", "warning", f"{text}: {advice}")
    elif tracks:
        kinds = {t.category or ", ".join(t.tags) for t in tracks}
        report.add("labels", "note", f"{name}: no valence or arousal; {len(kinds)} classes or sets of tags")
    _scale(report, corpus, [t for t in tracks if t.rated])


def _scale(report: Report, corpus: Corpus, rated: Sequence[Track]) -> None:
    """Do the values look as if they were on another scale than the corpus says?"""
    if len(rated) < FEW:
        return
    name = rated[0].corpus
    v = np.array([t.valence for t in rated], float)
    a = np.array([t.arousal for t in rated], float)
    for axis, x in (("valence", v), ("arousal", a)):
        if np.ptp(x) < 1e-9:
            report.add("scale", "error", f"{name}: {axis} is the same in every row")
        elif x.std() < 0.05:
            report.add("scale", "warning", f"{name}: {axis} hardly varies (sd {x.std():.3f} of [-1, 1])")
    varied = np.ptp(v) > 1e-9 and np.ptp(a) > 1e-9
    if varied and np.array_equal(v, a):
        report.add("scale", "error", f"{name}: valence and arousal are the same column")
    for half, low, high in (("upper", 0.0, 1.0), ("lower", -1.0, 0.0)):
        if all(((x >= low) & (x <= high)).all() for x in (v, a)):
            report.add(
                "scale",
                "error",
                f"{name}: every label lies in the {half} half of the scale ({corpus.scale}); "
                "the values are probably on another scale",
            )
    # Values of 0-1 in a table of, say, 0-9: a heap in the lowest corner, away from all others.
    corner = (v < -0.75) & (a < -0.75)
    rest = ~corner
    if corner.mean() > 0.05 and rest.any() and min(v[rest].min(), a[rest].min()) > -0.75:
        names = [t.key for t, c in zip(rated, corner, strict=True) if c]
        report.add(
            "scale",
            "error",
            f"{name}: {len(names)} tracks lie in the lowest corner and none between them and the rest: "
            f"two scales in one table? {_name_some(names)}",
            names,
        )
    together = f"; correlation {np.corrcoef(v, a)[0, 1]:+.2f}" if varied else ""
    report.add(
        "scale",
        "note",
        f"{name}: valence {v.min():+.2f} to {v.max():+.2f}, mean {v.mean():+.2f}; "
        f"arousal {a.min():+.2f} to {a.max():+.2f}, mean {a.mean():+.2f}{together}",
    )


def _swap(report: Report, corpus: Corpus, root: Path) -> None:
    """Static labels, as the file has them, against labels over time."""
    if corpus.dynamics is None:
        return
    try:
        over_time = corpus.dynamics(root)
    except DataError as error:
        report.add("swap", "error", f"{corpus.name}: labels over time cannot be used: {error}")
        return
    if not over_time:
        report.add("swap", "note", f"{corpus.name}: no labels over time here, so a swap cannot be seen")
        return
    with labels.tolerated():
        raw = corpora.read_labels(f"{corpus.name}:{root}", version=corpus.versions[-1] if corpus.versions else None)
    if corpus.name == "deam":
        tests = deam.swap_tests(root, raw)
    else:
        static = {t.track_id: (t.valence or 0.0, t.arousal or 0.0) for t in raw}
        tests = [swap_test("all", static, over_time)]
    report.swaps += [replace(t, block=f"{corpus.name} {t.block}") for t in tests]
    swapped = [t for t in tests if t.swapped]
    undecided = [t for t in tests if t.swapped is None]
    for test in swapped:
        text = f"{corpus.name}, songs {test.block}: valence and arousal are exchanged in the file ({test.songs} songs)"
        handled = corpus.name == "deam" and test.block == deam.BLOCKS[0][0] and report.version == "corrected"
        if handled:
            report.add("swap", "warning", f"{text}; put right while reading (labels: corrected)")
        else:
            report.add("swap", "error", f"{text}; every result on them is wrong")
    for test in undecided:
        text = f"{corpus.name}, songs {test.block}: {test.songs} songs with both kinds of labels do not decide"
        report.add("swap", "warning" if test.songs or len(undecided) == len(tests) else "note", text)
    if not swapped and len(undecided) < len(tests):
        report.add("swap", "ok", f"{corpus.name}: none found; static and dynamic labels agree, nothing is exchanged")


# -- splits and other corpora -----------------------------------------------------------------------


def _official(report: Report, corpus: Corpus, root: Path, tracks: Sequence[Track]) -> None:
    from .split import official

    named = corpus.official(root) if corpus.official else None
    try:
        for name in named or [""]:
            title = f"{corpus.name}, official {name or 'split'}"
            _split(report, title, official(tracks, named, name), tracks)
    except DataError:
        return  # no official split


def _split(report: Report, name: str, split: Split, tracks: Sequence[Track]) -> None:
    try:
        split = split.for_tracks(tracks)  # with the groups of today: an artist may be known only since
    except DataError as error:
        report.add("split", "error", str(error))
        return
    ours = name == "split"
    if leaks := split.leaks():
        text = f"{name}: {many(len(leaks), 'group')} in more than one part: {_name_some(leaks)}"
        report.add("split", "error" if ours else "warning", text, leaks)
    else:
        report.add("split", "ok", f"{name}: no group in more than one part")
    rows = [row for repeat in range(split.repeats) for row in _distributions(name, split, tracks, repeat)]
    report.splits += rows
    # Holm's correction: of many sound parts one or the other is at its tail.
    order = sorted(range(len(rows)), key=lambda i: rows[i]["p"])
    different = []
    for rank, i in enumerate(order):
        if rows[i]["p"] * (len(rows) - rank) >= KS_LEVEL:
            break
        row = rows[i]
        different.append(f"{row['part']} {row['axis']} (D {row['statistic']:.2f}, p {row['p']:.1g})")
    if different:
        text = f"{name}: labels are distributed otherwise in {_name_some(different)}"
        report.add("split", "warning", text, different)


def _distributions(name: str, split: Split, tracks: Sequence[Track], repeat: int) -> list[dict[str, Any]]:
    """Kolmogorov-Smirnov of each part's ratings against the other parts'; tracks count as independent."""
    from scipy.stats import ks_2samp

    parts = np.array(split.of(tracks, repeat))
    rated = np.array([t.rated for t in tracks])
    names = sorted(set(parts) - {UNUSED})
    rows = []
    for part in names if len(names) > 2 else names[:1]:  # of two parts, one against the other says all
        for axis in ("valence", "arousal"):
            values = np.array([getattr(t, axis) if t.rated else np.nan for t in tracks], float)
            inside, outside = values[rated & (parts == part)], values[rated & (parts != part) & (parts != UNUSED)]
            if min(len(inside), len(outside)) >= FEW:
                test = ks_2samp(inside, outside)
                label = str(part) if split.repeats == 1 else f"{part} of repeat {repeat}"
                row = {"split": name, "part": label, "axis": axis, "tracks": len(inside)}
                rows.append(row | {"statistic": float(test.statistic), "p": float(test.pvalue)})
    return rows


def _between(report: Report) -> None:
    """Recordings and groups that several corpora share."""
    where: dict[str, set[str]] = defaultdict(set)
    for track in report.tracks:
        if track.recording:
            where[track.recording].add(track.corpus)
    both = sorted(name for name, own in where.items() if len(own) > 1)
    if both:
        report.add(
            "overlap",
            "warning",
            f"{len(both)} recordings are in two corpora (DEAM up to id {deam.LAST_EMOMUSIC} is EmoMusic): never train "
            "on one and test on the other; splits of this project keep them together",
            both,
        )
    elif own := sum(t.corpus == "deam" and bool(t.recording) for t in report.tracks):
        text = f"{own} songs of deam are the recordings of emomusic: never train on one and test on the other"
        report.add("overlap", "note", text)
    groups: dict[str, set[str]] = defaultdict(set)
    for track in report.tracks:
        groups[track.group].add(track.corpus)
    if shared := sorted(g for g, own in groups.items() if len(own) > 1):
        text = f"{many(len(shared), 'group')} in several corpora, together in splits: {_name_some(shared)}"
        report.add("overlap", "note", text, shared)


# -- audio ------------------------------------------------------------------------------------------


def _files(report: Report, corpus: Corpus, root: Path, tracks: Sequence[Track]) -> None:
    missing = [t for t in tracks if not t.path.exists()]
    if missing:
        names = [t.track_id for t in missing]
        text = f"{corpus.name}: {len(missing)} of {len(tracks)} labelled tracks have no file: {_name_some(names)}"
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
        text = f"{corpus.name}: {many(len(spare), 'audio file')} without a label: {_name_some(spare)}"
        report.add("audio", "note", text, spare)


def listen_to(track: Track) -> Heard:
    """Decode a track's part and describe it.  Raises: SentioError if it cannot be read."""
    if track.path.suffix.lower() in MIDI:
        from .render import last_note_s

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


def _listen(report: Report, workers: int | None, progress: Callable[[str, int, int], None] | None) -> None:
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
        text = f"{many(len(broken), 'file')} cannot be decoded: {_name_some(list(broken.values()))}"
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
            "audio", "warning", f"{many(len(short), 'file')} shorter than {SHORT_S:g} s: {_name_some(short)}", short
        )
    if empty := [t.key for t in known if heard[t.key].silent == 1]:
        report.add("audio", "error", f"{many(len(empty), 'file')} silent throughout: {_name_some(empty)}", empty)
    if quiet := [t.key for t in known if SILENT_SHARE < heard[t.key].silent < 1 and not t.category]:
        text = f"{many(len(quiet), 'file')} silent for more than {SILENT_SHARE:.0%} of the time: {_name_some(quiet)}"
        report.add("audio", "warning", text, quiet)
    if cut := [t.key for t in known if t.duration_s and heard[t.key].seconds < 0.9 * t.duration_s]:
        report.add("audio", "warning", f"{many(len(cut), 'file')} too short for the label: {_name_some(cut)}", cut)
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
            line += f", labels in other quadrants ({_quadrant(one)}, {_quadrant(other)})"
        if groups[a] != groups[b]:
            line += ", in other groups"
        (harmful if groups[a] != groups[b] else harmless).append(line)
    if harmful:
        text = f"{many(len(harmful), 'pair')} of the same sound, which may be divided between training and test: "
        report.add("duplicates", "error", text + _name_some(harmful), harmful)
    if harmless:
        text = f"{many(len(harmless), 'pair')} of the same sound, within one group: {_name_some(harmless)}"
        report.add("duplicates", "note", text, harmless)
    if not pairs:
        report.add("duplicates", "ok", f"no two of {len(known)} files sound the same")


def _quadrant(track: Track) -> str:
    return next((name for name, side in QUADRANTS.items() if side == track.side), "-")


def distribution(tracks: Sequence[Track]) -> Counter:
    """Tracks per quadrant."""
    return Counter(_quadrant(t) for t in tracks)
