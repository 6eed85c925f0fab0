"""The numpy front end against closed forms and against librosa."""

import librosa
import numpy as np
import pytest

from sentio_tf.audio import decode
from sentio_tf.audio.mel import band_edges, filterbank, hz_to_mel, log_mel, mel_to_hz
from sentio_tf.contract import MEL, MelSpec

SPECS = [MEL, MelSpec(n_fft=512, hop_length=256, n_mels=40, fmin=0, fmax=11_025), MelSpec(top_db=40)]


def reference(y, spec=MEL):
    power = librosa.feature.melspectrogram(
        y=y, sr=spec.sample_rate, n_fft=spec.n_fft, hop_length=spec.hop_length, n_mels=spec.n_mels,
        fmin=spec.fmin, fmax=spec.fmax,
    )  # fmt: skip
    return librosa.power_to_db(power, amin=spec.amin, top_db=spec.top_db)


@pytest.mark.parametrize("spec", SPECS)
def test_equals_librosa_on_the_tune(tune, spec):
    y = decode.load(tune, duration_s=30)
    assert np.abs(log_mel(y, spec=spec) - reference(y, spec)).max() < 1e-3


@pytest.mark.shared
def test_equals_librosa_on_real_recordings(shared):
    files = [*sorted((shared / "music").glob("*.ogg")), *sorted((shared / "emomusic").rglob("*.mp3"))]
    assert len(files) >= 10
    for file in files:
        y = decode.load(file, duration_s=30)
        assert np.abs(log_mel(y) - reference(y)).max() < 1e-3, file.name


@pytest.mark.parametrize("band", [0, 20, 64, 127])
def test_sine_at_a_bands_centre_peaks_there(band):
    centre = band_edges()[band + 1]
    y = (0.5 * np.sin(2 * np.pi * centre * np.arange(30_000) / MEL.sample_rate)).astype(np.float32)
    profile = log_mel(y)[:, 20]
    assert abs(int(profile.argmax()) - band) <= 1  # at 20 Hz a bin is wider than a band
    far = np.abs(np.arange(128) - band) > 30
    assert profile[far].max() < profile.max() - 40


def test_silence_is_the_floor_everywhere():
    np.testing.assert_allclose(log_mel(np.zeros(30_000, np.float32)), -100, atol=1e-4)


def test_impulse_is_flat_over_frequency():
    """|FFT|^2 of a unit impulse is window^2 in every bin: a band holds that times its weights' sum."""
    y = np.zeros(20_480, np.float32)
    y[5120] = 1
    frame = 10  # centred on sample 5120, where the window is 1
    expected = 10 * np.log10(filterbank()[2].sum(axis=0))
    np.testing.assert_allclose(log_mel(y)[:, frame], expected, atol=1e-4)


def test_one_bin_has_the_filters_weights():
    """A cosine on bin 200 puts power (n_fft * a / 4)^2 (Hann: half) into that bin and a quarter beside it."""
    k, amplitude, n = 200, 0.3, MEL.n_fft
    y = (amplitude * np.cos(2 * np.pi * k * np.arange(30 * 2048) / n)).astype(np.float32)
    first, _, weights = filterbank()
    line = (n * amplitude / 4) ** 2
    power = line * (weights[k - first] + 0.25 * (weights[k - first - 1] + weights[k - first + 1]))
    band = int(power.argmax())
    assert log_mel(y)[band, 60] == pytest.approx(10 * np.log10(power[band]), abs=1e-3)


def test_mel_scale_and_its_inverse():
    hz = np.array([0, 20, 500, 1000, 4000, 8000, 11_025])
    np.testing.assert_allclose(hz_to_mel(hz), librosa.hz_to_mel(hz), rtol=1e-12)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, atol=1e-9)


def test_only_used_bins_are_kept():
    first, last, weights = filterbank()
    full = librosa.filters.mel(sr=22_050, n_fft=2048, n_mels=128, fmin=20, fmax=8000)
    np.testing.assert_allclose(weights, full.T[first:last], atol=1e-9)
    assert not full[:, :first].any()
    assert not full[:, last:].any()


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 4410])
def test_frames(samples):
    assert log_mel(np.ones(samples, np.float32)).shape == (128, MEL.frames(samples))


def test_chunks_do_not_matter(make_music):
    y = make_music(4)
    np.testing.assert_allclose(log_mel(y, chunk=7), log_mel(y, chunk=500), atol=1e-4)
