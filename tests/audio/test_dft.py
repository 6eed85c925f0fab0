"""The two-stage DFT against numpy's FFT."""

import numpy as np
import pytest

from sentio_tf.audio import decode
from sentio_tf.audio.dft import mel_groups, two_stage
from sentio_tf.audio.mel import filterbank, hann
from sentio_tf.contract import MEL, MelSpec

SPECS = {"ours": MEL, "up to half the rate": MelSpec(fmax=11_025.0), "short": MelSpec(n_fft=512, hop_length=128)}


def by_tables(x, spec, n1):
    """Complex outputs `(k1, k2)` of one frame, in float64 from the float32 tables."""
    tables = two_stage(spec, n1)
    columns = x.reshape(tables.n1, tables.n2)
    inner = np.einsum("ab,barc->brc", columns, tables.inner.astype(float))  # (n2, real|imaginary, k1)
    outer = np.einsum("brk,brsj->skj", inner, tables.outer.astype(float))
    return outer[0] + 1j * outer[1], tables


@pytest.mark.parametrize("n1", [32, 64])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_equals_numpy(spec, n1, rng):
    x = rng.standard_normal(spec.n_fft)
    found, tables = by_tables(x, spec, n1)
    expected = np.abs(np.fft.rfft(x * hann(spec.n_fft)))
    held = tables.bin_of >= 0
    np.testing.assert_allclose(np.abs(found[held]), expected[tables.bin_of[held]], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_bin_of_the_filters_once(spec):
    first, last, weights = filterbank(spec)
    bins = two_stage(spec).bin_of
    assert sorted(bins[bins >= 0]) == list(range(first, last))
    total = np.zeros(spec.n_mels)
    for group in mel_groups(spec):
        total[slice(*group.bands)] += group.weights.sum(axis=(0, 1))
    np.testing.assert_allclose(total, weights.sum(axis=0), rtol=1e-5)


def test_groups_leave_out_most_zeros():
    size = sum(group.weights.size for group in mel_groups(MEL))
    assert size < two_stage(MEL).bin_of.size * MEL.n_mels / 3


def test_frames_that_cannot_be_cut():
    with pytest.raises(ValueError, match="expected n_fft a multiple of 64 and of hop_length"):
        two_stage(MelSpec(hop_length=600))


def test_tables_of_half_precision_would_be_heard(tune):
    """Why they are float32: near the floor, the rounding of what is loud is as loud as what is there."""
    y = np.pad(decode.load(tune, duration_s=5), MEL.n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(y, MEL.n_fft)[:: MEL.hop_length]
    tables = two_stage(MEL)

    def power(kind):
        inner, outer = (t.astype(kind).astype(np.float64) for t in (tables.inner, tables.outer))
        columns = frames.reshape(len(frames), tables.n1, tables.n2)
        x = np.einsum("fab,barc->fbrc", columns, inner, optimize=True)
        x = np.einsum("fbrk,brsj->fskj", x, outer, optimize=True)
        return np.square(x).sum(axis=1)

    exact = power(np.float32)
    loud = (tables.bin_of >= 0) & (exact > exact.max() * 1e-7)
    off = np.abs(10 * np.log10(power(np.float16)[loud] / exact[loud]))
    assert off.max() > 0.1
