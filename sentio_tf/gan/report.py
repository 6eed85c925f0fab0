"""The quality of a GAN in words and numbers."""

from __future__ import annotations

from typing import Any

from .quality import WEIGHTS

COLUMNS = ("generated", "ceiling", "floor")


def lines(found: dict[str, Any]) -> list[str]:
    """A table of `quality.levels`, and what it says of copies and labels."""
    counts = found["samples"]
    head = f"{'':14}" + "".join(f"{name:>11}" for name in COLUMNS)
    out = [
        f"{counts['generated']} samples against {counts['train']} training songs; ceiling: {counts['held']} other real "
        f"songs, floor: noise; {found['dimensions']} dimensions",
        head,
    ]
    for term in ("composite", *WEIGHTS, "diversity"):
        values = [found[name][term] for name in COLUMNS]
        out.append(f"{term:14}" + "".join(f"{'-':>11}" if v is None else f"{v:11.3f}" for v in values))
    for axis in ("valence", "arousal"):
        made, real = (found[name]["fidelity"][axis] for name in ("generated", "ceiling"))
        out.append(f"{axis + ' CCC':14}{made['ccc']:11.3f}{real['ccc']:11.3f}{made['shuffled']:11.3f}")
    if found.get("fidelity_filtered"):
        out.append("the reader that gives these CCC has chosen the corpus: they are no evidence for its labels")
    copies = found["memorisation"]
    out.append(
        f"nearest training song: {copies['verdict']}; nearer than 95 % of other real songs {copies['near']:.2f}, by "
        f"ratio to the second nearest {copies['copied']:.2f} (real music: {copies['expected']:.2f})"
    )
    if heard := found.get("audio"):
        out.append(
            f"Frechet Audio Distance, musicnn, {heard['patches']} patches of 3 s: generated {heard['generated']:.1f}, "
            f"other real songs {heard['ceiling']:.1f}, noise {heard['floor']:.1f}; what Griffin-Lim alone costs "
            f"{heard['phase']:.1f}"
        )
    if why := found.get("unsound"):
        out.append(f"warning: of a GAN from {why}")
    return out
