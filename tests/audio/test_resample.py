"""The resampler of phones and browsers: near soxr HQ on music, the same in pieces as whole."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.audio.resample import KaiserSinc, Resampler, resample

from ..conftest import music


def snr_db(found, expected):
    n = min(len(found), len(expected))
    wanted = np.asarray(expected[:n], float)
    return 10 * np.log10(np.sum(wanted**2) / np.sum((np.asarray(found[:n], float) - wanted) ** 2))


@pytest.mark.parametrize(
    ("rate_in", "rate_out"),
    [(44_100, 22_050), (48_000, 22_050), (44_100, 16_000), (48_000, 16_000), (16_000, 22_050), (44_101, 22_050)],
)
def test_near_soxr_on_music(rate_in, rate_out):
    """The goal is 55 dB; Chromium's own resampler reaches 29."""
    sound = soxr.resample(music(3, seed=1), 22_050, rate_in, quality="VHQ").astype(np.float32)
    sound += 1e-3 * np.random.default_rng(0).normal(size=len(sound)).astype(np.float32)
    assert snr_db(resample(sound, rate_in, rate_out), soxr.resample(sound, rate_in, rate_out, quality="HQ")) > 55


@pytest.mark.parametrize("rate_in", [44_100, 48_000])
def test_tones_pass_or_do_not(rate_in):
    """Below 90 % of the Nyquist frequency unchanged, beyond it gone, and nothing folded back."""
    t = np.arange(rate_in) / rate_in
    for hertz in (50, 1000, 9900):
        tone = np.sin(2 * np.pi * hertz * t).astype(np.float32)
        found = resample(tone, rate_in, 22_050)[1000:-1000]
        expected = np.sin(2 * np.pi * hertz * np.arange(22_050) / 22_050)[1000:-1000]
        np.testing.assert_allclose(found, expected, atol=2e-4)
    for hertz in (11_500, 15_000):
        tone = np.sin(2 * np.pi * hertz * t).astype(np.float32)
        assert np.abs(resample(tone, rate_in, 22_050)[1000:-1000]).max() < 1e-3


@given(
    st.sampled_from([(44_100, 22_050), (48_000, 22_050), (8_000, 22_050), (3, 7), (7, 3)]),
    st.lists(st.integers(0, 700), max_size=8),
)
@settings(deadline=None, max_examples=40)
def test_in_pieces_it_is_the_same(rates, pieces):
    sound = np.random.default_rng(1).normal(size=sum(pieces)).astype(np.float32)
    kernel = KaiserSinc(taps=33)
    stream = Resampler(*rates, kernel)
    found = [stream.push(part) for part in np.split(sound, np.cumsum(pieces)[:-1] if pieces else [])]
    found.append(stream.finish())
    whole = resample(sound, *rates, kernel)
    np.testing.assert_allclose(np.concatenate(found), whole, atol=1e-6)
    assert len(whole) == int(len(sound) * rates[1] / rates[0] + 0.5)


def test_as_its_definition_says():
    """Sample by sample, from the formula in the module."""
    rng = np.random.default_rng(2)
    sound, kernel, rates = rng.normal(size=200).astype(np.float32), KaiserSinc(taps=9, beta=3, cutoff=0.9), (5, 3)
    width, c = 4, 0.9 * 3 / 5
    expected = []
    for n in range(120):
        p = n * 5 / 3
        around = np.arange(np.floor(p) - width, np.floor(p) + width + 1)
        t = p - around
        window = np.i0(3 * np.sqrt(np.maximum(0, 1 - (t / width) ** 2)))
        h = np.where(np.abs(t) <= width + 1e-9, np.sinc(c * t) * window, 0)
        x = np.array([sound[int(k)] if 0 <= k < 200 else 0 for k in around])
        expected.append((x * h).sum() / h.sum())
    np.testing.assert_allclose(resample(sound, *rates, kernel), expected, atol=1e-5)


def test_a_constant_stays_in_the_middle():
    found = resample(np.full(20_000, 0.5, np.float32), 48_000, 22_050)
    np.testing.assert_allclose(found[200:-200], 0.5, atol=1e-6)


def test_memory_does_not_grow():
    stream = Resampler(48_000, 22_050)
    for _ in range(50):
        stream.push(np.zeros(4800, np.float32))
        assert len(stream._buffer) < 1000


def test_nothing_gives_nothing():
    assert len(resample(np.zeros(0, np.float32), 44_100, 22_050)) == 0


@pytest.mark.parametrize("wrong", [{"taps": 8}, {"taps": 1}, {"beta": -1.0}, {"cutoff": 0.0}, {"cutoff": 1.1}])
def test_wrong_kernels(wrong):
    with pytest.raises(ValueError, match="expected an odd number of taps"):
        KaiserSinc(**wrong)


@pytest.mark.parametrize("rates", [(0, 22_050), (44_100, -1), (44_100.5, 22_050)])
def test_wrong_rates(rates):
    with pytest.raises(ValueError, match="expected rates in Hz"):
        Resampler(*rates)
