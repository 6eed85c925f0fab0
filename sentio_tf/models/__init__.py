"""Keras models: log-mel `(batch, 128, frames, 1)`, or a waveform, -> `(batch, 2)` = [valence, arousal]."""

from collections.abc import Callable
from typing import Any

from . import ast, cnn_transformer, crnn, efficientnet_lite, mobilevit, musicnn, sample_cnn, short_chunk_cnn, vit

MODELS: dict[str, Callable[..., Any]] = {
    "vit": vit.build,
    "ast": ast.build,
    "crnn": crnn.build,
    "short_chunk_cnn": short_chunk_cnn.build,
    "cnn_transformer": cnn_transformer.build,
    "musicnn": musicnn.build,
    "sample_cnn": sample_cnn.build,
    "mobilevit": mobilevit.build,
    "efficientnet_lite": efficientnet_lite.build,
}
# Models that take sound, `(batch, samples)`, at their rate [Hz]; the others take the log-mel.
WAVEFORM = {"musicnn": 16_000, "sample_cnn": 22_050}
# Of these, the ones whose first layers make a mel, and which.
OWN_MEL = {"musicnn": musicnn.SPEC}
# Layers that stay float in every file: they weigh nothing, and with them in INT8 the answer is lost.
FLOAT_LAYERS = {"musicnn": ("head_logits",)}
# Where pretrained weights come from: name -> arguments of `build`.
SOURCES = {"vit": vit.source, "musicnn": musicnn.source, "efficientnet_lite": efficientnet_lite.source}
# What they take of a pretrained network beside its weights, from a network that was built of it.
SIZES_OF = {"vit": vit.sizes_of}
# The pretrained layers from input to output, in the units that unfreeze one by one; the head is in none.
STAGES = {"vit": vit.stages, "musicnn": musicnn.stages, "efficientnet_lite": efficientnet_lite.stages}
