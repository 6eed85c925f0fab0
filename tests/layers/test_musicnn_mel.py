"""musicnn's front end as a layer against its numpy twin, which `tests/audio` compares with librosa."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sentio_tf.audio import decode
from sentio_tf.audio.musicnn_mel import musicnn_mel
from sentio_tf.layers.musicnn_mel import MusicnnMel

SIGNALS = {
    "tune": lambda tune: decode.load(tune, duration_s=10, sample_rate=16_000),
    "silence": lambda _: np.zeros(20_000, np.float32),
    "impulse": lambda _: np.eye(1, 20_000, 12_345, dtype=np.float32)[0],
    "full scale": lambda _: np.sin(2 * np.pi * 440 * np.arange(20_000) / 16_000).astype(np.float32),
    "one sample": lambda _: np.ones(1, np.float32),
}


@pytest.mark.parametrize("kind", SIGNALS)
def test_equals_the_numpy_twin(tune, kind):
    y = SIGNALS[kind](tune)
    found = np.asarray(MusicnnMel()(y[None]))
    assert found.shape == (1, 1 + len(y) // 256, 96)
    # 40 dB below a full-scale tone, between its bands, the rounding of float32 shows.
    np.testing.assert_allclose(found[0], musicnn_mel(y), atol=2e-5 if kind == "full scale" else 1e-5, rtol=0)
    assert (found.max() > 0) == (kind != "silence")


def test_clips_of_a_batch_do_not_meet(make_music):
    loud = make_music(1, rate=16_000)
    both = np.asarray(MusicnnMel()(np.stack([loud, loud * 1e-3])))
    np.testing.assert_allclose(both[1], musicnn_mel(loud * 1e-3), atol=1e-5, rtol=0)


def test_inside_tf_data(make_music):
    y, layer = make_music(1, rate=16_000), MusicnnMel()
    (mapped,) = tf.data.Dataset.from_tensors(y[None]).map(layer).as_numpy_iterator()
    np.testing.assert_allclose(mapped, np.asarray(layer(y[None])), atol=1e-5)


def test_stays_float32_under_mixed_precision(make_music):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = MusicnnMel()(make_music(1, rate=16_000)[None])
    finally:
        keras.config.set_dtype_policy("float32")
    assert found.dtype == "float32"


def test_saved_and_loaded(tmp_path, make_music):
    model = keras.Sequential([keras.Input((16_000,)), MusicnnMel(name="mel")])
    assert model.output_shape == (None, 63, 96)
    model.save(tmp_path / "m.keras")
    x = make_music(1, rate=16_000)[None]
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(model.predict(x, verbose=0), loaded.predict(x, verbose=0))
