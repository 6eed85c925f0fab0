"""Sound without a header, out of a pipe."""

import io

import numpy as np
import pytest
import soxr

from sentio_tf.audio.pcm import pcm_blocks
from sentio_tf.errors import AudioError

RATE = 22_050


class Pipe:
    """Gives what was written into it, in pieces of the given sizes."""

    def __init__(self, content, sizes):
        self.file, self.sizes = io.BytesIO(content), iter(sizes)

    def read1(self, most):
        return self.file.read(min(most, next(self.sizes, most)))


@pytest.mark.parametrize(("encoding", "kind", "scale"), [("s16le", "<i2", 32_768), ("f32le", "<f4", 1)])
def test_samples_as_they_arrive(encoding, kind, scale, make_music):
    """Also where a read ends within a sample."""
    sound = (scale * make_music(1)).astype(kind)
    found = list(pcm_blocks(Pipe(sound.tobytes(), [1, 1, 3, 8, 333]), rate=RATE, encoding=encoding))
    assert [len(b) for b in found[:3]] == ([1, 1, 4] if kind == "<i2" else [1, 2, 83])
    assert {b.dtype for b in found} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(np.concatenate(found), sound.astype(np.float32) / np.float32(scale))


def test_another_rate_is_resampled(make_music):
    sound = make_music(3, rate=44_100)
    found = np.concatenate(list(pcm_blocks(Pipe(sound.tobytes(), [999] * 60), rate=44_100, encoding="f32le")))
    expected = soxr.resample(sound, 44_100, RATE, quality="HQ")
    assert abs(len(found) - len(expected)) <= 1
    np.testing.assert_allclose(found[: len(expected)], expected[: len(found)], atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"x"])
def test_not_one_sample(content):
    with pytest.raises(AudioError, match="expected s16le samples on standard input, received none"):
        list(pcm_blocks(io.BytesIO(content), rate=44_100))


def test_a_cut_sample_at_the_end_is_left_out():
    (block,) = pcm_blocks(io.BytesIO(b"\0\x40\0"), rate=RATE)
    assert block.tolist() == [0.5]
