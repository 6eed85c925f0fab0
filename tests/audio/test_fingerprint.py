"""The same recording is found again through codecs, cuts and level; strangers are not taken for one another."""

import itertools

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.audio import decode, fingerprint
from sentio_tf.audio.fingerprint import HOP, bit_error_rate, matches

RATE = 22_050


@pytest.fixture(scope="module")
def song(tune):
    return decode.load(tune)


@pytest.fixture(scope="module")
def codes(song):
    return fingerprint.fingerprint(song)


def test_a_bit_is_the_sign_of_the_change_of_an_energy_difference(rng):
    """Against the formula, written out with loops for a few frames and bands."""
    y = rng.standard_normal(fingerprint.N_FFT + 3 * HOP).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(fingerprint.N_FFT) / fingerprint.N_FFT)
    edges = np.round(np.geomspace(300, 2000, 34) * fingerprint.N_FFT / RATE).astype(int)

    def energies(n):
        power = np.abs(np.fft.rfft(y[n * HOP :][: fingerprint.N_FFT] * window)) ** 2
        return [power[a:b].sum() for a, b in itertools.pairwise(edges)]

    found = fingerprint.fingerprint(y)
    assert len(found) == 3
    for n in range(1, 4):
        now, before = energies(n), energies(n - 1)
        bits = [(now[m + 1] - now[m]) - (before[m + 1] - before[m]) < 0 for m in range(32)]
        assert int("".join("01"[int(b)] for b in bits), 2) == found[n - 1]


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("mp3", {"format": "MP3", "compression_level": 0.99}), ("ogg", {"format": "OGG", "compression_level": 0.9}),
     ("opus", {"format": "OGG", "subtype": "OPUS", "compression_level": 0.9})],
)  # fmt: skip
def test_codecs(song, codes, tmp_path, suffix, options):
    rate = 48_000 if suffix == "opus" else RATE
    import soxr

    soundfile.write(tmp_path / f"a.{suffix}", soxr.resample(song, RATE, rate), rate, **options)
    other = fingerprint.fingerprint(decode.load(tmp_path / f"a.{suffix}"))
    (match,) = matches([codes, other])
    assert abs(match.offset_s) < 0.1
    assert match.overlap_s > 40
    assert match.bit_error_rate < 0.2


@pytest.mark.parametrize("cut_s", [0.011, 3.0, 20.017])
@pytest.mark.parametrize("level", [0.05, 1.0])
def test_cuts_and_level(song, codes, cut_s, level):
    other = fingerprint.fingerprint(level * song[int(cut_s * RATE) :])
    (match,) = matches([codes, other])
    assert match.offset_s == pytest.approx(cut_s, abs=HOP / RATE)
    (back,) = matches([other, codes])
    assert back.offset_s == pytest.approx(-cut_s, abs=HOP / RATE)
    assert (match.first, match.second) == (0, 1)


def test_noise_at_ten_decibels(song, codes, rng):
    noise = rng.standard_normal(len(song)) * song.std() * 10 ** (-10 / 20)
    assert len(matches([codes, fingerprint.fingerprint(song + noise)])) == 1


def test_strangers(song, codes, rng):
    """Two halves of a song, noise, a chord: none is another."""
    others = [rng.standard_normal(20 * RATE) * 0.1 for _ in range(2)]
    t = np.arange(20 * RATE) / RATE
    others.append(sum(np.sin(2 * np.pi * f * t) for f in (220, 277, 330)) * 0.1)
    others += [song[: 21 * RATE], song[24 * RATE :]]
    prints = [fingerprint.fingerprint(np.asarray(y, np.float32)) for y in others]
    assert matches(prints) == []


def test_random_codes_differ_in_half_of_their_bits(rng):
    a, b = rng.integers(1, 2**32, (2, 2000)).astype(np.uint32)
    assert bit_error_rate(a, b) == pytest.approx(0.5, abs=0.01)
    assert bit_error_rate(a, a) == 0
    assert bit_error_rate(a, np.zeros_like(a)) == 0.5, "nothing to compare"


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 999), place=st.integers(0, 700), flips=st.floats(0, 0.1))
def test_a_part_is_found_where_it_is(seed, place, flips):
    """Among random recordings, one holds a noisy part of another."""
    rng = np.random.default_rng(seed)
    prints = [rng.integers(1, 2**32, 1200).astype(np.uint32) for _ in range(6)]
    part = prints[2][place : place + 400].copy()
    mask = np.packbits(rng.random((len(part), 32)) < flips * rng.random((len(part), 1)), axis=1).view(np.uint32)[:, 0]
    prints.append(part ^ mask)
    (match,) = matches(prints)
    assert (match.first, match.second) == (2, 6)
    assert match.offset_s == pytest.approx(place * HOP / RATE)


def test_thinning_proposals_keeps_the_matches(codes, song, monkeypatch):
    other = fingerprint.fingerprint(song[3 * RATE :])
    monkeypatch.setattr(fingerprint, "PROPOSING", 1000)
    assert len(matches([codes, other])) == 1


@pytest.mark.parametrize("y", [np.zeros(0), np.zeros(100), np.zeros(5 * RATE), np.full(5 * RATE, 0.3)])
def test_nothing_to_hear(y):
    found = fingerprint.fingerprint(np.asarray(y, np.float32))
    assert matches([found, found]) == []


def test_no_recordings():
    assert matches([]) == []


def test_a_shared_click_in_silence_is_no_recording():
    """Regression: four audible frames made two fades the same recording."""
    prints = []
    for _ in range(2):
        codes = np.zeros(1000, np.uint32)
        codes[500:520] = np.arange(1, 21)
        prints.append(codes)
    assert matches(prints) == []
    for codes in prints:
        codes[500:800] = np.arange(1, 301)
    (match,) = matches(prints)
    assert match.overlap_s == pytest.approx(300 * HOP / RATE)
