"""Augmentation against librosa and closed forms, its invariants, and eagerly against `tf.data`."""

import dataclasses

import librosa
import numpy as np
import pytest
import scipy.signal
import scipy.stats
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.audio import augment, decode
from sentio_tf.audio.augment import Augment
from sentio_tf.errors import AudioError, ConfigError, DataError

SR = 22_050
ALL = Augment(
    gain_db=6, noise_snr_db=(10, 30), shift=0.2, pitch_semitones=2, stretch=0.1, probability=1,
    freq_masks=2, time_masks=2, mixup_alpha=0.4,
)  # fmt: skip

WAVEFORM_OPS = {
    "gain": lambda y, rng: augment.gain(y, db=-3),
    "white": lambda y, rng: augment.add_noise(y, snr_db=20, color="white", rng=rng),
    "pink": lambda y, rng: augment.add_noise(y, snr_db=20, color="pink", rng=rng),
    "brown": lambda y, rng: augment.add_noise(y, snr_db=20, color="brown", rng=rng),
    "time_shift": lambda y, rng: augment.time_shift(y, samples=-1),
    "faster": lambda y, rng: augment.time_stretch(y, rate=1.1),
    "slower": lambda y, rng: augment.time_stretch(y, rate=0.9),
    "higher": lambda y, rng: augment.pitch_shift(y, semitones=1.5),
    "lower": lambda y, rng: augment.pitch_shift(y, semitones=-1.5),
    "all": lambda y, rng: ALL.waveform(y, rng),
    "none": lambda y, rng: Augment().waveform(y, rng),
}
MEL_OPS = {
    "spec_augment": lambda x, rng: augment.spec_augment(x, rng=rng),
    "all": lambda x, rng: ALL.spectrogram(x, rng),
    "none": lambda x, rng: Augment().spectrogram(x, rng),
}
BATCH_OPS = {
    "mixup": lambda x, y, rng: augment.mixup(x, y, alpha=0.4, rng=rng),
    "all": lambda x, y, rng: ALL.batch(x, y, rng),
    "none": lambda x, y, rng: Augment().batch(x, y, rng),
}


def sine(hz, seconds=1.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * SR)) / SR)).astype(np.float32)


def peak_hz(y):
    """Frequency of the strongest line, to a small part of a bin (parabola through the dB of three bins)."""
    db = 20 * np.log10(np.abs(np.fft.rfft(y * np.hanning(len(y)), 2 * len(y))) + 1e-12)
    k = int(db[1:-1].argmax()) + 1
    left, middle, right = db[k - 1 : k + 2]
    return (k + 0.5 * (left - right) / (left - 2 * middle + right)) * SR / (2 * len(y))


def frozen(a):
    """A copy that cannot be written to."""
    a = np.array(a)
    a.flags.writeable = False
    return a


def signals(make_music):
    rng = np.random.default_rng(3)
    return {
        "music": make_music(2),
        "silence": np.zeros(30_000, np.float32),
        "impulse": np.eye(1, 30_000, 9000, dtype=np.float32)[0],
        "silence, then music": np.concatenate([np.zeros(20_000, np.float32), make_music(1)]),
        "full scale": np.sign(sine(441)),
        "constant": np.full(20_000, -1, np.float32),
        "denormal": (1e-40 * rng.standard_normal(20_000)).astype(np.float32),
        "one sample": np.array([0.5], np.float32),
        "short": make_music(1)[:700],
        "a prime": make_music(2)[:20_011],
    }


# Vocoder: parity


@pytest.fixture(scope="module")
def recording(tune):
    return decode.load(tune, duration_s=6)  # begins with what an encoder left of silence


def broken(y):
    """Digital silence before and inside."""
    y = y.copy()
    y[:9000] = y[50_000:70_000] = 0
    return y


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.93, 1, 1.1, 1.37, 2, 3.9])
@pytest.mark.parametrize("silent", [False, True])
def test_phase_vocoder_equals_librosa(recording, rate, silent):
    y = broken(recording) if silent else recording
    spectrum = librosa.stft(y.astype(np.float64))
    expected = librosa.phase_vocoder(spectrum, rate=rate)
    out = augment.phase_vocoder(spectrum.T, rate=rate)
    assert out.dtype == np.complex128
    np.testing.assert_allclose(out.T, expected, atol=1e-8 * np.abs(expected).max())
    assert augment.phase_vocoder(spectrum.T.astype(np.complex64), rate=rate).dtype == np.complex64


# librosa in double precision: its single precision adds up millions of radians and is itself off by 0.1.
@pytest.mark.parametrize("rate", [0.5, 0.91, 1.0, 1.07, 1.1, 2.0])
@pytest.mark.parametrize("silent", [False, True])
def test_time_stretch_equals_librosa(recording, rate, silent):
    y = broken(recording) if silent else recording
    expected = librosa.effects.time_stretch(y.astype(np.float64), rate=rate)
    out = augment.time_stretch(y, rate=rate)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, atol=2e-6)


@pytest.mark.parametrize("semitones", [-12, -2, -0.37, 0, 1, 2, 12])
def test_pitch_shift_equals_librosa(recording, semitones):
    expected = librosa.effects.pitch_shift(recording.astype(np.float64), sr=SR, n_steps=semitones)
    np.testing.assert_allclose(augment.pitch_shift(recording, semitones=semitones), expected, atol=2e-6)


@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")
@pytest.mark.parametrize("samples", [1, 2, 511, 513, 2047, 2048, 5000])
def test_short_waveforms_equal_librosa(make_music, samples):
    y = make_music(1)[:samples].astype(np.float64)
    for rate in (0.8, 1.3):
        expected = librosa.effects.time_stretch(y, rate=rate)
        np.testing.assert_allclose(augment.time_stretch(y.astype("f"), rate=rate), expected, atol=2e-6)


# Vocoder: properties


@settings(max_examples=40, deadline=None)
@given(semitones=st.floats(-12, 12), hz=st.floats(250, 2500))
def test_pitch_shift_moves_a_sine_by_the_ratio(semitones, hz):
    y = sine(hz)
    out = augment.pitch_shift(y, semitones=semitones)
    assert out.shape == y.shape
    assert peak_hz(out) == pytest.approx(hz * 2 ** (semitones / 12), abs=0.5)


@settings(max_examples=40, deadline=None)
@given(rate=st.floats(0.5, 2), hz=st.floats(250, 5000))
def test_time_stretch_keeps_a_sine(rate, hz):
    out = augment.time_stretch(sine(hz), rate=rate)
    assert peak_hz(out) == pytest.approx(hz, abs=0.5)


@pytest.mark.parametrize("rate", [0.8, 1.25])
def test_time_stretch_changes_the_tempo(rate):
    t = np.arange(4 * SR) / SR
    y = (sine(800, 4) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))).astype(np.float32)
    envelope = np.abs(scipy.signal.hilbert(augment.time_stretch(y, rate=rate)))
    assert peak_hz(envelope - envelope.mean()) == pytest.approx(3 * rate, abs=0.05)


@settings(max_examples=60, deadline=None)
@given(samples=st.integers(1, 6000), rate=st.floats(0.5, 2), semitones=st.floats(-12, 12))
def test_lengths_and_no_blow_up_at_the_edges(samples, rate, semitones):
    y = np.random.default_rng(samples).uniform(-1, 1, samples).astype(np.float32)
    for out, length in (
        (augment.time_stretch(y, rate=rate), max(1, round(samples / rate))),
        (augment.pitch_shift(y, semitones=semitones), samples),
    ):
        assert out.shape == (length,)
        assert np.abs(out).max() < 4


def test_tempo_and_pitch_in_one_pass():
    out = augment._vocode(sine(600, 2), 1.19, 2 ** (3 / 12))
    assert out.shape == (37_059,)  # 44 100 / 1.19 = 37 058.8
    assert peak_hz(out) == pytest.approx(600 * 2 ** (3 / 12), abs=0.5)


# Noise, gain, shift


@pytest.mark.parametrize(("color", "slope"), [("white", 0), ("pink", -10), ("brown", -20)])
def test_noise_has_its_slope_and_unit_power(color, slope, rng):
    y = augment.colored_noise(400_003, color=color, rng=rng)
    assert y.dtype == np.float32
    assert np.sqrt(np.mean(y.astype(np.float64) ** 2)) == pytest.approx(1, abs=1e-5)
    hz, power = scipy.signal.welch(y, SR, nperseg=8192)
    fit = (hz > 60) & (hz < 10_000)
    # dB per decade: -3 and -6 dB per octave are -10 and -20.
    measured = np.polyfit(np.log10(hz[fit]), 10 * np.log10(power[fit]), 1)[0]
    assert measured == pytest.approx(slope, abs=0.3)


@pytest.mark.parametrize("color", ["pink", "brown"])
def test_colored_noise_has_no_drift(color, rng):
    y = augment.colored_noise(10 * SR, color=color, rng=rng)
    hz, power = scipy.signal.periodogram(y, SR, window="hann")
    assert power[hz < 15].sum() < 1e-4 * power.sum()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(4096, 10_000_000))
def test_fft_lengths(n):
    length = augment._fast_length(n)
    assert n <= length <= 1.13 * n
    for factor in (2, 3, 5):
        while length % factor == 0:
            length //= factor
    assert length == 1


@settings(max_examples=30, deadline=None)
@given(
    samples=st.integers(1, 9000), snr=st.floats(-20, 60), color=st.sampled_from(list(augment.COLORS)),
    level=st.floats(1e-3, 1),
)  # fmt: skip
def test_snr_is_exact(samples, snr, color, level):
    rng = np.random.default_rng(samples)
    y = (level * rng.choice([-1, 1], samples)).astype(np.float32)
    noise = augment.add_noise(y, snr_db=snr, color=color, rng=rng).astype(np.float64) - y
    measured = 10 * np.log10(np.mean(y.astype(np.float64) ** 2) / np.mean(noise**2))
    # At 60 dB the sum's rounding to float32 is 1e-4 of the noise.
    assert measured == pytest.approx(snr, abs=0.01)


def test_silence_stays_silent(rng):
    y = np.full(1000, 5e-5, np.float32)  # below -80 dBFS
    np.testing.assert_array_equal(augment.add_noise(y, snr_db=0, color="pink", rng=rng), y)
    quiet = np.zeros(30_000, np.float32)
    for name, op in WAVEFORM_OPS.items():
        assert not op(quiet, np.random.default_rng(0)).any(), name


@pytest.mark.parametrize("db", [-60, -6.5, 0, 20])
def test_gain(make_music, db):
    y = make_music(1)
    out = augment.gain(y, db=db).astype(np.float64)
    assert 10 * np.log10(np.mean(out**2) / np.mean(y.astype(np.float64) ** 2)) == pytest.approx(db, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), n=st.integers(1, 500))
def test_time_shift_is_circular(data, n):
    y = np.arange(n, dtype=np.float32)
    k = data.draw(st.integers(-n, n))
    out = augment.time_shift(y, samples=k)
    assert out[k % n] == y[0]
    np.testing.assert_array_equal(augment.time_shift(out, samples=-k), y)
    np.testing.assert_array_equal(np.sort(out), y)


# Every operation on waveforms


@pytest.mark.parametrize("op", WAVEFORM_OPS)
def test_float32_finite_and_the_input_untouched(make_music, op):
    for name, y in signals(make_music).items():
        out = WAVEFORM_OPS[op](frozen(y), np.random.default_rng(0))
        assert out.dtype == np.float32, name
        assert np.isfinite(out).all(), name
        if op not in ("faster", "slower"):
            assert out.shape == y.shape, name


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(0, np.float32),
        np.zeros((2, 100), np.float32),
        np.zeros(100, np.int16),
        np.float32(0.5),
        np.array([0, np.nan, 0], np.float32),
        np.array([0, -np.inf], np.float32),
        np.array([3e38, 0], np.float32),
    ],
    ids=["empty", "stereo", "integers", "scalar", "nan", "inf", "huge"],
)
@pytest.mark.parametrize("op", WAVEFORM_OPS)
def test_what_is_no_waveform_is_refused(y, op):
    with pytest.raises(AudioError, match=r"expected .* received .*; "):
        WAVEFORM_OPS[op](y, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("db", lambda y, rng: augment.gain(y, db=61)),
        ("db", lambda y, rng: augment.gain(y, db=np.nan)),
        ("db", lambda y, rng: augment.gain(y, db="3")),
        ("snr_db", lambda y, rng: augment.add_noise(y, snr_db=np.inf, color="pink", rng=rng)),
        ("color", lambda y, rng: augment.add_noise(y, snr_db=3, color="blue", rng=rng)),
        ("color", lambda y, rng: augment.colored_noise(10, color=None, rng=rng)),
        ("samples", lambda y, rng: augment.colored_noise(0, color="pink", rng=rng)),
        ("samples", lambda y, rng: augment.time_shift(y, samples=0.5)),
        ("samples", lambda y, rng: augment.time_shift(y, samples=101)),
        ("rate", lambda y, rng: augment.time_stretch(y, rate=0)),
        ("rate", lambda y, rng: augment.time_stretch(y, rate=2.01)),
        ("rate", lambda y, rng: augment.time_stretch(y, rate=True)),
        ("rate", lambda y, rng: augment.phase_vocoder(np.ones((3, 3), np.complex64), rate=-1)),
        ("semitones", lambda y, rng: augment.pitch_shift(y, semitones=-13)),
        ("freq_masks", lambda y, rng: augment.spec_augment(y[:, None], rng=rng, freq_masks=-1)),
        ("time_masks", lambda y, rng: augment.spec_augment(y[:, None], rng=rng, time_masks=1.0)),
        ("freq_share", lambda y, rng: augment.spec_augment(y[:, None], rng=rng, freq_share=1.1)),
        ("time_share", lambda y, rng: augment.spec_augment(y[:, None], rng=rng, time_share=-0.1)),
        ("fill", lambda y, rng: augment.spec_augment(y[:, None], rng=rng, fill=np.nan)),
        ("alpha", lambda y, rng: augment.mixup(y[:, None], np.ones((100, 3)), alpha=0, rng=rng)),
    ],
)
def test_parameters_out_of_range(name, call, rng):
    with pytest.raises(ConfigError, match=rf"^{name}: expected .* received .*; "):
        call(np.ones(100, np.float32), rng)


# SpecAugment


@pytest.mark.parametrize("shape", [(128, 300), (128, 300, 1)])
def test_spec_augment_masks_whole_bands_and_frames_within_bounds(shape):
    x = frozen(np.random.default_rng(1).uniform(-80, 0, shape).astype(np.float32))
    widths, heights = [], []
    for seed in range(200):
        out = augment.spec_augment(
            x, rng=np.random.default_rng(seed), freq_masks=1, freq_share=0.1, time_masks=1, time_share=0.05, fill=7
        )
        assert out.shape == shape
        assert out.dtype == np.float32
        masked = (out == 7).reshape(128, 300)
        bands, frames = masked.all(axis=1), masked.all(axis=0)
        # A cell is masked exactly if its band or its frame is; all others are as they were.
        np.testing.assert_array_equal(masked, bands[:, None] | frames)
        np.testing.assert_array_equal(out.reshape(128, 300)[~masked], x.reshape(128, 300)[~masked])
        for hidden in (bands, frames):  # one interval
            assert np.count_nonzero(np.diff(hidden.astype(int), prepend=0, append=0) == 1) <= 1
        heights.append(bands.sum())
        widths.append(frames.sum())
    # Uniform from 0 to the bound, both included.
    assert set(heights) == set(range(13))
    assert set(widths) == set(range(16))


def test_spec_augment_counts_and_fill(rng):
    x = rng.uniform(-80, 0, (128, 400)).astype(np.float32)
    np.testing.assert_array_equal(augment.spec_augment(x, rng=rng, freq_masks=0, time_masks=0), x)
    out = augment.spec_augment(x, rng=np.random.default_rng(2))
    hidden = out != x
    assert hidden.any()
    np.testing.assert_allclose(out[hidden], x.mean(), rtol=1e-6)
    counts = [
        np.count_nonzero(np.diff(hidden.all(axis=1).astype(int), prepend=0) == 1)
        for seed in range(40)
        if (hidden := augment.spec_augment(x, rng=np.random.default_rng(seed), freq_masks=3) != x).any()
    ]
    assert max(counts) == 3
    np.testing.assert_array_equal(
        augment.spec_augment(x, rng=np.random.default_rng(2)),
        augment.spec_augment(x[..., None], rng=np.random.default_rng(2))[..., 0],
    )


def test_spec_augment_reaches_the_edges():
    """Every band and every frame can be masked."""
    x = np.ones((20, 30), np.float32)
    seen = np.zeros_like(x, bool)
    for seed in range(300):
        seen |= augment.spec_augment(x, rng=np.random.default_rng(seed), freq_masks=1, time_masks=0, fill=0) == 0
    assert seen.all()


@pytest.mark.parametrize(
    "x", [np.ones(5), np.ones((2, 3, 2)), np.ones((2, 3, 1, 1)), np.ones((0, 5)), np.full((4, 4), np.nan)]
)
def test_what_is_no_log_mel_is_refused(x, rng):
    with pytest.raises(DataError, match=r"expected a log-mel .* received .*; "):
        augment.spec_augment(x, rng=rng)


@pytest.mark.parametrize("spectrum", [np.ones((3, 3)), np.ones(3, "F"), np.ones((0, 3), "F")])
def test_what_is_no_stft_is_refused(spectrum):
    with pytest.raises(DataError, match="expected a complex STFT"):
        augment.phase_vocoder(spectrum, rate=1.1)


# Mixup


def targets(kinds, seed=0):
    """Ratings where `kinds` is 1, signs where it is 0."""
    rng = np.random.default_rng(seed)
    kinds = np.array(kinds)
    values = np.where(kinds[:, None] == 1, rng.uniform(-1, 1, (len(kinds), 2)), rng.choice([-1, 1], (len(kinds), 2)))
    return np.column_stack([values, kinds]).astype(np.float32)


@settings(max_examples=80, deadline=None)
@given(
    kinds=st.lists(st.integers(0, 1), min_size=1, max_size=12), alpha=st.floats(0.01, 10), seed=st.integers(0, 2**32)
)
def test_mixup_blends_with_one_other_of_the_same_kind(kinds, alpha, seed):
    x = np.eye(len(kinds), dtype=np.float32)  # row i is example i: the blend shows who took part, and how much
    y = targets(kinds)
    blended, labels = augment.mixup(frozen(x), frozen(y), alpha=alpha, rng=np.random.default_rng(seed))
    assert blended.dtype == labels.dtype == np.float32
    assert blended.min() >= 0
    np.testing.assert_allclose(blended.sum(axis=1), 1, atol=1e-6)
    assert np.diag(blended).min() >= 0.5 - 1e-6, "folded: an example stays nearest to itself"
    assert ((blended > 0).sum(axis=1) <= 2).all()
    for i, row in enumerate(blended):
        assert {kinds[j] for j in np.flatnonzero(row)} == {kinds[i]}
    np.testing.assert_allclose(labels, blended @ y, atol=1e-6)
    np.testing.assert_array_equal(labels[:, 2], kinds)
    assert np.abs(labels).max() <= 1
    for kind in set(kinds):
        rows = np.array(kinds) == kind
        assert (labels[rows].mean(axis=0) >= y[rows].min(axis=0) - 1e-6).all()
        assert (labels[rows].mean(axis=0) <= y[rows].max(axis=0) + 1e-6).all()
        if rows.sum() == 1:
            np.testing.assert_array_equal(blended[rows], x[rows])
            np.testing.assert_array_equal(labels[rows], y[rows])


def test_mixup_has_a_partner_for_all_and_the_beta_distribution(rng):
    n = 1500
    x = np.arange(n, dtype=np.float32)[:, None] * 0
    x = np.concatenate([x, np.ones_like(x)])  # zeros are ratings, ones are signs: they must not meet
    y = targets([1] * n + [0] * n)
    np.testing.assert_array_equal(augment.mixup(x, y, alpha=1, rng=rng)[0], x)
    small = np.eye(1000, dtype=np.float32)
    blended, _ = augment.mixup(small, targets([1] * 1000), alpha=0.4, rng=rng)
    assert ((blended > 0).sum(axis=1) == 2).mean() > 0.99, "nobody is its own partner"
    folded = np.diag(blended)
    beta = scipy.stats.beta(0.4, 0.4)
    assert scipy.stats.kstest(folded, lambda v: beta.cdf(v) - beta.cdf(1 - v)).pvalue > 0.01


def test_mixup_keeps_the_floor_of_a_log_mel(rng):
    x = rng.uniform(-80, 0, (8, 128, 40, 1)).astype(np.float32)
    out, _ = augment.mixup(x, targets([1] * 8), alpha=0.4, rng=rng)
    assert out.shape == x.shape
    assert out.min() >= x.min()
    assert out.max() <= x.max()


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.ones((2, 5)), np.ones((3, 3))),
        (np.ones((2, 5)), np.ones((2, 2))),
        (np.ones((2, 5)), np.full((2, 3), 0.5)),
        (np.ones((2, 5)), np.array([[np.nan, 0, 1], [0, 0, 1]])),
        (np.ones(2), np.ones((2, 3))),
    ],
)
def test_what_is_no_batch_is_refused(x, y, rng):
    with pytest.raises(DataError, match=r"expected x .* received .*; "):
        augment.mixup(x, y, alpha=0.4, rng=rng)


# Eagerly and inside tf.data: the same bits


def in_tf_data(op, *arrays, out, count=6):
    """`op(*arrays, rng)` for seeds 0, 1, ... by two threads of `tf.data`."""
    import tensorflow as tf

    def call(seed):
        return tf.numpy_function(lambda s, *a: op(*a, np.random.default_rng(s)), [seed, *arrays], out)

    data = tf.data.Dataset.range(count).map(call, num_parallel_calls=2)
    return list(data.as_numpy_iterator())


@pytest.mark.parametrize("op", WAVEFORM_OPS)
def test_waveforms_are_the_same_inside_tf_data(make_music, op):
    y = make_music(1.5)
    for seed, out in enumerate(in_tf_data(WAVEFORM_OPS[op], y, out="float32")):
        np.testing.assert_array_equal(out, WAVEFORM_OPS[op](y, np.random.default_rng(seed)))


@pytest.mark.parametrize("op", MEL_OPS)
def test_log_mels_are_the_same_inside_tf_data(op, rng):
    x = rng.uniform(-80, 0, (128, 200, 1)).astype(np.float32)
    for seed, out in enumerate(in_tf_data(MEL_OPS[op], x, out="float32")):
        np.testing.assert_array_equal(out, MEL_OPS[op](x, np.random.default_rng(seed)))


@pytest.mark.parametrize("op", BATCH_OPS)
def test_batches_are_the_same_inside_tf_data(op, rng):
    x = rng.uniform(-80, 0, (6, 128, 50, 1)).astype(np.float32)
    y = targets([1, 0, 1, 0, 0, 1])
    for seed, out in enumerate(in_tf_data(BATCH_OPS[op], x, y, out=["float32", "float32"])):
        for part, expected in zip(out, BATCH_OPS[op](x, y, np.random.default_rng(seed)), strict=True):
            np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("color", augment.COLORS)
def test_noise_is_the_same_inside_tf_data(color):
    noise = lambda rng: augment.colored_noise(5000, color=color, rng=rng)
    outs = in_tf_data(noise, out="float32")
    for seed, out in enumerate(outs):
        np.testing.assert_array_equal(out, noise(np.random.default_rng(seed)))
    assert not np.array_equal(outs[0], outs[1])


def test_vocoder_is_the_same_inside_tf_data(rng):
    spectrum = (rng.standard_normal((40, 65)) + 1j * rng.standard_normal((40, 65))).astype(np.complex64)
    vocode = lambda s, rng: augment.phase_vocoder(s, rate=0.87)
    for out in in_tf_data(vocode, spectrum, out="complex64", count=2):
        np.testing.assert_array_equal(out, vocode(spectrum, rng))


# Augment


def test_off_by_default(make_music, rng):
    off = Augment()
    y, x, labels = make_music(1), np.ones((128, 20, 1), np.float32), targets([1, 0])
    assert not off.needs_waveform
    np.testing.assert_array_equal(off.waveform(y, rng), y)
    np.testing.assert_array_equal(off.spectrogram(x, rng), x)
    batch = np.stack([x, 2 * x])
    np.testing.assert_array_equal(off.batch(batch, labels, rng)[0], batch)
    np.testing.assert_array_equal(off.batch(batch, labels, rng)[1], labels)


@pytest.mark.parametrize(
    ("values", "needs"),
    [
        ({"gain_db": 1}, True),
        ({"noise_snr_db": [0, 0]}, True),
        ({"shift": 0.1}, True),
        ({"pitch_semitones": 0.5}, True),
        ({"stretch": 0.1}, True),
        ({"stretch": 0.1, "probability": 0}, False),
        ({"freq_masks": 2, "time_masks": 2, "mixup_alpha": 0.4, "noise_colors": ["pink"]}, False),
    ],
)
def test_needs_waveform(make_music, values, needs):
    made = Augment.from_dict(values)
    assert made.needs_waveform is needs
    y = make_music(1)
    changed = any(not np.array_equal(made.waveform(y, np.random.default_rng(s)), y) for s in range(8))
    assert changed is needs


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gain_db", -1), ("gain_db", 25), ("gain_db", "loud"), ("gain_db", None), ("gain_db", True),
        ("gain_db", float("nan")), ("noise_snr_db", 20), ("noise_snr_db", [20]), ("noise_snr_db", [30, 20]),
        ("noise_snr_db", [20, 81]), ("noise_snr_db", ["a", "b"]), ("noise_colors", "pink"), ("noise_colors", []),
        ("noise_colors", ["pink", "blue"]), ("noise_colors", [["pink"]]), ("shift", 0.21), ("pitch_semitones", 2.1),
        ("stretch", 0.3), ("stretch", -0.1), ("probability", 1.01), ("freq_masks", 9), ("freq_masks", 1.5),
        ("time_masks", -1), ("time_masks", False), ("freq_share", 0.6), ("time_share", -0.1), ("mixup_alpha", 4.1),
        ("mixup_alpha", 1e-3),
    ],
)  # fmt: skip
def test_values_out_of_range_are_named(field, value):
    with pytest.raises(ConfigError, match=rf"^{field}: expected .* received .*; ") as error:
        Augment.from_dict({field: value})
    # The whole value, or what is wrong in the list.
    parts = [value, *value] if isinstance(value, list) else [value]
    assert any(f"received {part!r}; " in str(error.value) for part in parts)
    assert "\n" not in str(error.value)


def test_from_yaml():
    text = "{gain_db: 3, noise_snr_db: [20, 40.5], noise_colors: [pink, white], stretch: 0.1, time_masks: 2}"
    made = Augment.from_dict(yaml.safe_load(text))
    assert made == Augment(
        gain_db=3, noise_snr_db=(20, 40.5), noise_colors=("pink", "white"), stretch=0.1, time_masks=2
    )
    assert hash(made) == hash(dataclasses.replace(made))
    assert Augment.from_dict(dataclasses.asdict(made)) == made
    assert Augment.from_dict({}) == Augment()


@pytest.mark.parametrize("values", [{"gian_db": 3}, {3: 3}, {"waveform": 1}, None, [1], "gain_db"])
def test_unknown_fields_are_refused(values):
    with pytest.raises(ConfigError, match=r"^augment: .*gain_db"):
        Augment.from_dict(values)


@settings(max_examples=40, deadline=None)
@given(samples=st.integers(1, 9000), seed=st.integers(0, 2**32), level=st.floats(0, 1))
def test_length_range_and_bits_are_kept(samples, seed, level):
    y = frozen((level * np.random.default_rng(samples).choice([-1, 1], samples)).astype(np.float32))
    loud = dataclasses.replace(ALL, gain_db=24, stretch=0.25, probability=0.7)
    one, other = (loud.waveform(y, np.random.default_rng(seed)) for _ in range(2))
    assert one.shape == y.shape
    assert one.dtype == np.float32
    assert np.abs(one).max() <= 1
    np.testing.assert_array_equal(one, other)


def test_draws_stay_in_their_ranges(monkeypatch):
    """What 300 clips asked for: within the range, over most of it, each operation about as often as it should."""
    asked = {"stretch": [], "pitch": [], "shift": [], "snr": [], "color": [], "gain": []}

    def vocode(y, rate, ratio):
        if rate != 1:
            asked["stretch"].append(np.log(rate) / np.log(1.1))
        if ratio != 1:
            asked["pitch"].append(12 * np.log2(ratio) / 2)
        return y

    def shift(y, *, samples):
        asked["shift"].append(samples / len(y) / 0.2)
        return y

    def noise(y, *, snr_db, color, rng):
        asked["snr"].append((snr_db - 20) / 10)
        asked["color"].append(color)
        return y

    def louder(y, *, db):
        asked["gain"].append(db / 6)
        return y

    monkeypatch.setattr(augment, "_vocode", vocode)
    monkeypatch.setattr(augment, "time_shift", shift)
    monkeypatch.setattr(augment, "add_noise", noise)
    monkeypatch.setattr(augment, "gain", louder)
    some = dataclasses.replace(ALL, probability=0.6)
    for seed in range(300):
        some.waveform(np.ones(10_000, np.float32), np.random.default_rng(seed))
    assert {c: asked["color"].count(c) > 30 for c in augment.COLORS} == dict.fromkeys(augment.COLORS, True)
    del asked["color"]
    for name, values in asked.items():
        assert 145 < len(values) < 215, name  # 180 +- 4 sd
        assert np.abs(values).max() <= 1 + 1e-9, name
        assert scipy.stats.kstest(values, "uniform", (-1, 2)).pvalue > 1e-3, name


def test_masks_and_mixup_of_a_configuration(rng):
    x, y = rng.uniform(-80, 0, (4, 128, 60, 1)).astype(np.float32), targets([1, 1, 0, 0])
    masks = {"freq_masks": 3, "freq_share": 0.2, "time_masks": 1, "time_share": 0.3}
    out = Augment(**masks).spectrogram(x[0], np.random.default_rng(5))
    assert (out != x[0]).any()
    np.testing.assert_array_equal(out, augment.spec_augment(x[0], rng=np.random.default_rng(5), **masks))
    blended, labels = Augment(mixup_alpha=2).batch(x, y, np.random.default_rng(5))
    assert (blended != x).any()
    for one, other in zip((blended, labels), augment.mixup(x, y, alpha=2, rng=np.random.default_rng(5)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_order_of_operations(monkeypatch, make_music):
    order = []
    for name in ("_vocode", "time_shift", "add_noise", "gain"):
        original = getattr(augment, name)

        def spy(*args, original=original, name=name, **kwargs):
            order.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(augment, name, spy)
    ALL.waveform(make_music(1), np.random.default_rng(0))
    assert order == ["_vocode", "time_shift", "add_noise", "gain"]


def test_an_operation_more_leaves_the_others_alone(make_music):
    y = make_music(1)
    shift = Augment(shift=0.2, probability=1)
    both = dataclasses.replace(shift, gain_db=3, noise_snr_db=None)
    one, two = (a.waveform(y, np.random.default_rng(4)) for a in (shift, both))
    factor = np.sqrt(np.mean(two**2) / np.mean(one**2))
    assert factor != pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(two, factor * one, atol=1e-5)


def test_a_shorter_clip_goes_on_with_its_beginning(monkeypatch):
    y = np.linspace(-1, 1, 1000, dtype=np.float32)
    stretch = Augment(stretch=0.1, probability=1)
    for length in (900, 1100):
        monkeypatch.setattr(augment, "_vocode", lambda y, rate, ratio, n=length: np.resize(y, n))
        out = stretch.waveform(y, np.random.default_rng(0))
        np.testing.assert_array_equal(out[:900], y[:900])
        np.testing.assert_array_equal(out[900:], y[:100] if length == 900 else y[900:])


def test_tempo_and_pitch_of_a_sine():
    """The clip of the fused pass: as long as before, its line moved by the pitch and not by the tempo."""
    y = sine(500, 2)
    both = Augment(stretch=0.1, pitch_semitones=2, probability=1)
    rng = np.random.default_rng(1)
    pitch = np.random.default_rng(1)
    pitch.random(5)
    semitones = 2 * pitch.uniform(-1, 1, 4)[1]
    assert abs(semitones) > 0.2
    assert peak_hz(both.waveform(y, rng)[: SR * 3 // 2]) == pytest.approx(500 * 2 ** (semitones / 12), abs=0.5)
