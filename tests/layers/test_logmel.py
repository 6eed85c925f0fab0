"""The Keras front end: equal to its numpy twin and to librosa, in eager, in tf.data and after saving."""

import keras
import librosa
import numpy as np
import pytest
import tensorflow as tf

from sentio_tf.audio import decode
from sentio_tf.audio.mel import log_mel
from sentio_tf.contract import MEL, MelSpec
from sentio_tf.layers.logmel import TRANSFORMS, LogMel, floored

SIGNALS = {
    "tune": lambda tune: decode.load(tune, duration_s=10),
    "silence": lambda _: np.zeros(30_000, np.float32),
    "impulse": lambda _: np.eye(1, 30_000, 12_345, dtype=np.float32)[0],
    "sine": lambda _: (0.9 * np.sin(2 * np.pi * 440 * np.arange(30_000) / 22_050)).astype(np.float32),
    "one sample": lambda _: np.ones(1, np.float32),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("kind", SIGNALS)
def test_equals_the_numpy_twin(tune, kind, transform):
    y = SIGNALS[kind](tune)
    out = np.asarray(LogMel(transform=transform)(y[None]))
    assert out.shape == (1, 128, MEL.frames(len(y)), 1)
    # A pure tone is 100 dB above what float32 leaves between its bands: there both are noise.
    away = log_mel(y) > log_mel(y).max() - 79.9
    assert np.abs(out[0, :, :, 0] - log_mel(y))[away].max(initial=0) < (2e-2 if kind == "sine" else 1e-3)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_equals_librosa(tune, transform):
    y = decode.load(tune, duration_s=30)
    power = librosa.feature.melspectrogram(y=y, sr=22_050, n_fft=2048, hop_length=512, n_mels=128, fmin=20, fmax=8000)
    assert (
        np.abs(np.asarray(LogMel(transform=transform)(y[None]))[0, :, :, 0] - librosa.power_to_db(power)).max() < 1e-3
    )


@pytest.mark.shared
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_equals_librosa_on_real_recordings(shared, transform):
    layer = LogMel(transform=transform)
    for file in [*sorted((shared / "music").glob("*.ogg")), *sorted((shared / "emomusic").rglob("*.mp3"))]:
        y = decode.load(file, duration_s=30)
        power = librosa.feature.melspectrogram(
            y=y, sr=22_050, n_fft=2048, hop_length=512, n_mels=128, fmin=20, fmax=8000
        )
        expected = librosa.power_to_db(power)
        found = np.asarray(layer(y[None]))[0, :, :, 0]
        # Both transforms are in single precision; what is 70 dB below the maximum is near its noise in products.
        for below, limit in ((60, 1e-3), (79.9, 1e-3 if transform == "fft" else 2e-3)):
            away = expected > expected.max() - below
            assert np.abs(found - expected)[away].max() < limit, (file.name, below)


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


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_frames_of_a_stream_are_those_of_the_clip(make_music, transform):
    """A second cut out of a clip has the frames that the clip has there, but for the floor."""
    y = make_music(4)
    layer = LogMel(transform=transform)
    whole = np.asarray(layer(y[None]))
    start, frames = 40, 43  # frame 40 is centred at 40 hops, its window begins half a window before
    begin = start * MEL.hop_length - MEL.n_fft // 2
    piece = y[begin : begin + MEL.n_fft + (frames - 1) * MEL.hop_length]
    db = np.asarray(layer.decibels(keras.ops.convert_to_tensor(piece[None])))
    expected = whole[:, :, start : start + frames]
    np.testing.assert_allclose(np.maximum(db, whole.max() - MEL.top_db), expected, atol=1e-3)


def test_the_floor_is_the_clips_own():
    db = np.array([[[[0.0], [-90.0]]], [[[-50.0], [-90.0]]]], np.float32)
    np.testing.assert_array_equal(np.asarray(floored(db, 80.0))[..., 0], [[[0, -80]], [[-50, -90]]])


def test_matmul_of_another_front_end(make_music):
    spec = MelSpec(n_fft=1024, hop_length=256, n_mels=64, fmax=11_025.0)
    y = make_music(1)
    found = np.asarray(LogMel(spec, transform="matmul")(y[None]))[0, :, :, 0]
    np.testing.assert_allclose(found, log_mel(y, spec=spec), atol=1e-3)


def test_transforms_it_cannot_make():
    with pytest.raises(ValueError, match="expected transform one of fft, matmul"):
        LogMel(transform="wavelet")
    with pytest.raises(ValueError, match="expected n_fft a multiple of 64"):
        LogMel(MelSpec(n_fft=2048, hop_length=500), transform="matmul")


def test_saved_with_its_transform():
    assert LogMel.from_config(LogMel(transform="matmul").get_config()).transform == "matmul"
