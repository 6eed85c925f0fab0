"""Every value against the librosa call that the table names for it, and against closed forms."""

import warnings

import librosa
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.audio import decode
from sentio_tf.features import analyse, compute
from sentio_tf.features.table import EXTENDED, RECIPE, columns

RATE = 22_050
BIN = RATE / 2048
ROW = {f.name: i for i, f in enumerate(RECIPE)}
COLUMN = {name: i for i, name in enumerate(columns("extended"))}


def evaluate(call, y):
    """The value that a reader of the table gets."""
    names = {"y": y, "librosa": librosa, "np": np, "scipy": scipy, "compute": compute}
    return np.asarray(eval(call, names))


def by_librosa(y, feature):
    """Columns of one feature from its call."""
    values = evaluate(feature.call, y).astype(np.float64)
    return np.array([getattr(np, s)(values) for s in feature.statistics] or [values])


def own(y, *names):
    vector = analyse.vector(y, "extended")
    return [float(vector[COLUMN[name]]) for name in names]


@pytest.fixture(scope="module")
def signals(make_music, tune):
    """Pulsing chords in noise; a tune; a decay into digital silence with clicks."""
    rng = np.random.default_rng(1)
    broken = make_music(5, seed=3) * np.exp(-np.arange(5 * RATE) / RATE).astype(np.float32)
    broken[2 * RATE : 3 * RATE] = 0
    broken[::9000] += 0.3 * rng.random(len(broken[::9000])).astype(np.float32)
    found = {"chords": make_music(6, seed=1), "tune": decode.load(tune, duration_s=12), "broken": broken}
    return {name: (y, analyse.frames(y), analyse.vector(y, "extended")) for name, y in found.items()}


@pytest.mark.parametrize("feature", RECIPE, ids=lambda f: f.name)
def test_every_frame_equals_the_documented_call(signals, feature):
    for name, (y, frames, _) in signals.items():
        expected = evaluate(feature.call, y)
        error = np.abs(frames[ROW[feature.name]] - expected)
        assert expected.shape == (1 + len(y) // 512,)
        if feature.name == "spectral_rolloff":  # the sums of two bins may lie on either side of the threshold
            assert error.max() < 1.01 * BIN, name
            assert np.mean(error > 0.1) < 0.01, name
        else:
            assert error.max() <= 2e-4 * np.std(expected) + 1e-6, name


@pytest.mark.parametrize("feature", EXTENDED, ids=lambda f: f.name)
def test_every_column_equals_the_documented_call(signals, feature):
    places = [COLUMN[c] for c in feature.columns]
    for name, (y, _, vector) in signals.items():
        expected = by_librosa(y, feature)
        scale = np.abs(expected).max() if not feature.statistics else np.std(evaluate(feature.call, y))
        slack = BIN if feature.name == "spectral_rolloff" else 0
        np.testing.assert_allclose(vector[places], expected, rtol=1e-4, atol=2e-4 * scale + 1e-6 + slack, err_msg=name)


@pytest.mark.shared
def test_real_recordings_equal_the_documented_calls(shared):
    files = [*sorted((shared / "music").glob("*.ogg"))[:2], *sorted((shared / "emomusic").rglob("*.mp3"))[:1]]
    assert len(files) == 3
    for file in files:
        y = decode.load(file, offset_s=2, duration_s=10)
        vector = analyse.vector(y, "extended")
        seen = {}
        for feature in EXTENDED:
            if feature.group in ("mfcc", "chroma") and not feature.name.endswith(("01", "13", "_c", "_b")):
                continue  # rows of a call that is tested already
            expected = by_librosa(y, feature)
            seen[feature.name] = np.abs(vector[[COLUMN[c] for c in feature.columns]] - expected) / (
                np.abs(expected).max() + 1e-6
            )
        assert max(e.max() for name, e in seen.items() if name != "spectral_rolloff") < 1e-3, file.name


@pytest.mark.parametrize("samples", [1, 2, 100, 511, 512, 1023, 2047, 2049, 6000])
def test_short_audio_equals_the_documented_calls(samples, rng):
    y = (0.1 * rng.standard_normal(samples)).astype(np.float32)
    vector = analyse.vector(y, "extended")
    assert vector.shape == (193,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's about a signal shorter than a frame
        for feature in EXTENDED:
            if feature.name == "harmonic_ratio" and 512 <= samples < 1024:
                continue  # two frames: SciPy's 2-D median filter does not reflect them as it says
            expected = by_librosa(y, feature)
            found = vector[[COLUMN[c] for c in feature.columns]]
            np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3, err_msg=feature.name)


@pytest.mark.parametrize("samples", [1, 700, 30_000])
def test_digital_silence_has_the_documented_values(samples):
    values = dict(zip(columns("extended"), analyse.vector(np.zeros(samples), "extended").tolist(), strict=True))
    assert values["mfcc_01_mean"] == pytest.approx(-100 * np.sqrt(128), rel=1e-5)
    assert values["spectral_flatness_mean"] == pytest.approx(1, abs=1e-5)
    there = {"mfcc_01_mean", "mfcc_01_min", "mfcc_01_max", "spectral_flatness_mean", "tempo"}
    assert values["tempo"] == pytest.approx(120, rel=0.03)
    assert max(abs(v) for name, v in values.items() if name not in there) < 1e-2


def test_a_constant_is_finite():
    assert np.isfinite(analyse.vector(np.full(30_000, 0.5), "extended")).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9000),
    st.floats(-45, 0),
    st.sampled_from(["noise", "sine", "impulse", "step", "square"]),
    st.integers(0, 2**32 - 1),
)
def test_whatever_comes_the_values_are_finite_and_in_order(samples, exponent, kind, seed):
    """From one sample up and down to subnormal numbers; a warning would fail the test."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples)
    y = {
        "noise": lambda: rng.uniform(-1, 1, samples),
        "sine": lambda: np.sin(rng.uniform(0, 3) * t),
        "impulse": lambda: (t == rng.integers(samples)).astype(float),
        "step": lambda: (t > rng.integers(samples)).astype(float),
        "square": lambda: np.sign(np.sin(rng.uniform(0, 3) * t)),
    }[kind]() * 10.0**exponent
    vector = analyse.vector(y, "extended")
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    mean, std, low, high = vector[:164].reshape(41, 4).T
    slack = 1e-4 * (np.abs(low) + np.abs(high)) + 1e-6
    assert (low <= mean + slack).all()
    assert (mean <= high + slack).all()
    assert (std >= 0).all()
    assert (std <= (high - low) / 2 + slack).all()
    for name in ("spectral_flatness_mean", "spectral_entropy_mean", "brightness_mean", "low_energy_rate"):
        assert -1e-5 <= vector[COLUMN[name]] <= 1 + 1e-5
    for name in ("harmonic_ratio_max", "pulse_clarity_max", "zero_crossing_rate_max", "chroma_a_max"):
        assert vector[COLUMN[name]] <= 1 + 1e-5


def test_flux_and_shapes_of_spectra_do_not_know_the_level(make_music):
    y = make_music(5)
    free = ["spectral_flux_mean", "spectral_flux_std", "spectral_centroid_mean", "harmonic_ratio_mean", "chroma_e_std",
            "spectral_entropy_mean", "brightness_mean", "crest", "mode", "key_clarity"]  # fmt: skip
    np.testing.assert_allclose(own(y, *free), own(y / 8, *free), rtol=1e-4)
    loud, quiet = own(y, "rms_mean"), own(y / 8, "rms_mean")
    np.testing.assert_allclose(loud[0], 8 * quiet[0], rtol=1e-5)


# -- segments -----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 400), max_size=30))
def test_segments_lose_nothing_and_keep_their_size(lengths):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyse, "SEGMENT", 100)
        patch.setattr(analyse, "REST", 30)
        y = np.arange(sum(lengths), dtype=np.float32)
        pieces = list(analyse.segments(np.split(y, np.cumsum(lengths)[:-1]) if lengths else []))
    assert sum(map(len, pieces)) == len(y)
    if pieces:
        np.testing.assert_array_equal(np.concatenate(pieces), y)
        assert all(len(p) == 100 for p in pieces[:-1])
        assert len(pieces[-1]) < 130
        assert len(pieces) == 1 or len(pieces[-1]) >= 30


def test_blocks_and_whole_audio_give_the_same(make_music):
    y = make_music(4)
    blocks = np.split(y, [1, 700, 701, 50_000])
    np.testing.assert_array_equal(analyse.vector_of(iter(blocks), "extended"), analyse.vector(y, "extended"))


def test_frames_of_long_audio_are_those_of_its_segments(make_music, monkeypatch):
    monkeypatch.setattr(analyse, "SEGMENT", 3 * RATE)
    monkeypatch.setattr(analyse, "REST", RATE)
    y = make_music(8)
    parts = [analyse.frames(p) for p in (y[: 3 * RATE], y[3 * RATE : 6 * RATE], y[6 * RATE :])]
    joined = np.concatenate(parts, axis=1)
    np.testing.assert_array_equal(analyse.frames(y), joined)
    vector = analyse.vector(y, "extended")
    np.testing.assert_allclose(vector[:164:4], joined.mean(axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(vector[3:164:4], joined.max(axis=1))
    assert vector[COLUMN["crest"]] == pytest.approx(
        20 * np.log10(np.abs(y).max() / np.sqrt(np.mean(y.astype(np.float64) ** 2))), abs=1e-4
    )
    assert vector[COLUMN["low_energy_rate"]] == pytest.approx(np.mean(joined[ROW["rms"]] < joined[ROW["rms"]].mean()))


@pytest.mark.parametrize("bad", [np.zeros((2, 9)), [0.0, np.nan], [np.inf], np.zeros(0)])
def test_what_is_no_signal(bad):
    with pytest.raises(ValueError, match=r"expected .*\. Received: "):
        analyse.vector(bad)


# -- closed forms -------------------------------------------------------------------------------------


def sines(*hertz, seconds=4.0, amplitude=0.2):
    t = np.arange(int(seconds * RATE)) / RATE
    return sum(amplitude * np.sin(2 * np.pi * f * t) for f in hertz).astype(np.float32)


def clicks(bpm, seconds=24):
    """Short bursts of noise."""
    rng = np.random.default_rng(0)
    y = 1e-4 * rng.standard_normal(int(seconds * RATE))
    for start in np.arange(0.5, seconds - 0.1, 60 / bpm):
        at = int(start * RATE)
        y[at : at + 1000] += 0.5 * rng.standard_normal(1000) * np.exp(-np.arange(1000) / 150)
    return y.astype(np.float32)


def chord_progression(*chords):
    """Each chord for a second, three partials a note; notes in semitones above A of 220 Hz."""
    return np.concatenate(
        [sines(*[220 * 2 ** (n / 12) * k for n in chord for k in (1, 2)], seconds=1, amplitude=0.05)
         for chord in chords]
    )  # fmt: skip


def test_a_sine_has_its_centroid_there():
    y = sines(100 * BIN)
    middle = analyse.frames(y)[:, 20:-20]
    np.testing.assert_allclose(middle[ROW["spectral_centroid"]], 100 * BIN, rtol=1e-3)
    np.testing.assert_allclose(middle[ROW["rms"]], 0.2 / np.sqrt(2), rtol=1e-3)
    np.testing.assert_allclose(middle[ROW["zero_crossing_rate"]], 2 * 100 / 2048, atol=1 / 2048)
    assert middle[ROW["harmonic_ratio"]].min() > 0.95
    assert middle[ROW["spectral_flux"]].max() < 1e-3


def test_clicks_are_percussive_and_in_time():
    harmonic, tempo, rate, pulse = own(clicks(120), "harmonic_ratio_max", "tempo", "onset_rate", "beat_strength")
    loud = analyse.frames(clicks(120))
    assert loud[ROW["harmonic_ratio"]][loud[ROW["rms"]] > 0.02].mean() < 0.2
    assert harmonic <= 1
    assert tempo == pytest.approx(120, rel=0.03)
    assert rate == pytest.approx(2, rel=0.1)
    noise = np.random.default_rng(0).standard_normal(24 * RATE).astype(np.float32) / 8
    assert pulse > 2 * own(noise, "beat_strength")[0]


def test_tempogram_equals_librosas_pieces(make_music):
    onset = librosa.onset.onset_strength(y=make_music(11), sr=RATE)
    window = librosa.filters.get_window("hann", 384)[:, None]
    padded = np.pad(onset, 192, mode="symmetric")
    stretches = librosa.util.frame(padded, frame_length=384, hop_length=1)[:, : len(onset)]
    stretches = window * (stretches - (window * stretches).sum(axis=0) / window.sum())
    expected = librosa.util.normalize(librosa.autocorrelate(stretches, axis=0), axis=0)[:87]
    np.testing.assert_allclose(compute.tempogram(onset), expected, atol=1e-5)


@pytest.mark.parametrize("level", [0, 0.3, 12.7])
def test_onset_strength_that_does_not_change_has_no_pulse(level):
    assert not compute.tempogram(np.full(700, level, np.float32)).any()


def test_tempo_follows_the_clicks():
    for bpm in (80, 100, 150):
        assert own(clicks(bpm), "tempo")[0] == pytest.approx(bpm, rel=0.03)


def test_major_and_minor():
    """I IV V I in C major and in A minor: the best key's mode has the sign."""
    c, f, g = (3, 7, 10), (8, 12, 15), (10, 14, 17)
    a, d, e = (0, 3, 7), (5, 8, 12), (7, 11, 14)
    major, clarity = own(chord_progression(c, f, g, c), "mode", "key_clarity")
    minor, _ = own(chord_progression(a, d, e, a), "mode", "key_clarity")
    assert major > 0.05 > -0.05 > minor
    assert clarity > 0.8
    strengths = compute.key_strengths(np.roll(compute.MINOR, 9))
    assert np.unravel_index(strengths.argmax(), strengths.shape) == (1, 9)
    assert strengths.max() == pytest.approx(1)
    assert not compute.key_strengths(np.full(12, 0.7)).any()


def test_tuning_is_found():
    for cents in (-30, 0, 20):
        y = sines(*[440 * 2 ** ((n + cents / 100) / 12) for n in (0, 4, 7, 12)])
        power = np.abs(librosa.stft(y)).T ** 2
        assert compute.tuning(*compute.pitch_candidates(power)) == pytest.approx(cents / 100, abs=0.04)


def slow_roughness(peaks):
    """Vassilakis 2001, pair by pair; peaks are (frequency, amplitude)."""
    total = 0.0
    for i, (f1, a1) in enumerate(peaks):
        for f2, a2 in peaks[i + 1 :]:
            s = 0.24 / (0.0207 * min(f1, f2) + 18.96) * abs(f1 - f2)
            x, y = (a1 * a2) ** 0.1, (2 * min(a1, a2) / (a1 + a2)) ** 3.11
            total += x * 0.5 * y * (np.exp(-3.5 * s) - np.exp(-5.75 * s))
    return total


def test_roughness_equals_the_formula_on_known_peaks():
    """Tones on bins: the peaks have their frequencies and amplitudes, so the sum over pairs is known."""
    tones = [(40 * BIN, 0.2), (46 * BIN, 0.1), (81 * BIN, 0.15), (200 * BIN, 0.02)]
    y = sum(a / 0.2 * sines(f) for f, a in tones)
    frame = compute.roughness(np.abs(librosa.stft(y)))[60]
    assert frame == pytest.approx(slow_roughness(tones), rel=1e-3)
    one = compute.roughness(np.abs(librosa.stft(sines(40 * BIN))))
    assert one[60] == 0


def test_a_click_has_no_tones():
    y = np.zeros(RATE, np.float32)
    y[::9000] = 0.37
    assert not compute.roughness(np.abs(librosa.stft(y))).any()


def test_a_semitone_is_rougher_than_an_octave():
    semitone, octave = (own(sines(440, 440 * ratio), "roughness_mean")[0] for ratio in (2 ** (1 / 12), 2))
    assert semitone > 5 * octave


def test_more_equal_peaks_than_are_kept():
    magnitude = np.zeros((1025, 3), np.float32)
    magnitude[10:900:10, 1] = 7
    rough = compute.roughness(magnitude)
    kept = [(k * BIN, 7 / 512) for k in range(10, 210, 10)]
    np.testing.assert_allclose(rough, [0, slow_roughness(kept), 0], rtol=1e-4)


def test_dynamics():
    t = np.arange(60 * RATE) / RATE
    decay = sines(441, seconds=60) * 10 ** (-24 * t / 60 / 20)  # 24 dB a minute
    slope, crest_like = own(decay, "level_slope", "crest")
    assert slope == pytest.approx(-24, rel=0.02)
    assert crest_like > 3.1
    assert own(sines(RATE / 40), "crest")[0] == pytest.approx(20 * np.log10(np.sqrt(2)), abs=1e-3)
    steps = sines(441, seconds=60)
    steps[: 30 * RATE] *= 0.25  # half of the time 12 dB below
    spread, low = own(steps, "loudness_range", "low_energy_rate")
    assert spread == pytest.approx(12.04, abs=0.1)
    assert low == pytest.approx(0.5, abs=0.01)
    assert compute.loudness_range(np.full(500, 0.1)) == pytest.approx(0, abs=1e-6)
    assert compute.loudness_range(np.zeros(500)) == 0
    assert compute.level_slope(np.array([0.3])) == 0


def test_white_noise_is_flat():
    noise = np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32) / 8
    entropy, bright, flat = own(noise, "spectral_entropy_mean", "brightness_mean", "spectral_flatness_mean")
    assert entropy > 0.9
    assert bright == pytest.approx(1 - 1500 / (RATE / 2), abs=0.02)
    assert flat == pytest.approx(np.exp(-np.euler_gamma), abs=0.03)  # of exponentially distributed power
    assert own(sines(1000), "spectral_entropy_mean")[0] < 0.4
