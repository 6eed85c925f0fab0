"""A run as one HTML page that needs nothing else: no network, no font, no script it could not do without.

What the page says comes from the evaluation (`summary.evaluate`), the table of predictions, the history
of the training and a few words on how the run was made; whatever of it is missing is left out of the page.
The same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import page, svg
from ..predictions import Predictions
from . import figures, groups, headline, made, read, script, songs, training, worst, write


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
    corpora = read.corpora(evaluation, predictions)
    sections = [
        ("figures", "Figures", "How far from perfect?", figures.section(corpora)),
        ("songs", "Songs", "Where the songs lie", songs.planes(corpora)),
        ("calibration", "Calibration", "Answers against listeners", songs.calibrations(corpora)),
        ("residuals", "Residuals", "How the answers miss", songs.residuals(corpora)),
        ("quadrants", "Quadrants", "Which quadrants are confused", songs.confusions(corpora)),
        ("groups", "Groups", "For which music?", groups.section(corpora)),
        ("worst", "Worst", "The worst answers", worst.section(corpora)),
        ("training", "Training", "How it was trained", training.section(history)),
        ("made", "Made", "How this was made", made.section(evaluation, about)),
    ]
    sections = [s for s in sections if s[3]]
    links = "".join(f'<a href="#{key}">{short}</a>' for key, short, _, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{content}</section>'
        for key, _, title, content in sections
    )
    run = read.given(evaluation, "name") or predictions.name or "run"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{write.text(run)}: sentio-tf report</title>'
        f"<style>{svg.STYLE}{page.STYLE}</style></head><body>"
        f'<a class="skip" href="#top">To the result</a><header class="masthead"><div><nav aria-label="Sections">'
        f'<a href="#top">Result</a>{links}</nav>{script.filters(corpora)}</div></header>'
        f'<main><section id="top">{headline.section(run, evaluation, corpora)}</section>{body}</main>'
        f"<footer>Scale of valence and arousal: {write.text(read.given(evaluation, 'scale') or '[-1, 1]')}. "
        f"Made by sentio-tf{write.text(write.prefixed(' ', read.given(about, 'version')))}.</footer>"
        '<div id="tip" role="status" hidden></div>'
        f'<script type="application/json" id="songs-data">{script.data(corpora)}</script><script>{page.SCRIPT}</script>'
        "</body></html>\n"
    )
