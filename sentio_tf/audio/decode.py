"""Any audio file to mono float32 at the contract's rate, as a stream of blocks.

Content decides, not the extension: libsndfile (wav, mp3, flac, ogg, opus, aiff ...) is asked first,
FFmpeg through PyAV (m4a, aac, webm, ...) takes what it refuses.  Both give samples at the file's own
rate; soxr resamples, because FFmpeg's resampler differs from it by far (8 dB SNR).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ..contract import SAMPLE_RATE, SILENCE_PEAK
from ..errors import AudioError
from ..terminal import quiet
from . import headers

BLOCK_S = 5.0
# Decoded float audio may overshoot full scale a little; far beyond it the file holds integers as floats.
ABSURD_PEAK = 16.0
# A header may promise a little more than there is (encoder padding, estimated lengths).
MISSING_S = 1.0
MISSING_SHARE = 0.01
# FFmpeg formats that open other files.
PLAYLISTS = ("concat", "hls", "dash", "sdp")


@dataclass
class Source:
    """An open file: its own rate, channels, promised length, and a reader of blocks.

    `read` yields float32 `(frames, channels)` at `sample_rate` [Hz]; `promised_s` is what the header
    says remains from the offset on, None where it says nothing.
    """

    sample_rate: int
    channels: int
    promised_s: float | None
    read: Iterator[np.ndarray]
    streams: int = 1


@dataclass(frozen=True)
class Format:
    """What a file's header says: rate [Hz], channels, length [s] (None where it says nothing), audio streams."""

    sample_rate: int
    channels: int
    duration_s: float | None
    streams: int = 1


class _ForFFmpeg(Exception):
    """libsndfile opens the file but would not read all of it."""


class _Forwards(soundfile.SoundFile):
    """Reads on from where it is.

    soundfile seeks to the place behind every block that it has read, where a file can seek; libmpg123 then begins anew
    there, without the bits that an MP3 keeps in the frames before: some 30 ms of other sound at every block's start.
    """

    def seekable(self) -> bool:
        return False


@contextmanager
def _open_soundfile(path: Path, offset_s: float) -> Iterator[Source]:
    # By descriptor: given a name, libsndfile would guess headerless formats from its extension.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    with _Forwards(descriptor) as file:
        if file.frames >= 1 << 62:  # a stream without a length
            raise _ForFFmpeg
        if file.format == "MP3" and not headers.mp3_length_is_known(path):
            raise _ForFFmpeg
        if file.format == "OGG":
            state = headers.ogg_state(path)
            if state == "chained":
                raise _ForFFmpeg
            if state != "whole":
                raise AudioError(f"{path}: the file is damaged or cut short (its last page is missing); get it again")
        start = min(round(offset_s * file.samplerate), file.frames)
        stretch = max(1.0, (headers.stated_size(path) or 0) / path.stat().st_size)

        def read() -> Iterator[np.ndarray]:
            # libmpg123 writes notes to stderr.
            hush = quiet if file.format == "MP3" else nullcontext
            # As behind a seek: what an MP3's decoder needs of the frames before is heard, too, and dropped.
            lead = min(start, file.samplerate // 2) if file.format == "MP3" else 0
            if start:
                with hush():
                    file.seek(start - lead)
                    file.read(lead, dtype="float32", always_2d=True)
            size = int(BLOCK_S * file.samplerate)
            while True:
                with hush():
                    block = file.read(size, dtype="float32", always_2d=True)
                if not len(block):
                    return
                yield block

        yield Source(file.samplerate, file.channels, (file.frames * stretch - start) / file.samplerate, read())


@contextmanager
def _open_av(path: Path, offset_s: float) -> Iterator[Source]:
    import av  # slow to import and rarely needed

    if (headers.stated_size(path) or 0) > (1 + MISSING_SHARE) * path.stat().st_size:
        raise AudioError(f"{path}: the file is damaged or cut short by its header; get it again or convert it")
    # "file:" keeps FFmpeg from taking a colon in the name for a protocol.
    with av.open(f"file:{path}", metadata_errors="ignore") as container:
        if container.format.name in PLAYLISTS:
            raise AudioError(f"{path}: expected audio, received a list of other files; name the files themselves")
        if not container.streams.audio:
            raise AudioError(f"{path}: expected an audio stream, received a file without one; give a music file")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise AudioError(f"{path}: expected a known codec, received one that cannot be decoded here; convert it")
        rate, channels = stream.rate, stream.channels
        if not rate or not channels:
            raise ValueError("no sample rate")
        total: float | None = None
        if stream.duration is not None and stream.time_base is not None:
            total = float(stream.duration * stream.time_base)
        elif container.duration and len(container.streams) == 1:  # else it may be the video's
            total = container.duration / av.time_base
        # These have no length of their own: FFmpeg estimates one from the bitrate, which promises nothing.
        if container.format.name in ("aac", "mp3", "ogg"):
            total = None

        def read() -> Iterator[np.ndarray]:
            to_float = av.AudioResampler(format="flt")  # sample format only: rate and layout stay
            skip = round(offset_s * rate)
            if offset_s > 1 and total is not None:
                container.seek(int((offset_s - 1) * av.time_base))
            position: int | None = None
            for frame in container.decode(stream):
                if position is None:
                    at = frame.time if frame.time is not None and offset_s > 1 else 0.0
                    position = max(0, round(at * rate))
                if frame.rate != rate or frame.layout.nb_channels != channels:
                    raise AudioError(
                        f"{path}: the sample rate or the channels change at {position / rate:.1f} s "
                        f"({rate} Hz, {channels} -> {frame.rate} Hz, {frame.layout.nb_channels}); convert it to one"
                    )
                for part in to_float.resample(frame):
                    block = part.to_ndarray().reshape(-1, channels)
                    first = min(max(skip - position, 0), len(block))
                    position += len(block)
                    if first < len(block):
                        yield np.asarray(block[first:], np.float32)

        promised = None if total is None else max(0.0, total - offset_s)
        yield Source(rate, channels, promised, read(), streams=len(container.streams.audio))


@contextmanager
def open_audio(path: str | Path, *, offset_s: float = 0.0) -> Iterator[Source]:
    """Open a file for reading from `offset_s` [s] on.

    Raises: AudioError naming the file and the reason if it is missing, a folder, empty, damaged or
        not audio.
    """
    path = Path(path)
    check_readable(path)
    source = _open_soundfile(path, offset_s)
    try:
        with quiet():
            opened = source.__enter__()
    except (soundfile.LibsndfileError, _ForFFmpeg):
        source = _open_av(path, offset_s)
        import av

        try:
            opened = source.__enter__()
        except (av.FFmpegError, ValueError, IndexError):
            raise AudioError(
                f"{path}: expected an audio file (wav, mp3, flac, ogg, opus, m4a, aac, webm), "
                "received content that no decoder recognises; convert it or leave it out"
            ) from None
    try:
        yield opened
    finally:
        opened.read.close()  # type: ignore[attr-defined]
        source.__exit__(None, None, None)


def check_readable(path: Path) -> None:
    """Raise AudioError if `path` is missing, no plain file, not readable or empty."""
    try:
        if path.is_dir():
            raise AudioError(f"{path}: expected an audio file, received a folder; name the files in it")
        if not path.exists():
            raise AudioError(f"{path}: no such file; check the name")
        if not path.is_file():
            raise AudioError(f"{path}: expected a plain file, received a pipe or device; save it to a file first")
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: the file is empty (0 bytes); get it again")
        with path.open("rb"):
            pass
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the name and its permissions") from None


def blocks(
    path: str | Path,
    *,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    sample_rate: int = SAMPLE_RATE,
    on_format: Callable[[Format], None] | None = None,
) -> Iterator[np.ndarray]:
    """Stream mono float32 blocks in [-1, 1] at `sample_rate` [Hz]; memory does not grow with the file.

    Mono is the mean of the channels.  Only `duration_s` [s] from `offset_s` [s] on are decoded.
    `on_format` is called once with the header.

    Raises: AudioError (see `open_audio`), also for damaged or cut files, NaN or infinite samples,
    samples far outside [-1, 1], and files without a single sample in the part asked for.
    """
    path = Path(path)
    if offset_s < 0 or (duration_s is not None and duration_s <= 0):
        raise AudioError(f"{path}: expected offset >= 0 s and duration > 0 s, received {offset_s} and {duration_s}")
    with open_audio(path, offset_s=offset_s) as source:
        rate = source.sample_rate
        if on_format:
            on_format(Format(rate, source.channels, source.promised_s, source.streams))
        limit = None if duration_s is None else round(duration_s * rate)
        try:
            stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
        except (ValueError, RuntimeError) as error:
            raise AudioError(f"{path}: a sample rate of {rate} Hz cannot be resampled ({error}); convert it") from None
        direct = rate == sample_rate
        count = given = 0
        loudest = loudest_mono = 0.0
        for block in _guarded(path, source, offset_s):
            if limit is not None:
                block = block[: limit - count]
            loudest = max(loudest, _peak(path, block, offset_s + count / rate))
            mono = block.mean(axis=1, dtype=np.float32) if block.shape[1] > 1 else block[:, 0]
            loudest_mono = max(loudest_mono, float(np.abs(mono).max(initial=0.0)))
            count += len(mono)
            out = mono if direct else stream.resample_chunk(mono)
            if len(out):
                given += len(out)
                yield np.clip(out, -1.0, 1.0)
            if limit is not None and count >= limit:
                break
        if count == 0:
            where = f" from {offset_s:g} s on" if offset_s else ""
            raise AudioError(f"{path}: expected audio, received a file without a single sample{where}; get it again")
        _check_length(path, source, count / rate, limit is not None and count >= limit)
        if loudest_mono < SILENCE_PEAK < loudest:
            raise AudioError(
                f"{path}: the channels cancel each other out in mono (one is inverted); invert it or take one channel"
            )
        if not direct:
            rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
            if len(rest):
                given += len(rest)
                yield np.clip(rest, -1.0, 1.0)
        if not given:
            raise AudioError(f"{path}: expected audio, received {count} samples, too few to resample; get it again")


def _guarded(path: Path, source: Source, offset_s: float) -> Iterator[np.ndarray]:
    """Blocks of `source`, a decoder's failure turned into one line."""
    seconds = offset_s
    try:
        for block in source.read:
            yield block
            seconds += len(block) / source.sample_rate
    except GeneratorExit:
        raise
    except AudioError:
        raise
    except Exception as error:  # libsndfile and FFmpeg raise many kinds; all mean a damaged file here
        detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise AudioError(
            f"{path}: the file is damaged at {seconds:.1f} s ({detail}); get it again or convert it"
        ) from None


def _peak(path: Path, block: np.ndarray, at_s: float) -> float:
    """Largest magnitude of a block; AudioError for NaN, inf, or values that are no audio."""
    peak = float(np.abs(block).max(initial=0.0))  # NaN and inf come through
    if not np.isfinite(peak):
        raise AudioError(f"{path}: expected finite samples, received NaN or inf near {at_s:.1f} s; convert it again")
    if peak > ABSURD_PEAK:
        raise AudioError(
            f"{path}: expected samples in [-1, 1], received {peak:.3g} near {at_s:.1f} s; "
            "scale the file (integers stored as floats?)"
        )
    return peak


def _check_length(path: Path, source: Source, seconds: float, limited: bool) -> None:
    if limited or source.promised_s is None:
        return
    missing = source.promised_s - seconds
    if missing > MISSING_S and missing > MISSING_SHARE * source.promised_s:
        raise AudioError(
            f"{path}: the file is damaged or cut short, {seconds:.1f} s decode of {source.promised_s:.1f} s "
            "that its header promises; get it again or convert it"
        )


def load(
    path: str | Path, *, offset_s: float = 0.0, duration_s: float | None = None, sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """The whole (part of a) file as one mono float32 array, shape `(samples,)`; see `blocks`."""
    return np.concatenate(list(blocks(path, offset_s=offset_s, duration_s=duration_s, sample_rate=sample_rate)))
