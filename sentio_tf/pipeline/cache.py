"""Log-mels (or waveforms) of tracks on disk, computed once: sharded, checked, shared by processes.

A cache is a folder: `spec.json` says what its arrays are, `*.shard` hold them (`shards`).  A cache of
other parameters is refused, never mixed.  Shards appear whole, so a killed build continues where it
stopped; processes that build the same cache lock the unit they work on and skip what others did.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import multiprocessing
import os
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import decode, mel
from ..audio.content import content_id, remember
from ..config import cache_root
from ..contract import MEL, MelSpec
from ..corpora.track import Track
from ..errors import ConfigError, DataError, SentioError
from .generated import read_log_mel
from .locks import Locks
from .shards import SUFFIX, Codes, Entry, Shard, ShardDamaged, write

VERSION = 3
STEP_16 = 1 / 128  # dB
RANGE_8 = 120.0  # dB below the loudest value of a track that 8 bits reach: 80 for the floor, 40 for quiet windows
UNIT_TRACKS = 32  # tracks a shard, at most
UNIT_BYTES = 256 << 20  # of their files
MAPPED = 100  # shards mapped at a time: each holds a descriptor, of which a process may have 256

Progress = Callable[[str, int, int], None]  # step, done, total


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a cache holds and where.

    Args:
        root: folder of all caches; this one is `root/log-mel` or `root/waveform`, and has a name of its own
            beside them for another front end or rate (`folder`).
        holds: "log-mel" (dB, without the floor that belongs to a window), "waveform" (mono, 16 bit; for
            augmentation of the sound itself) or "nothing" (every example is decoded from its file).
        bits: 16 (steps of 1/128 dB) or 8 (256 steps over at most 120 dB of a track); see docs/cache.md.
        mel: the front end.
        decoder: "native", or "tfio" for decoding inside the graph (`holds` "nothing", extra [tfio]).
    """

    root: Path = dataclasses.field(default_factory=cache_root)
    holds: str = "log-mel"
    bits: int = 16
    mel: MelSpec = MEL
    decoder: str = "native"

    def __post_init__(self):
        known = {"holds": ("log-mel", "waveform", "nothing"), "bits": (8, 16), "decoder": ("native", "tfio")}
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name}: expected one of {choices}, received {getattr(self, name)!r}")
        if self.decoder == "tfio" and self.holds != "nothing":
            raise ConfigError(f"decoder: tfio decodes in the graph, expected holds='nothing', received {self.holds!r}")
        if self.holds == "waveform" and self.bits != 16:
            raise ConfigError(f"bits: a waveform needs 16, received {self.bits}")

    @property
    def folder(self) -> Path:
        """`root/log-mel`, or `root/log-mel-<8 hex>` of another front end; `root/waveform`, or `root/waveform-16000`."""
        if self.holds == "log-mel" and (front_end := _parameters(self.mel)) != _parameters(MEL):
            text = json.dumps(front_end, sort_keys=True)
            return self.root / f"log-mel-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if self.holds == "waveform" and self.mel.sample_rate != MEL.sample_rate:
            return self.root / f"waveform-{self.mel.sample_rate}"
        return self.root / self.holds

    def parameters(self) -> dict[str, Any]:
        """What two caches must agree in, for spec.json."""
        values: dict[str, Any] = {"version": VERSION, "holds": self.holds, "bits": self.bits}
        if self.holds == "log-mel":
            return values | _parameters(self.mel)
        return values | {"sample_rate": self.mel.sample_rate}


def _parameters(spec: MelSpec) -> dict[str, Any]:
    """A front end without its floor, which belongs to a window; a frequency is one number, written 8000 or 8000.0."""
    kinds = {field.name: float if field.type == "float" else int for field in dataclasses.fields(spec)}
    return {name: kinds[name](value) for name, value in dataclasses.asdict(spec).items() if name != "top_db"}


def entry_id(track: Track) -> str:
    """Name of the part of the file that a track is about: content, start and duration.

    A corpus that is copied, moved or downloaded again keeps its entries, and a run its identity.
    Raises: DataError if the file is gone.
    """
    try:
        content = content_id(track.path)
    except OSError as error:
        raise DataError(f"{track.path}: cannot be read ({error.strerror}); complete the corpus") from None
    parts = (content, track.start_s, track.duration_s)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


class Cache:
    """The arrays of tracks; made by `open_cache`.

    Raises: DataError if the folder holds a cache of other parameters.
    """

    def __init__(self, spec: Spec):
        self.spec = spec
        self.folder = spec.folder
        self._shards: dict[Path, Shard] = {}
        self._where: dict[str, Shard] = {}
        self._mapped: OrderedDict[Path, Shard] = OrderedDict()  # used last at the end
        self._ids: dict[tuple, str] = {}  # of the parts of files that were asked for
        self._check_spec()
        self._unsaid = self.refresh()  # damage that was found before there was somebody to tell

    def _check_spec(self) -> None:
        file = self.folder / "spec.json"
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError("no names and values")
        except (FileNotFoundError, NotADirectoryError):
            if any(self.folder.glob(f"*{SUFFIX}")):
                raise DataError(f"{file}: missing, so the shards beside it say nothing; remove them") from None
            return
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: expected the cache's parameters, received {error}; remove the folder") from None
        wanted = self.spec.parameters()
        different = [
            f"{name} {found.get(name)!r} there, {wanted.get(name)!r} asked"
            for name in sorted(wanted.keys() | found.keys())
            if found.get(name) != wanted.get(name)
        ]
        if different:
            raise DataError(
                f"{self.folder}: the cache was built with other parameters ({'; '.join(different)}); "
                "name another --cache or remove this folder"
            )

    def refresh(self) -> list[str]:
        """See the shards that are there now; returns a line for each damaged one, which is removed."""
        damaged = []
        there = set(self.folder.glob(f"*{SUFFIX}"))
        for gone in self._shards.keys() - there:
            self._forget(self._shards[gone])
        for path in sorted(there - self._shards.keys()):
            try:
                shard = Shard(path)
            except FileNotFoundError:
                continue  # another process has just discarded it
            except ShardDamaged as error:
                damaged.append(self._discard(path, str(error)))
                continue
            except OSError as error:
                raise DataError(f"{path}: the shard cannot be read ({error.strerror})") from None
            self._shards[path] = shard
            self._where.update(dict.fromkeys(shard.entries, shard))
        return damaged

    def _discard(self, path: Path, reason: str) -> str:
        """Remove a damaged shard, unless another process has put a new one in its place."""
        shard = self._shards.get(path)
        if shard is None or shard.is_in_place():
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise DataError(
                    f"{path}: damaged ({reason}), and cannot be removed ({error.strerror}); remove it or name another "
                    "--cache"
                ) from None
        if shard:
            self._forget(shard)
        return f"{path.name}: damaged shard removed ({reason})"

    def _forget(self, shard: Shard) -> None:
        del self._shards[shard.path]
        self._mapped.pop(shard.path, None)
        # Another process may have written the same entry a second time.
        self._where = {id_: s for s in self._shards.values() for id_ in s.entries}

    def holds(self, track: Track) -> bool:
        return entry_id(track) in self._where

    def read(self, track: Track) -> Codes:
        """The whole track, `(frames, n_mels)` in dB or `(samples, 1)`, mapped from disk; slices are float32.

        What a build or an earlier read of this process saw counts: a file that is touched or unmounted
        during training does not matter.  Raises: DataError if it is not in the cache, or damaged (the
        shard is removed then).
        """
        part = (track.path, track.start_s, track.duration_s)
        id_ = self._ids.get(part)
        if id_ is None or id_ not in self._where:
            id_ = self._ids[part] = entry_id(track)
        if id_ not in self._where:
            raise DataError(f"{track.key}: not in the cache {self.folder}; build it first")
        shard = self._where[id_]
        try:
            codes = shard.read(id_)
        except ShardDamaged as error:
            raise DataError(f"{self._discard(shard.path, str(error))}; run again to rebuild it") from None
        except OSError as error:
            raise DataError(f"{shard.path}: the shard cannot be read ({error.strerror})") from None
        self._mapped.pop(shard.path, None)  # to the end; another thread may have taken it out
        self._mapped[shard.path] = shard
        while len(self._mapped) > MAPPED:
            self._mapped.popitem(last=False)[1].release()
        return codes

    def size(self) -> tuple[float, int]:
        """Hours of music and bytes of the shards."""
        rate = self.spec.mel.sample_rate / (self.spec.mel.hop_length if self.spec.holds == "log-mel" else 1)
        entries: dict[str, Entry] = {id_: e for s in self._shards.values() for id_, e in s.entries.items()}
        rows = sum(e.rows for e in entries.values())
        return rows / rate / 3600, sum(path.stat().st_size for path in self._shards)

    # -- building ---------------------------------------------------------------------------------

    def build(
        self,
        tracks: Sequence[Track],
        *,
        workers: int | None = None,
        progress: Progress | None = None,
        report: Callable[[str], None] | None = None,
    ) -> dict[str, str]:
        """Compute what is missing; returns `{track key: reason}` of the files that failed.

        What is there is compared with its checksums; a damaged shard is removed, `report`ed, and its
        tracks are computed again.  Raises: DataError if the folder cannot be written.
        """
        if self.spec.holds == "nothing":
            return {}
        self._check_spec()  # the folder may have become another cache's since it was opened
        failed: dict[str, str] = {}
        wanted: dict[str, list[Track]] = {}  # the same part of a file may stand under several keys
        for track in tracks:
            try:
                id_ = entry_id(track)
            except DataError as error:
                failed[track.key] = str(error)
                continue
            self._ids[track.path, track.start_s, track.duration_s] = id_
            wanted.setdefault(id_, []).append(track)
        damaged, self._unsaid = [*self._unsaid, *self.refresh(), *self._verify(wanted)], []
        for line in damaged:
            if report:
                report(f"{line}; its tracks are computed again")
        missing = {id_: own[0] for id_, own in wanted.items() if id_ not in self._where}
        if missing:
            self._create_folder()
            done = 0

            def step() -> None:
                nonlocal done
                done += 1
                if progress:
                    progress(self.spec.holds, done, len(missing))

            why = self._build_units(list(units(missing)), workers or os.cpu_count() or 1, step)
            failed |= {track.key: reason for id_, reason in why.items() for track in wanted[id_]}
        return failed

    def _verify(self, ids) -> list[str]:
        damaged = []
        for id_ in ids:
            if shard := self._where.get(id_):
                try:
                    shard.read(id_)
                except ShardDamaged as error:
                    damaged.append(self._discard(shard.path, str(error)))
        return damaged

    def _create_folder(self) -> None:
        file = self.folder / "spec.json"
        part = self.folder / f"spec.{os.getpid()}.part"
        with _disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self.spec.parameters(), indent=1) + "\n", encoding="utf-8")
            try:
                os.link(part, file)  # fails where another process was first, which a rename would not
            except FileExistsError:
                pass
            except OSError:  # no links on this file system
                if not file.exists():
                    os.replace(part, file)
            part.unlink(missing_ok=True)
        self._check_spec()

    def _build_units(self, todo: list[dict[str, Track]], workers: int, step: Callable[[], None]) -> dict[str, str]:
        failed: dict[str, str] = {}
        flying: deque[Flight] = deque()
        with (
            _disk_errors(self.folder),
            Locks(self.folder / "lock") as locks,
            ProcessPoolExecutor(workers, mp_context=_context(), initializer=_single_thread) as pool,
        ):
            try:
                others = []
                for unit in todo:
                    if locks.acquire(unit_name(unit), wait=False):
                        flying.append(self._launch(pool, unit, step))
                    else:
                        others.append(unit)
                    if len(flying) > 1:  # one unit is computed while the next is queued: no worker idles
                        self._land(flying.popleft(), locks, failed, step)
                while flying:
                    self._land(flying.popleft(), locks, failed, step)
                for unit in others:  # another process' work: wait for it, do what it left
                    locks.acquire(unit_name(unit), wait=True)
                    self._land(self._launch(pool, unit, step), locks, failed, step)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return failed

    def _launch(self, pool: ProcessPoolExecutor, unit: dict[str, Track], step: Callable[[], None]) -> Flight:
        self.refresh()  # another process may have done it in the meantime
        rest = {id_: t for id_, t in unit.items() if id_ not in self._where}
        for _ in range(len(unit) - len(rest)):
            step()
        return Flight(unit_name(unit), {pool.submit(compute, t, self.spec): (id_, t) for id_, t in rest.items()})

    def _land(self, flight: Flight, locks: Locks, failed: dict[str, str], step: Callable[[], None]) -> None:
        arrays = []
        for job in as_completed(flight.jobs):
            id_, track = flight.jobs[job]
            try:
                arrays.append((id_, track.key, job.result()))
            except SentioError as error:
                failed[id_] = str(error)
            except BrokenProcessPool:
                raise DataError(
                    "a worker of the cache was killed: out of memory, or this is a script that starts processes "
                    "without `if __name__ == '__main__':`; run again to continue"
                ) from None
            except OSError:
                raise  # the disk's, not the track's
            except Exception as error:  # one strange file must not lose the others
                failed[id_] = f"{track.path}: {type(error).__name__}: {error}"
            step()
        if arrays:
            arrays.sort(key=lambda a: a[1])
            # A shard of that name stands where some of its tracks failed earlier: it stays, this is another.
            path = self.folder / f"{flight.name}{SUFFIX}"
            write(path if not path.exists() else path.with_stem(f"{flight.name}-{os.getpid()}"), arrays)
            self.refresh()
        locks.release(flight.name)


@dataclasses.dataclass
class Flight:
    """A unit in work: the name of its shard, and what each job computes."""

    name: str
    jobs: dict[Future, tuple[str, Track]]


_open: dict[Spec, Cache] = {}


def open_cache(spec: Spec) -> Cache:
    """The cache of `spec`; the same object each time within a process.  Raises: DataError (see `Cache`)."""
    if spec not in _open:
        _open[spec] = Cache(spec)
    remember(spec.root)
    return _open[spec]


def units(missing: dict[str, Track]) -> Iterator[dict[str, Track]]:
    """Tracks that share a shard: in order of their names, so that every process forms the same."""
    unit: dict[str, Track] = {}
    size = 0
    for id_, track in sorted(missing.items(), key=lambda item: (item[1].key, item[0])):
        length = track.path.stat().st_size
        if unit and (len(unit) == UNIT_TRACKS or size + length > UNIT_BYTES):
            yield unit
            unit, size = {}, 0
        unit[id_] = track
        size += length
    if unit:
        yield unit


def unit_name(unit: dict[str, Track]) -> str:
    """Name of a shard: a hash of what was to be in it."""
    return hashlib.sha256("".join(sorted(unit)).encode()).hexdigest()[:24]


def _context() -> multiprocessing.context.BaseContext | None:
    """How workers begin: as Python does it, but JAX' threads do not survive a fork."""
    return multiprocessing.get_context("spawn") if "jax" in sys.modules else None


def _single_thread() -> None:
    """In a worker: one BLAS thread, or the workers' threads wait for one another."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def compute(track: Track, spec: Spec) -> Codes:
    """The array of one track.  Raises: AudioError if the file cannot be read, DataError for a generated one."""
    if track.generated:
        return quantize(read_log_mel(track, spec.holds, spec.mel).T, spec.bits)
    y = decode.load(track.path, offset_s=track.start_s, duration_s=track.duration_s, sample_rate=spec.mel.sample_rate)
    if spec.holds == "waveform":
        return Codes(np.round(y * 32767).astype(np.int16)[:, None], 1 / 32767)
    return quantize(mel.log_mel(y, spec=unlimited(spec.mel), rfft=fast_rfft()).T, spec.bits)


def fast_rfft():
    """SciPy's real FFT, which transforms several float32 rows at once; this storey may use it."""
    from scipy.fft import rfft

    return rfft


def unlimited(spec: MelSpec) -> MelSpec:
    """The front end without the floor, which belongs to a window and is applied when one is cut."""
    return dataclasses.replace(spec, top_db=1e9)


def quantize(values: np.ndarray, bits: int) -> Codes:
    """Codes of values in dB, error at most half a step: 1/256 dB (16 bit), at most 120/510 dB (8 bit).

    With 8 bit, values more than `RANGE_8` below the largest become that.  Raises: DataError for NaN or inf.
    """
    if not np.isfinite(values).all():
        raise DataError("expected a finite log-mel, received NaN or inf; get the file again")
    if bits == 16:
        # Never reached by a log-mel, -100 to about 60 dB, but a wrapped code would be a loud lie.
        codes = np.clip(np.round(values / STEP_16), -32768, 32767)
        return Codes(codes.astype(np.int16), STEP_16)
    top = float(values.max())
    zero = max(float(values.min()), top - RANGE_8)
    scale = max(top - zero, 1e-3) / 255
    codes = np.round((np.maximum(values, zero) - zero) / scale)
    return Codes(np.clip(codes, 0, 255).astype(np.uint8), scale, zero)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = "no space left" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        raise DataError(
            f"{folder}: the cache cannot be written ({what}); what is finished stays; "
            "free space or name another --cache, and run again to continue"
        ) from None
