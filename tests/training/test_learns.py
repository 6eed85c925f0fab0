"""The whole training path can learn something: loud against soft on the miniature corpus."""

import numpy as np
import pytest

from sentio_tf import config, corpora, pipeline
from sentio_tf.training import fit as training
from sentio_tf.training.build import load_model


@pytest.mark.slow
def test_overfits_level(mini, tmp_path):
    settings = config.load(
        None,
        ["epochs=40", "batch_size=8", "crop_s=10", "validation=0.25", "patience=40", "architecture.height=64",
         "architecture.gain_db=0", "learning_rate=0.003"],
    )  # fmt: skip
    sources = [f"folder:{mini / 'rated'}"]
    training.fit(settings, sources, tmp_path / "r", cache=tmp_path / "c", report=lambda _: None)
    tracks = corpora.read(sources[0])
    model = load_model(tmp_path / "r" / "model.keras")
    arousal = pipeline.predict_tracks(model, tracks, pipeline.open_cache(pipeline.Spec(tmp_path / "c")))[:, 1]
    assert np.corrcoef(arousal, [t.arousal for t in tracks])[0, 1] > 0.8
