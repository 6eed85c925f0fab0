"""A run as one HTML page that needs nothing else: no network, no font, no script it could not do without.

What the page says comes from the evaluation (`summary.evaluate`), the table of predictions, the history
of the training and a few words on how the run was made; whatever of it is missing is left out of the page.
The same input gives the same bytes.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from . import page, svg
from .predictions import AXES, Predictions
from .summary import SMALL

DRAWN = 4000  # songs drawn of a corpus: more marks only make the page slow
SMALL_TRACKS = 20  # fewer, or fewer groups than `SMALL`: what is measured there is chance
EQUAL = 0.1  # slopes and ratios closer to 1 than a tenth are called equal: less is within what a bootstrap moves
QUADRANTS = ("Q1", "Q2", "Q3", "Q4")
MEANING = {
    "Q1": "pleasant, energetic",
    "Q2": "unpleasant, energetic",
    "Q3": "unpleasant, calm",
    "Q4": "pleasant, calm",
}
METRICS = {  # name in the evaluation: name on the page, in the order of the table
    "ccc": "CCC", "pearson": "Pearson r", "spearman": "Spearman ρ", "r2": "R²", "rmse": "RMSE", "mae": "MAE",
    "accuracy": "right side", "auc": "AUC", "f1": "macro F1",
}  # fmt: skip
Measure = tuple[float, "tuple[float, float] | None"]  # value; bounds of its 95 % interval


@dataclass(frozen=True)
class _Corpus:
    """A corpus on the page: its number there, its part of the evaluation, and the songs that are drawn."""

    index: int
    name: str
    label: str
    entry: Mapping[str, Any]
    songs: Predictions | None
    left_out: int = 0

    @property
    def rated(self) -> bool:
        return self.label != "sign"

    @property
    def title(self) -> str:
        return _name(self.name)


def render(
    evaluation: Mapping[str, Any],
    predictions: Predictions,
    history: Sequence[Mapping[str, str]],
    about: Mapping[str, Any],
) -> str:
    """The page.

    Args:
        evaluation: of `summary.evaluate`; any key may be missing.
        predictions: the songs, references and answers in [-1, 1]; may be empty.
        history: rows of `history.csv`, of a network (epoch, loss, val_CORPUS_AXIS ...) or of a classical
            model (fold, axis, candidate, score, hyperparameters); may be empty.
        about: command, commit, version, seconds, environment, data, config; any may be missing.

    Returns: HTML.  Folders of this machine in it are called ROOT.
    """
    corpora = _corpora(evaluation, predictions)
    sections = [
        ("figures", "Figures", "How far from perfect?", _figures(corpora)),
        ("songs", "Songs", "Where the songs lie", _planes(corpora)),
        ("calibration", "Calibration", "Answers against listeners", _calibrations(corpora)),
        ("residuals", "Residuals", "How the answers miss", _residuals(corpora)),
        ("quadrants", "Quadrants", "Which quadrants are confused", _confusions(corpora)),
        ("groups", "Groups", "For which music?", _groups(corpora)),
        ("worst", "Worst", "The worst answers", _worst(corpora)),
        ("training", "Training", "How it was trained", _training(history)),
        ("made", "Made", "How this was made", _made(evaluation, about)),
    ]
    sections = [s for s in sections if s[3]]
    links = "".join(f'<a href="#{key}">{short}</a>' for key, short, _, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{content}</section>'
        for key, _, title, content in sections
    )
    run = _given(evaluation, "name") or predictions.name or "run"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{_text(run)}: sentio-tf report</title>'
        f"<style>{svg.STYLE}{page.STYLE}</style></head><body>"
        f'<a class="skip" href="#top">To the result</a><header class="masthead"><div><nav aria-label="Sections">'
        f'<a href="#top">Result</a>{links}</nav>{_filter(corpora)}</div></header>'
        f'<main><section id="top">{_headline(run, evaluation, corpora)}</section>{body}</main>'
        f"<footer>Scale of valence and arousal: {_text(_given(evaluation, 'scale') or '[-1, 1]')}. "
        f"Made by sentio-tf{_text(_prefixed(' ', _given(about, 'version')))}.</footer>"
        '<div id="tip" role="status" hidden></div>'
        f'<script type="application/json" id="songs-data">{_data(corpora)}</script><script>{page.SCRIPT}</script>'
        "</body></html>\n"
    )


# What is read


def _corpora(evaluation: Mapping[str, Any], predictions: Predictions) -> list[_Corpus]:
    """Those of the evaluation in its order, then those that only the predictions know."""
    entries = evaluation.get("corpora")
    entries = entries if isinstance(entries, Mapping) else {}
    parts = predictions.parts() if len(predictions) else {}
    found = []
    for index, name in enumerate([*entries, *(p for p in parts if p not in entries)]):
        entry = entries.get(name)
        entry = entry if isinstance(entry, Mapping) else {}
        part = parts.get(name)
        label = str(entry.get("label") or (part.label[0] if part is not None else "rating"))
        songs, left_out = _drawable(part)
        found.append(_Corpus(index, portable(str(name)), label, entry, songs, left_out))
    return found


def _drawable(part: Predictions | None) -> tuple[Predictions | None, int]:
    """Songs with finite values, `DRAWN` at most, evenly through the table; and how many are left out."""
    if part is None:
        return None, 0
    finite = np.flatnonzero(np.isfinite(part.reference).all(axis=1) & np.isfinite(part.estimated).all(axis=1))
    if len(finite) > DRAWN:
        finite = finite[np.linspace(0, len(finite) - 1, DRAWN).round().astype(int)]
    return (part.take(finite) if len(finite) else None), len(part) - len(finite)


def _dig(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _float(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _value(tree: Any, *keys: str) -> float | None:
    return _float(_dig(tree, *keys))


def _measure(tree: Any, *keys: str) -> Measure | None:
    """Value and interval of `{"value", "low", "high"}`, or of a bare number."""
    found = _dig(tree, *keys)
    if not isinstance(found, Mapping):
        number = _float(found)
        return None if number is None else (number, None)
    value, low, high = (_float(found.get(k)) for k in ("value", "low", "high"))
    if value is None:
        return None
    return value, None if low is None or high is None else (low, high)


def _count(tree: Any, key: str) -> int | None:
    value = _value(tree, key)
    return None if value is None else int(value)


# What is written


_OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def _clean(value: Any) -> str:
    """Text with escapes for what a page cannot hold or what disguises a name: controls, surrogates, directions."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cs") or c in _OVERRIDES else c
        for c in str(value)
    )


def _text(value: Any) -> str:
    return escape(_clean(value))


def _name(value: Any) -> str:
    """A user's text in its own direction of writing."""
    return f"<bdi>{_text(value)}</bdi>"


def _track(value: Any) -> str:
    """A track's name; of a path on somebody's machine, the file's."""
    text = str(value)
    whole = re.fullmatch(r"(?:/|[A-Za-z]:[\\/]).*[\\/]([^\\/]+)", text, re.DOTALL)
    return whole[1] if whole else text


# An absolute path after the start, a blank, or one of : = , ( [ { or a quote; the // of an address is none.
_ROOT = r"(?:file://)?(?:~?/(?!/)|\b[A-Za-z]:[\\/])"
_PATH = re.compile(
    rf"""(?P<quote>['"]){_ROOT}(?:[^'"\n]*[\\/])?(?P<inner>[^'"\\/\n]+)/?(?P=quote)"""
    rf"""|(?:(?<=[\s:=,(\[{{'"])|^){_ROOT}(?:[^\s'",;)\]}}]*[\\/])?(?P<bare>[^\s'",;)\]}}\\/]+)/?"""
)


def portable(text: str) -> str:
    """Text with every absolute path as `ROOT/last-part`: a page is shown to others."""
    return _PATH.sub(
        lambda m: f"{m['quote']}ROOT/{m['inner']}{m['quote']}" if m["quote"] else f"ROOT/{m['bare']}", text
    )


def _given(tree: Mapping[str, Any], key: str) -> str:
    """A text of the run, portable; empty where it is missing or no text."""
    value = tree.get(key)
    if isinstance(value, str):
        return portable(value)
    number = _float(value)
    return "" if number is None else f"{number:g}"


def _prefixed(prefix: str, text: str) -> str:
    return f"{prefix}{text}" if text else ""


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else svg.signed(value, digits)


def _interval(measure: Measure | None, digits: int = 2) -> str:
    """`0.63 [0.55, 0.70]`."""
    if measure is None:
        return "–"
    value, bounds = measure
    shown = svg.signed(value, digits)
    return shown if bounds is None else f"{shown} [{svg.signed(bounds[0], digits)}, {svg.signed(bounds[1], digits)}]"


def _percent(measure: Measure) -> str:
    value, bounds = measure
    shown = f"{100 * value:.0f} %"
    return shown if bounds is None else f"{shown} [{100 * bounds[0]:.0f}, {100 * bounds[1]:.0f}]"


def _figure(corpus: _Corpus, caption: str, chart: str, note: str = "") -> str:
    note = f'<p class="note">{note}</p>' if note else ""
    return f'<figure data-corpus="{corpus.index}"><figcaption>{caption}</figcaption>{chart}{note}</figure>'


def _say(words: str) -> str:
    return f'<p class="say">{words}</p>'


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _plural(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _size(tree: Any) -> str:
    """`217 songs in 213 groups`, as far as known."""
    tracks, groups = _count(tree, "tracks"), _count(tree, "groups")
    if tracks is None:
        return ""
    return _plural(tracks, "song") + (f" in {_plural(groups, 'group')}" if groups is not None else "")


def _key(corpus: _Corpus, axis: str) -> str:
    """The metric an axis is judged by: CCC of ratings, the right side of signs."""
    return "ccc" if corpus.rated and _measure(corpus.entry, axis, "ccc") else "accuracy"


# Headline


def _headline(run: str, evaluation: Mapping[str, Any], corpora: Sequence[_Corpus]) -> str:
    protocol, split = _given(evaluation, "protocol"), _given(evaluation, "split")
    chips = [_text(protocol)] if protocol else []
    if split:
        chips.append(f'split <code title="{_text(split)}">{_text(split[:12])}</code>')
    if (seed := _value(evaluation, "seed")) is not None:
        chips.append(f"seed {seed:g}")
    model = _prefixed(" · ", _given(evaluation, "model"))
    out = f'<p class="over">sentio-tf report{_text(model)}</p><h1>{_name(run)}</h1>'
    out += f'<p class="lead">{_sentence(corpora)}</p>'
    if chips:
        out += '<ul class="chips">' + "".join(f"<li>{chip}</li>" for chip in chips) + "</ul>"
    warnings = evaluation.get("warnings")
    warnings = [warnings] if isinstance(warnings, str) else warnings
    if warnings and isinstance(warnings, Sequence):
        items = "".join(f"<li>{_text(portable(str(w)))}</li>" for w in warnings)
        out += f'<div class="warning" role="note"><strong>Read this first</strong><ul>{items}</ul></div>'
    return out + _LEGEND


def _sentence(corpora: Sequence[_Corpus]) -> str:
    """The result in words, with intervals."""
    both = [c for c in corpora if all(_measure(c.entry, axis, _key(c, axis)) for axis in AXES)]
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
    tracks = sum(_count(c.entry, "tracks") or 0 for c in both)
    where = f"on {both[0].title}" if len(both) == 1 else f"over {len(both)} corpora"
    where += f" ({_plural(tracks, 'song')})" if tracks else ""
    result = f"{where} {', and where only signs are known '.join(parts)}."
    for better, worse in (AXES, AXES[::-1]):
        if all(_clearly_above(c, better, worse) for c in both):
            return f"It hears {better} better than {worse}: {result}"
    return result[0].upper() + result[1:]


def _clearly_above(corpus: _Corpus, better: str, worse: str) -> bool:
    """Is one axis above the interval of the other?"""
    key = _key(corpus, better)
    high, low = _measure(corpus.entry, better, key), _measure(corpus.entry, worse, key)
    return high is not None and low is not None and low[1] is not None and high[0] > low[1][1]


def _range(corpora: Sequence[_Corpus], axis: str, metric: str) -> str:
    """The measure of one corpus, or of the lowest and the highest."""
    found = [m for c in corpora if (m := _measure(c.entry, axis, metric))]
    show = _interval if metric == "ccc" else _percent
    ends = min(found, key=lambda m: m[0]), max(found, key=lambda m: m[0])
    shown = []
    for measure in dict.fromkeys(ends):
        value, bracket, interval = show(measure).partition(" [")
        shown.append(f"<strong>{value}</strong>" + (f' <span class="quiet">[{interval}</span>' if bracket else ""))
    return " to ".join(shown)


# Figures: dots, whiskers, and the table


def _figures(corpora: Sequence[_Corpus]) -> str:
    ratings = [(c, axis, _dig(c.entry, axis)) for c in corpora for axis in AXES if _measure(c.entry, axis, "ccc")]
    sides = [
        (c, axis, _dig(c.entry, axis))
        for c in corpora
        for axis in (*AXES, "quadrant")
        if not c.rated and _measure(c.entry, axis, "accuracy")
    ]
    out = ""
    if ratings:
        rows = [
            _Row(c, axis, tree, "ccc", 0.0, _value(tree, "ceiling", "ccc"))
            for c, axis, tree in ratings
        ]  # fmt: skip
        out += "<h3>Agreement with ratings: CCC</h3>" + _key_rows(rows)
    if sides:
        rows = [
            _Row(c, axis, tree, "accuracy",
                 _value(tree, "constant", "accuracy"), _value(tree, "ceiling", "accuracy"))
            for c, axis, tree in sides
        ]  # fmt: skip
        out += "<h3>Share of songs on the right side</h3>" + _key_rows(rows)
    if out:
        out = (
            _say(
                "A dot is the value, its line the 95 % interval over groups (artists, songs or series). "
                '<span class="mark-constant"></span> what one gets for always answering the mean; '
                '<span class="mark-ceiling"></span> '
                "what the listeners’ disagreement leaves possible, if known, and the share of it that is reached."
            )
            + out
        )
    return out + _all_figures(corpora)


@dataclass(frozen=True)
class _Row:
    """A line of a chart of dots and whiskers."""

    corpus: _Corpus
    axis: str
    tree: Any
    metric: str
    constant: float | None = None
    ceiling: float | None = None

    @property
    def measure(self) -> Measure:
        found = _measure(self.tree, self.metric)
        assert found is not None  # rows are made of what is there
        return found


def _scale(measures: Iterable[Measure], metric: str) -> tuple[float, float]:
    """Ends of an axis in fifths: of errors as far as they go, of a bias on both sides, else 0 to 1 or wider."""
    values = [v for value, bounds in measures for v in (value, *(bounds or ()))]
    low, high = math.floor(min(values) * 5 + 1e-9) / 5, math.ceil(max(values) * 5 - 1e-9) / 5
    if metric == "bias":
        reach = max(0.2, -low, high)
        return -reach, reach
    return min(0.0, low), max(0.2 if metric == "mae" else 1.0, high)


def _key_rows(rows: Sequence[_Row]) -> str:
    """A table of dots and whiskers, a block a corpus; columns of what nobody knows are left out."""
    low, high = _scale((r.measure for r in rows), rows[0].metric)
    constants = any(r.constant is not None for r in rows)
    ceilings = any(r.ceiling is not None for r in rows)
    out = (
        '<table class="forest key"><thead><tr><th scope="col">corpus</th><th scope="col">axis</th>'
        f'<td class="plot" aria-hidden="true">{svg.whisker_axis(low, high)}</td>'
        '<th scope="col" class="value">value</th>'
        + ('<th scope="col" class="bound">constant</th>' if constants else "")
        + ('<th scope="col" class="bound">ceiling</th>' if ceilings else "")
        + "</tr></thead>"
    )
    for index in dict.fromkeys(r.corpus.index for r in rows):
        own = [r for r in rows if r.corpus.index == index]
        out += f'<tbody data-corpus="{index}">'
        for k, r in enumerate(own):
            value, bounds = r.measure
            chart = svg.whisker(
                low, high, axis=r.axis, value=value, bounds=bounds, constant=r.constant, ceiling=r.ceiling
            )
            out += "<tr>"
            if k == 0:
                size = f'<span class="quiet n">{_size(r.corpus.entry)}</span>'
                out += f'<th scope="rowgroup" rowspan="{len(own)}">{r.corpus.title}{size}</th>'
            out += (
                f'<td class="axis"><span class="swatch {r.axis}"></span>{r.axis}</td><td class="plot">{chart}</td>'
                f'<td class="value">{_interval(r.measure)}</td>'
            )
            out += f'<td class="bound" data-name="constant">{_number(r.constant)}</td>' if constants else ""
            if ceilings:
                reached = f" ({100 * value / r.ceiling:.0f} %)" if r.ceiling else ""
                out += f'<td class="bound" data-name="ceiling">{_number(r.ceiling)}'
                out += f'<span class="quiet">{reached}</span></td>'
            out += "</tr>"
        out += "</tbody>"
    return out + "</table>"


def _all_figures(corpora: Sequence[_Corpus]) -> str:
    rows = [(c, axis, _dig(c.entry, axis)) for c in corpora for axis in (*AXES, "quadrant")]
    rows = [(c, axis, tree) for c, axis, tree in rows if any(_measure(tree, m) for m in METRICS)]
    if not rows:
        return ""
    used = [m for m in METRICS if any(_measure(tree, m) for _, _, tree in rows)]
    spread = any(_value(tree, "sd_ratio") is not None for _, _, tree in rows)
    head = "".join(f'<th scope="col">{METRICS[m]}</th>' for m in used)
    head += '<th scope="col">spread of answers / ratings</th>' if spread else ""
    out = ""
    for c, axis, tree in rows:
        out += f'<tr data-corpus="{c.index}"><th scope="row">{c.title}</th>'
        out += f'<td class="axis"><span class="swatch {axis}"></span>{axis}</td>'
        for m in used:
            measure = _measure(tree, m)
            cell = "–"
            if measure is not None:
                value, bounds = measure
                cell = svg.signed(value, 3)
                if bounds is not None:
                    cell += f'<span class="quiet n">{svg.signed(bounds[0])} to {svg.signed(bounds[1])}</span>'
                if (constant := _value(tree, "constant", m)) is not None:
                    cell += f'<span class="quiet n">constant {svg.signed(constant, 3)}</span>'
            out += f'<td class="num">{cell}</td>'
        out += f'<td class="num">{_number(_value(tree, "sd_ratio"))}</td>' if spread else ""
        out += "</tr>"
    return (
        "<details><summary>All figures as a table</summary>"
        '<div class="scroll" tabindex="0" role="group" aria-label="All figures"><table class="all"><thead><tr>'
        f'<th scope="col">corpus</th><th scope="col">axis</th>{head}</tr></thead><tbody>{out}</tbody></table></div>'
        "</details>"
    )


# Songs


def _planes(corpora: Sequence[_Corpus]) -> str:
    out, rated, signed = "", False, False
    for c in corpora:
        if c.songs is None:
            continue
        n = len(c.songs)
        note = ""
        if c.left_out:
            note += f"{n:,} of {n + c.left_out:,} songs are drawn. "
        places = np.concatenate([c.songs.estimated, c.songs.reference])
        beyond = int((np.abs(places) > 1 + 1e-6).any(axis=1).sum())
        if beyond:
            note += f"{_plural(beyond, 'place')} outside [−1, 1] drawn at the edge. "
        if c.rated:
            rated = True
            label = f"{n} songs of {_clean(c.name)} on the plane, each from the listeners' rating to the model's answer"
            chart = svg.plane(c.songs.reference, c.songs.estimated, label=label, songs=c.index)
            caption = f"{c.title}: from rating to answer"
        else:
            signed = True
            hits = int(((c.songs.reference > 0) == (c.songs.estimated > 0)).all(axis=1).sum())
            label = f"{n} songs of {_clean(c.name)} at the model's answers; {hits} are in their true quadrant"
            chart = svg.plane_of_signs(c.songs.reference, c.songs.estimated, label=label, songs=c.index)
            caption = f"{c.title}: {hits:,} of {n:,} in the right quadrant"
        out += _figure(c, caption, chart, note)
    if not out:
        return ""
    words = []
    if rated:
        words.append(
            "Each wedge is a song: its broad end where listeners put it, the dot at its point where the model did. "
            f"Coloured wedges are means of {svg.CELL_SONGS} songs or more that are rated alike."
        )
    if signed:
        words.append(
            "Where only the true quadrant is known, a song is drawn at the model’s answer: "
            '<span class="mark-hit"></span> in its true quadrant, <span class="mark-miss">×</span> in another.'
        )
    alone = " alone" if out.count("<figure") == 1 else ""
    return _say(" ".join(words)) + f'<div class="grid{alone}">{out}</div>'


def _calibrations(corpora: Sequence[_Corpus]) -> str:
    out = ""
    for c in corpora:
        if c.songs is None:
            continue
        for k, axis in enumerate(AXES):
            r, e = c.songs.reference[:, k], c.songs.estimated[:, k]
            name = f'<span class="swatch {axis}"></span>{c.title}, {axis}'
            if c.rated:
                tree = _dig(c.entry, axis, "calibration")
                slope, intercept = _value(tree, "slope"), _value(tree, "intercept")
                line = None if slope is None or intercept is None else (slope, intercept)
                label = f"{axis} of {len(r)} songs of {_clean(c.name)}: listeners' rating over the model's answer"
                chart = svg.calibration(e, r, axis=axis, label=label, songs=c.index, line=line, bins=_bins(tree))
                ratio = _value(tree, "sd_ratio")
                words = _shrinkage(ratio if ratio is not None else _value(c.entry, axis, "sd_ratio"), slope)
                out += _figure(c, name, chart, words)
            else:
                label = f"Answers for {axis}, {_clean(c.name)}: songs that are truly positive above, negative below"
                chart = svg.mirrored(e[r > 0], e[r <= 0], axis=axis, label=label)
                auc = _measure(c.entry, axis, "auc")
                words = f"Told apart with an area under the ROC curve of {_interval(auc)}." if auc else ""
                out += _figure(c, name, chart, words)
    if not out:
        return ""
    words = (
        "Perfect answers lie on the dashed diagonal; rings are means of songs with similar answers, the line is fitted."
    )
    if not any(c.rated and c.songs for c in corpora):
        words = "Perfect answers have every song above the line right of zero, and every song below it left of zero."
    return _say(words) + f'<div class="grid">{out}</div>'


def _bins(tree: Any) -> list[dict[str, float]]:
    bins = _dig(tree, "bins")
    found = []
    for b in bins if isinstance(bins, Sequence) else ():
        estimated, reference, n = (_value(b, k) for k in ("estimated", "reference", "n"))
        if estimated is not None and reference is not None and n:
            found.append({"estimated": estimated, "reference": reference, "n": n})
    return found


def _shrinkage(ratio: float | None, slope: float | None) -> str:
    """What spread and slope mean for who uses the answers."""
    words = []
    if ratio is not None:
        if ratio < 1 - EQUAL:
            words.append(f"The answers are shrunk to the mean: they spread {ratio:.2f} times as wide as the ratings.")
        elif ratio > 1 + EQUAL:
            words.append(f"The answers spread {ratio:.2f} times as wide as the ratings: wider than they should.")
        else:
            words.append(f"The answers spread as wide as the ratings ({ratio:.2f}).")
    if slope is not None:
        step = f"slope {svg.signed(slope)}: answers 0.10 apart belong to ratings {svg.signed(0.1 * slope, 3)} apart"
        if slope > 1 + EQUAL:
            words.append(f"They are too timid ({step}).")
        elif slope < 0:
            words.append(f"Higher answers go with lower ratings ({step}).")
        elif slope < 1 - EQUAL:
            words.append(f"Differences between answers are larger than those between ratings ({step}).")
        else:
            words.append(f"Differences between answers are right in size ({step}).")
    return " ".join(words)


def _residuals(corpora: Sequence[_Corpus]) -> str:
    out = ""
    for c in corpora:
        if c.songs is None or not c.rated:
            continue
        for k, axis in enumerate(AXES):
            r = c.songs.reference[:, k]
            d = c.songs.estimated[:, k] - r
            name = f'<span class="swatch {axis}"></span>{c.title}, {axis}'
            mean, within = float(d.mean()), float(np.mean(np.abs(d) <= 0.25))
            label = f"Answer minus rating, {axis}, {_clean(c.name)}: mean {mean:.2f}"
            first = svg.histogram(d, axis=axis, label=label, title="answer minus rating")
            second = svg.residuals(r, d, axis=axis, label=f"{label}, over the rating", songs=c.index)
            note = f"Off by {svg.signed(mean)} on average; {100 * within:.0f} % of the songs within a quarter."
            out += _figure(c, name, first + second, note)
    if not out:
        return ""
    signs = any(not c.rated for c in corpora)
    words = "Answer minus rating: how often, and over the rating. Where the line falls from left to right, songs that "
    words += "listeners rate low are answered too high and the other way round."
    return _say(words + (" Signs have no residuals." if signs else "")) + f'<div class="grid">{out}</div>'


def _confusions(corpora: Sequence[_Corpus]) -> str:
    out = ""
    for c in corpora:
        counts = _dig(c.entry, "quadrant", "confusion")
        try:
            table = np.asarray(counts, np.float64)
        except (TypeError, ValueError):
            continue
        if table.shape != (4, 4) or not np.isfinite(table).all() or table.sum() <= 0:
            continue
        head = "".join(f'<th scope="col">{q}</th>' for q in QUADRANTS)
        rows = ""
        for q, row in zip(QUADRANTS, table, strict=True):
            cells = ""
            for n in row:
                share = n / row.sum() if row.sum() else 0.0
                # A tint of 60 % at most: ink stays readable on it in both themes.
                cells += (
                    f'<td style="--p:{0.6 * share:.2f}">{100 * share:.0f} %<span class="quiet n">{n:.0f}</span></td>'
                )
            rows += f'<tr><th scope="row">{q}<span class="quiet n">{MEANING[q]}</span></th>{cells}</tr>'
        parts = [
            f"{name} {_interval(m)}"
            for key, name in (("accuracy", "right"), ("f1", "macro F1"))
            if (m := _measure(c.entry, "quadrant", key))
        ]
        caption = f"{c.title}" + (f": {', '.join(parts)}" if parts else "")
        out += (
            f'<figure data-corpus="{c.index}"><figcaption>{caption}</figcaption><table class="confusion"><thead><tr>'
            f'<th scope="col">truth ↓, answer →</th>{head}</tr></thead><tbody>{rows}</tbody></table></figure>'
        )
    if not out:
        return ""
    return _say("Of the songs of a quadrant (row), the share that the model puts into each.") + (
        f'<div class="grid">{out}</div>'
    )


# Groups of music


def _groups(corpora: Sequence[_Corpus]) -> str:
    out = ""
    for c in corpora:
        part = _quadrant_groups(c) + _genre_groups(c)
        if part:
            out += f'<div data-corpus="{c.index}"><h3>{c.title}</h3>{part}</div>'
    if not out:
        return ""
    return (
        _say(
            f"Largest group first. Fewer than {SMALL_TRACKS} songs or {SMALL} groups is called small and drawn "
            "faint: too few to trust its interval. "
            '<span class="swatch valence"></span>valence <span class="swatch arousal"></span>arousal '
            '<span class="swatch quadrant"></span>both'
        )
        + out
    )


def _members(tree: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Groups of music, largest first."""
    if not isinstance(tree, Mapping):
        return []
    found = [(str(name), entry) for name, entry in tree.items() if isinstance(entry, Mapping)]
    return sorted(found, key=lambda item: (-(_count(item[1], "tracks") or 0), item[0]))


def _quadrant_groups(c: _Corpus) -> str:
    members = _members(_dig(c.entry, "quadrants"))
    out = ""
    if c.rated:
        words = "Bias by true quadrant: answer minus rating. Away from zero towards the centre is shrinkage."
        out += _forest(members, [(axis, "bias") for axis in AXES], words, named=MEANING)
        out += _forest(members, [(axis, "mae") for axis in AXES], "Mean absolute error by true quadrant", named=MEANING)
    words = "Share in the right quadrant, by true quadrant"
    return out + _forest(members, [("quadrant", "accuracy")], words, named=MEANING)


def _genre_groups(c: _Corpus) -> str:
    members = _members(_dig(c.entry, "genres"))
    metric = "ccc" if any(_measure(e, axis, "ccc") for _, e in members for axis in AXES) else "accuracy"
    title = "CCC by genre" if metric == "ccc" else "Share on the right side, by genre"
    out = _forest(members, [(axis, metric) for axis in AXES], title)
    if any(_measure(e, axis, "mae") for _, e in members for axis in AXES):
        out += _forest(members, [(axis, "mae") for axis in AXES], "Mean absolute error by genre")
    return out


def _forest(
    members: Sequence[tuple[str, Mapping[str, Any]]],
    wanted: Sequence[tuple[str, str]],
    title: str,
    *,
    named: Mapping[str, str] | None = None,
) -> str:
    """A table of dots and whiskers, a line a group and in it one an axis."""

    def measure(entry: Mapping[str, Any], axis: str, metric: str) -> Measure | None:
        return _measure(entry, metric) if axis == "quadrant" else _measure(entry, axis, metric)

    rows = [
        (name, entry, [(axis, m) for axis, metric in wanted if (m := measure(entry, axis, metric))])
        for name, entry in members
    ]
    rows = [row for row in rows if row[2]]
    if not rows:
        return ""
    low, high = _scale((m for _, _, found in rows for _, m in found), wanted[0][1])
    body = ""
    for name, entry, found in rows:
        tracks, groups = _count(entry, "tracks"), _count(entry, "groups")
        small = (tracks is not None and tracks < SMALL_TRACKS) or (groups is not None and groups < SMALL)
        charts = "".join(svg.whisker(low, high, axis=axis, value=m[0], bounds=m[1]) for axis, m in found)
        values = "".join(
            f'<span class="line"><span class="swatch {axis}"></span><span class="sr">{axis} </span>'
            f"{_interval(m)}</span>"
            for axis, m in found
        )
        more = f'<span class="quiet n">{named[name]}</span>' if named and name in named else ""
        flag = ' <span class="flag">small</span>' if small else ""
        small_class = ' class="small-n"' if small else ""
        body += (
            f'<tr{small_class}><th scope="row">{_name(name)}{flag}{more}</th>'
            f'<td class="bound" data-name="songs">{"–" if tracks is None else f"{tracks:,}"}</td>'
            f'<td class="plot">{charts}</td><td class="value">{values}</td></tr>'
        )
    return (
        f'<h4>{title}</h4><table class="forest"><thead><tr><th scope="col">group</th>'
        f'<th scope="col" class="bound">songs</th><td class="plot" aria-hidden="true">{svg.whisker_axis(low, high)}'
        f'</td><th scope="col" class="value">value</th></tr></thead><tbody>{body}</tbody></table>'
    )


# The worst answers


def _worst(corpora: Sequence[_Corpus]) -> str:
    out = ""
    for c in corpora:
        listed = c.entry.get("worst")
        rows = [w for w in listed if isinstance(w, Mapping)] if isinstance(listed, Sequence) else []
        known = [k for k in ("group", "genre", "fold") if any(w.get(k) not in (None, "") for w in rows)]
        body = "".join(_worst_row(w, known, c.rated) for w in rows)
        if body:
            head = "".join(f'<th scope="col">{h}</th>' for h in ("song", *known, "listeners", "model", "error"))
            out += (
                f'<div data-corpus="{c.index}"><h3>{c.title}</h3><div class="scroll" tabindex="0" role="group" '
                f'aria-label="Worst answers, {_text(c.name)}"><table class="worst sortable"><thead><tr>'
                f"<td></td>{head}</tr></thead><tbody>{body}</tbody></table></div></div>"
            )
    if not out:
        return ""
    words = "Pairs are (valence, arousal); the ring is where listeners put the song, the dot where the model did. "
    words += "The error is the distance between them; of signs, how far the answer is on the wrong side."
    return _say(words) + out


def _worst_row(song: Mapping[str, Any], known: Sequence[str], rated: bool) -> str:
    reference, estimated = _pair(song.get("reference")), _pair(song.get("estimated"))
    if reference is None or estimated is None:
        return ""
    error = _value(song, "error")
    track = _text(_track(song.get("track_id", "–")))
    return (
        f'<tr data-fold="{_text(song.get("fold", ""))}" data-q="{_quadrant(reference)}">'
        f'<td>{svg.glyph(reference, estimated)}</td><th scope="row"><bdi class="clamp" title="{track}">{track}'
        f"</bdi></th>{''.join(f'<td>{_optional(song, k)}</td>' for k in known)}"
        f'<td class="num">{_point(reference, rated)}</td><td class="num">{_point(estimated, True)}</td>'
        f'<td class="num" data-v="{0 if error is None else error:.4f}">{_number(error)}</td></tr>'
    )


def _pair(values: Any) -> tuple[float, float] | None:
    if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str) or len(values) != 2:
        return None
    valence, arousal = _float(values[0]), _float(values[1])
    return None if valence is None or arousal is None else (valence, arousal)


def _point(pair: tuple[float, float], rated: bool) -> str:
    """`(0.21, −0.35)`; of signs `(+, −)`."""
    if rated:
        return f"({svg.signed(pair[0])}, {svg.signed(pair[1])})"
    return f"({', '.join('+' if v > 0 else '−' for v in pair)})"


def _quadrant(point: Sequence[float]) -> str:
    if point[1] > 0:
        return "Q1" if point[0] > 0 else "Q2"
    return "Q4" if point[0] > 0 else "Q3"


def _optional(tree: Any, key: str) -> str:
    value = tree.get(key)
    return "–" if value in (None, "") else f'<bdi class="clamp">{_text(_track(value))}</bdi>'


# Training


def _training(history: Sequence[Mapping[str, str]]) -> str:
    if not history:
        return ""
    if any("epoch" in row for row in history):
        return _learning_curves(history)
    if any("score" in row for row in history):
        return _inner_scores(history)
    return ""


def _learning_curves(history: Sequence[Mapping[str, str]]) -> str:
    """Validation by axis and corpus, its mean, and the loss; the mean over folds where there are several."""
    columns = list(dict.fromkeys(k for row in history for k in row if isinstance(k, str)))
    panels: dict[tuple[str, str, str], dict[str, str]] = {
        ("Validation, valence", "valence", "CCC"): {},
        ("Validation, arousal", "arousal", "CCC"): {},
        ("Validation, all", "", "CCC"): {},
        ("Loss", "", "loss"): {},
    }
    valence, arousal, mean, loss = panels.values()
    for name in columns:
        if match := re.fullmatch(r"val_(.+)_(valence|arousal)", name):
            (valence if match[2] == "valence" else arousal)[_clean(match[1])] = name
        elif name == "val_ccc":
            mean["mean of all"] = name
        elif name.endswith("loss"):
            loss["training" if name == "loss" else _clean(name)] = name
    best = _best_epochs(history)
    out = ""
    for (title, kind, unit), names in panels.items():
        series = {label: line for label, column in names.items() if (line := _over_epochs(history, column))}
        if series:
            chart = svg.curves(
                series, label=f"{title} over epochs", kind=kind, x_title="epoch", y_title=unit, best=best
            )
            swatch = f'<span class="swatch {kind}"></span>' if kind else ""
            out += f"<figure><figcaption>{swatch}{title}</figcaption>{chart}</figure>"
    if not out:
        return ""
    folds = len({row.get("fold", "") for row in history})
    words = f"Means of {folds} folds. " if folds > 1 else ""
    if best:
        shown = _join([f"{b:g}" for b in sorted(set(best))])
        words += f"The dotted line is the best epoch by validation, {shown}, which is the one that is kept."
    return (_say(words) if words else "") + f'<div class="grid">{out}</div>'


def _over_epochs(history: Sequence[Mapping[str, str]], column: str) -> tuple[list[float], list[float]] | None:
    """Epochs and the column's mean there; None if it has no number."""
    found: dict[float, list[float]] = {}
    for row in history:
        epoch, value = _float(row.get("epoch")), _float(row.get(column))
        if epoch is not None and value is not None:
            found.setdefault(epoch, []).append(value)
    if not found:
        return None
    return sorted(found), [sum(found[e]) / len(found[e]) for e in sorted(found)]


def _best_epochs(history: Sequence[Mapping[str, str]]) -> list[float]:
    """The epoch of the highest `val_ccc`, of each fold."""
    best: dict[str, tuple[float, float]] = {}
    for row in history:
        epoch, value = _float(row.get("epoch")), _float(row.get("val_ccc"))
        fold = str(row.get("fold", ""))
        if epoch is not None and value is not None and (fold not in best or value > best[fold][0]):
            best[fold] = value, epoch
    return [epoch for _, epoch in best.values()]


def _inner_scores(history: Sequence[Mapping[str, str]]) -> str:
    """Score over each hyperparameter that was varied, by axis; a candidate's mean over its folds."""
    fixed = {"fold", "axis", "candidate", "score", "seconds"}
    names = [k for k in dict.fromkeys(k for row in history for k in row) if isinstance(k, str) and k not in fixed]
    out = ""
    for axis in sorted({str(row.get("axis") or "") for row in history}, key=lambda a: (a != "valence", a)):
        means: dict[tuple[str, ...], list[float]] = {}
        for row in history:
            score = _float(row.get("score"))
            if score is not None and str(row.get("axis") or "") == axis:
                means.setdefault(tuple(str(row.get(n) or "") for n in names), []).append(score)
        score_of = {setting: sum(s) / len(s) for setting, s in means.items()}
        for k, name in enumerate(names):
            if len({setting[k] for setting in score_of}) < 2:
                continue
            values, kind = _setting_values([setting[k] for setting in score_of]), axis if axis in AXES else ""
            title = f"{_clean(axis)}: {_clean(name)}" if axis else _clean(name)
            chart = svg.scores(
                values,
                list(score_of.values()),
                label=f"Inner score over {title}",
                kind=kind,
                title=_clean(name),
                y_title="inner score",
            )
            swatch = f'<span class="swatch {kind}"></span>' if kind else ""
            out += f"<figure><figcaption>{swatch}{escape(title)}</figcaption>{chart}</figure>"
    if not out:
        return ""
    words = "Each dot is a candidate at its mean inner score over the folds; the line follows the best of each value."
    return _say(words) + f'<div class="grid">{out}</div>'


def _setting_values(texts: Sequence[str]) -> list[float | str]:
    """Numbers where all are; else words."""
    numbers = [_float(t) for t in texts]
    found = [n for n in numbers if n is not None]
    if len(found) == len(texts):
        return list(found)
    return ["not set" if n is None and _unset(t) else t for t, n in zip(map(_clean, texts), numbers, strict=True)]


def _unset(text: str) -> bool:
    return text.strip().lower() in {"", "none", "nan", "null", "inf", "-inf"}


# How it was made


def _made(evaluation: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    out = ""
    if shown := _given(about, "command"):
        rooted = "ROOT stands for a folder of the machine it ran on." if shown != str(about["command"]) else ""
        out += (
            f'<div class="command"><pre id="command" tabindex="0" aria-label="Command">{_text(shown)}</pre>'
            '<button type="button" data-copy="command" hidden>Copy</button></div>'
        )
        out += f'<p class="note">{rooted}</p>' if rooted else ""
    facts = {k: _given(about, k) for k in ("commit", "version")}
    facts["time"] = _duration(_float(about.get("seconds")))
    facts |= {k: _given(evaluation, k) for k in ("model", "protocol", "split", "seed")}
    tables = _facts("Run", [(k, v) for k, v in facts.items() if v])
    for title, key in (("Data", "data"), ("Environment", "environment"), ("Configuration", "config")):
        tree = about.get(key)
        tables += _facts(title, list(_flatten(tree)) if isinstance(tree, Mapping) else [])
    return out + (f'<div class="columns">{tables}</div>' if tables else "")


def _facts(title: str, rows: Sequence[tuple[str, Any]]) -> str:
    if not rows:
        return ""
    body = "".join(f'<tr><th scope="row">{_text(k)}</th><td>{_scalar(v)}</td></tr>' for k, v in rows)
    return f'<div class="facts"><h3>{title}</h3><table>{body}</table></div>'


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(_scalar(v) for v in value) if value else "–"
    if isinstance(value, float) and not math.isfinite(value):
        return "–"
    text = portable(str(value))
    return "–" if _unset(text) else _text(text)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


# What the script needs


def _filter(corpora: Sequence[_Corpus]) -> str:
    """Selects by corpus, fold and true quadrant; shown by the script, without which they do nothing."""
    drawn = [c for c in corpora if c.songs is not None]
    if not drawn:
        return ""
    folds = sorted({f for c in drawn if c.songs for f in c.songs.fold if f}, key=lambda f: (len(f), f))
    choices = {
        "corpus": [(str(c.index), _text(c.name)) for c in corpora] if len(corpora) > 1 else [],
        "fold": [(_text(f), _text(f)) for f in folds] if len(folds) > 1 else [],
        "quadrant": [(q, f"{q} {MEANING[q]}") for q in QUADRANTS],
    }
    out = ""
    for name, options in choices.items():
        if options:
            items = "".join(f'<option value="{value}">{text}</option>' for value, text in options)
            title = "true quadrant" if name == "quadrant" else name
            out += f'<label>{title} <select data-filter="{name}"><option value="">all</option>{items}</select></label>'
    return (
        f'<details class="filter" hidden><summary>Filter</summary><div>{out}<p id="shown" role="status"></p>'
        '<p class="quiet">Numbers, histograms and intervals always describe all songs.</p></div></details>'
    )


def _data(corpora: Sequence[_Corpus]) -> str:
    """The drawn songs by corpus number, as JSON that cannot end its script element."""
    found = {}
    for c in corpora:
        if c.songs is None:
            continue
        s = c.songs
        genres = sorted(set(s.genre))
        found[str(c.index)] = {
            "corpus": _clean(c.name),
            "rated": c.rated,
            "names": [_clean(_track(t)) for t in s.track_id],
            "folds": [_clean(f) for f in s.fold],
            "genres": [_clean(g) for g in genres],
            "genre": [genres.index(g) for g in s.genre],
            "points": [
                [round(float(v), 3) + 0.0 for v in (*r, *e)] for r, e in zip(s.reference, s.estimated, strict=True)
            ],
        }
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


_LEGEND = """
<details class="legend"><summary>What is a CCC?</summary><p>The concordance correlation coefficient says how well
answers agree with listeners: 1 if every answer is the rating itself, 0 if the answers follow nothing. Unlike an
ordinary correlation it also falls when answers are all too high, too low or too timid.</p></details>
"""
