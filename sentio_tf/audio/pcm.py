"""Sound without a header, as a microphone or a decoder writes it into a pipe, to mono float32 blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soxr

from ..contract import SAMPLE_RATE
from ..errors import AudioError

# Names as FFmpeg's -f; full scale of the integers.
ENCODINGS = {"s16le": ("<i2", 32_768.0), "f32le": ("<f4", 1.0)}
READ = 65_536  # bytes at most; a pipe gives what it has


def pcm_blocks(
    file: BinaryIO, *, rate: int, encoding: str = "s16le", sample_rate: int = SAMPLE_RATE
) -> Iterator[np.ndarray]:
    """Stream mono float32 blocks at `sample_rate` [Hz] as they arrive; memory does not grow.

    Args:
        file: buffered binary file of mono samples at `rate` [Hz].
        encoding: one of `ENCODINGS`.

    Raises: AudioError if there is not one sample, or a rate that cannot be resampled.
    """
    kind, full_scale = ENCODINGS[encoding]
    size = np.dtype(kind).itemsize
    try:
        resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
    except (ValueError, RuntimeError) as error:
        raise AudioError(f"-: a sample rate of {rate} Hz cannot be resampled ({error}); choose another") from None
    direct = rate == sample_rate
    rest, count = b"", 0
    while content := file.read1(READ):  # type: ignore[attr-defined]  # whatever there is, without waiting for more
        content = rest + content
        whole = len(content) - len(content) % size
        rest = content[whole:]  # of a sample that is still on its way
        samples = (np.frombuffer(content[:whole], kind) / np.float32(full_scale)).astype(np.float32)
        count += len(samples)
        if len(samples):
            yield samples if direct else resampler.resample_chunk(samples)
    if not count:
        raise AudioError(f"-: expected {encoding} samples on standard input, received none; check what writes them")
    if not direct:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)
