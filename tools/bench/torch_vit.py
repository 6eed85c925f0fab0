"""The network `vit` and its training step in plain PyTorch, for `train.py --torch-python`.

    PYTHON tools/bench/torch_vit.py [--batch N] [--threads N] [--last N] [--bfloat16]

ViT-S/14 at 224 x 224 (arXiv:2010.11929) with the head of `sentio_tf.models.vit`; log-mel in dB in, loss and optimizer
as `training.fit` has them.  Needs torch and nothing of this project; speaks the language of `train.serve`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from train import serve

IMAGE, PATCH, LAYERS, HEADS, WIDTH, MLP = 224, 14, 12, 6, 384, 1536
TOKENS = (IMAGE // PATCH) ** 2 + 1
EPSILON = 1e-6
BANDS, FRAMES = 128, 1292


class Block(nn.Module):
    """Pre-norm attention and GELU (the exact one), tokens to tokens."""

    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH, EPSILON), nn.LayerNorm(WIDTH, EPSILON)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, MLP), nn.GELU(), nn.Linear(MLP, WIDTH))

    def forward(self, x):
        n, tokens, _ = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(n, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        heads = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(heads.transpose(1, 2).reshape(n, tokens, WIDTH))
        return x + self.mlp(self.ln_2(x))


class ViT(nn.Module):
    """Log-mel `(batch, 128, frames)` in dB -> `(batch, 2)` = [valence, arousal] in [-1, 1]."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.first = nn.Parameter(0.02 * torch.randn(1, 1, WIDTH))
        self.positions = nn.Parameter(0.02 * torch.randn(1, TOKENS, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, EPSILON)
        self.head = nn.Sequential(
            nn.LayerNorm(WIDTH, EPSILON),
            nn.Dropout(0.2),
            nn.Linear(WIDTH, 512),
            nn.GELU(),
            nn.Dropout(0.2),
            nn.Linear(512, 128),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(128, 2),
        )
        nn.init.zeros_(self.head[-1].weight)

    def forward(self, mel):
        low, high = mel.amin((1, 2), keepdim=True), mel.amax((1, 2), keepdim=True)
        picture = (2 * (mel - low) / (high - low) - 1)[:, None]
        picture = functional.interpolate(picture, (IMAGE, IMAGE), mode="bilinear", antialias=True)
        x = self.patches(picture.expand(-1, 3, -1, -1)).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], dim=1) + self.positions
        x = self.norm(self.blocks(x))
        return torch.tanh(self.head(x[:, 0]).float())

    def rest(self, last: int) -> None:
        """Only the head and the last blocks train from now on; the last normalisation goes with them."""
        still = [self.patches, *self.blocks[: LAYERS - last], *([] if last else [self.norm])]
        for weights in [self.first, self.positions, *(p for part in still for p in part.parameters())]:
            weights.requires_grad_(False)


def emotion_loss(target, answer):
    """1 - CCC, the mean of both axes, and the squared error: `losses.EmotionLoss` of rated rows."""
    x, y = target - target.mean(0), answer - answer.mean(0)
    apart = torch.square(target.mean(0) - answer.mean(0))
    ccc = 2 * (x * y).mean(0) / ((x * x).mean(0) + (y * y).mean(0) + apart + 1e-8)
    return (1 - ccc).mean() + functional.mse_loss(answer, target)


def make_step(batch: int, *, last: int | None, bfloat16: bool) -> tuple[Callable[[], Any], int]:
    """One training step, and the network's number of weights."""
    torch.manual_seed(0)
    model = ViT().train()
    if last is not None:
        model.rest(last)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.05, fused=True)
    mel, target = 15 * torch.randn(batch, BANDS, FRAMES) - 30, 2 * torch.rand(batch, 2) - 1

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            answer = model(mel)
        loss = emotion_loss(target, answer)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        return loss.item()

    return step, sum(p.numel() for p in model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--last", type=int, metavar="N", help="blocks that train, the last ones; default: everything")
    parser.add_argument("--bfloat16", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    serve(*make_step(arguments.batch, last=arguments.last, bfloat16=arguments.bfloat16))


if __name__ == "__main__":
    main()
