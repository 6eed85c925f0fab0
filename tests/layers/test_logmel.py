"""The Keras front end: equal to its numpy twin and to librosa, in eager, in tf.data and after saving."""

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

from sentio_tf.audio import decode
from sentio_tf.audio.mel import log_mel
from sentio_tf.contract import MEL, MelSpec
from sentio_tf.layers.logmel import LogMel

SIGNALS = {
    "tune": lambda tune: decode.load(tune, duration_s=10),
    "silence": lambda _: np.zeros(30_000, np.float32),
    "impulse": lambda _: np.eye(1, 30_000, 12_345, dtype=np.float32)[0],
    "sine": lambda _: (0.9 * np.sin(2 * np.pi * 440 * np.arange(30_000) / 22_050)).astype(np.float32),
    "one sample": lambda _: np.ones(1, np.float32),
}


@pytest.mark.parametrize("kind", SIGNALS)
def test_equals_the_numpy_twin(tune, kind):
    y = SIGNALS[kind](tune)
    out = np.asarray(LogMel()(y[None]))
    assert out.shape == (1, 128, MEL.frames(len(y)), 1)
    # A pure tone is 100 dB above what float32 leaves between its bands: there both are noise.
    away = log_mel(y) > log_mel(y).max() - 79.9
    assert np.abs(out[0, :, :, 0] - log_mel(y))[away].max(initial=0) < (2e-2 if kind == "sine" else 1e-3)


def test_equals_librosa(tune):
    y = decode.load(tune, duration_s=30)
    power = librosa.feature.melspectrogram(y=y, sr=22_050, n_fft=2048, hop_length=512, n_mels=128, fmin=20, fmax=8000)
    assert np.abs(np.asarray(LogMel()(y[None]))[0, :, :, 0] - librosa.power_to_db(power)).max() < 1e-3


@pytest.mark.shared
def test_equals_librosa_on_real_recordings(shared):
    layer = LogMel()
    for file in [*sorted((shared / "music").glob("*.ogg")), *sorted((shared / "emomusic").rglob("*.mp3"))]:
        y = decode.load(file, duration_s=30)
        power = librosa.feature.melspectrogram(
            y=y, sr=22_050, n_fft=2048, hop_length=512, n_mels=128, fmin=20, fmax=8000
        )
        expected = librosa.power_to_db(power)
        away = expected > expected.max() - 79.9
        found = np.asarray(layer(y[None]))[0, :, :, 0]
        assert np.abs(found - expected)[away].max() < 1e-3, file.name


def test_floor_belongs_to_each_clip(make_music):
    loud = make_music(2)
    both = np.stack([loud, loud * 1e-3])
    together = np.asarray(LogMel()(both))
    for i in range(2):
        np.testing.assert_allclose(together[i], np.asarray(LogMel()(both[i : i + 1]))[0], atol=1e-4)
    assert together[1].min() < together[0].min() - 30, "a floor of its own"


def test_inside_tf_data(make_music):
    y = make_music(2)
    layer = LogMel()
    (mapped,) = tf.data.Dataset.from_tensors(y[None]).map(layer).as_numpy_iterator()
    np.testing.assert_allclose(mapped, np.asarray(layer(y[None])), atol=1e-3)


def test_stays_float32_under_mixed_precision(make_music):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        out = LogMel()(make_music(1)[None])
    finally:
        keras.config.set_dtype_policy("float32")
    assert out.dtype == "float32"


def test_saved_and_loaded(tmp_path, make_music):
    spec = MelSpec(n_fft=512, hop_length=128, n_mels=40)
    model = keras.Sequential([keras.Input((22_050,)), LogMel(spec)])
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    x = make_music(1)[None]
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))
    assert loaded.layers[-1].spec == spec
