"""The headline: the result in words, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..predictions import AXES
from . import read, write
from .read import Corpus

_LEGEND = """
<details class="legend"><summary>What is a CCC?</summary><p>The concordance correlation coefficient says how well
answers agree with listeners: 1 if every answer is the rating itself, 0 if the answers follow nothing. Unlike an
ordinary correlation it also falls when answers are all too high, too low or too timid.</p></details>
"""


def section(run: str, evaluation: Mapping[str, Any], corpora: Sequence[Corpus]) -> str:
    protocol, split = read.given(evaluation, "protocol"), read.given(evaluation, "split")
    chips = [write.text(protocol)] if protocol else []
    if split:
        chips.append(f'split <code title="{write.text(split)}">{write.text(split[:12])}</code>')
    if (seed := read.value(evaluation, "seed")) is not None:
        chips.append(f"seed {seed:g}")
    model = write.prefixed(" · ", read.given(evaluation, "model"))
    out = f'<p class="over">sentio-tf report{write.text(model)}</p><h1>{write.name(run)}</h1>'
    out += f'<p class="lead">{_sentence(corpora)}</p>'
    if chips:
        out += '<ul class="chips">' + "".join(f"<li>{chip}</li>" for chip in chips) + "</ul>"
    warnings = evaluation.get("warnings")
    warnings = [warnings] if isinstance(warnings, str) else warnings
    if warnings and isinstance(warnings, Sequence):
        items = "".join(f"<li>{write.text(write.portable(str(w)))}</li>" for w in warnings)
        out += f'<div class="warning" role="note"><strong>Read this first</strong><ul>{items}</ul></div>'
    return out + _LEGEND


def _sentence(corpora: Sequence[Corpus]) -> str:
    """The result in words, with intervals."""
    both = [c for c in corpora if all(read.measure(c.entry, axis, _key(c, axis)) for axis in AXES)]
    if not both:
        return "This run has no figures for both axes."
    ratings = [c for c in both if _key(c, "valence") == _key(c, "arousal") == "ccc"]
    signs = [c for c in both if c not in ratings]
    parts = []
    if ratings:
        arousal, valence = (_range(ratings, axis, "ccc") for axis in ("arousal", "valence"))
        parts.append(f"it agrees with listeners’ ratings at a CCC of {arousal} for arousal and {valence} for valence")
    if signs:
        arousal, valence = (_range(signs, axis, "accuracy") for axis in ("arousal", "valence"))
        parts.append(f"it takes the right side of zero in {arousal} of the songs for arousal and {valence} for valence")
    tracks = sum(read.count(c.entry, "tracks") or 0 for c in both)
    where = f"on {both[0].title}" if len(both) == 1 else f"over {len(both)} corpora"
    where += f" ({write.plural(tracks, 'song')})" if tracks else ""
    result = f"{where} {', and where only signs are known '.join(parts)}."
    for better, worse in (AXES, AXES[::-1]):
        if all(_clearly_above(c, better, worse) for c in both):
            return f"It hears {better} better than {worse}: {result}"
    return result[0].upper() + result[1:]


def _key(corpus: Corpus, axis: str) -> str:
    """The metric an axis is judged by: CCC of ratings, the right side of signs."""
    return "ccc" if corpus.rated and read.measure(corpus.entry, axis, "ccc") else "accuracy"


def _clearly_above(corpus: Corpus, better: str, worse: str) -> bool:
    """Is one axis above the interval of the other?"""
    key = _key(corpus, better)
    high, low = read.measure(corpus.entry, better, key), read.measure(corpus.entry, worse, key)
    return high is not None and low is not None and low[1] is not None and high[0] > low[1][1]


def _range(corpora: Sequence[Corpus], axis: str, metric: str) -> str:
    """The measure of one corpus, or of the lowest and the highest."""
    found = [m for c in corpora if (m := read.measure(c.entry, axis, metric))]
    show = write.interval if metric == "ccc" else write.percent
    ends = min(found, key=lambda m: m[0]), max(found, key=lambda m: m[0])
    shown = []
    for measure in dict.fromkeys(ends):
        value, bracket, interval = show(measure).partition(" [")
        shown.append(f"<strong>{value}</strong>" + (f' <span class="quiet">[{interval}</span>' if bracket else ""))
    return " to ".join(shown)
