"""What is wrong with a corpus, before anybody trains on it.

Every check gives findings: an `error` would spoil a result, a `warning` is something to know before
one is believed, a `note` is a fact, `ok` says what was looked at and found sound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ... import corpora
from ..split import Split
from . import audio, labels, splits
from .findings import Report


def examine(
    sources: Sequence[str],
    *,
    version: str | None = None,
    listen: bool = True,
    split: Split | None = None,
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Examine one or several corpora (`CORPUS:ROOT`), each by itself and against each other.

    Args:
        version: of the labels, see `Corpus.versions`.
        listen: decode every file; without, only labels are examined and audio need not be there.
        split: a split to be judged beside the official ones.

    Raises: DataError if a label file is missing or of another corpus: there is nothing to examine then.
    """
    corpora.check_version(version)
    report = Report(list(sources), [])
    for source in sources:
        corpus, root = corpora.locate(source)
        if corpus.versions:
            report.version = version or corpus.versions[0]
        tracks = labels.read(report, corpus, root, version)
        labels.check(report, corpus, tracks)
        labels.check_swap(report, corpus, root)
        if listen:
            audio.check_files(report, corpus, root, tracks)
        report.tracks += tracks
        splits.check_official(report, corpus, root, tracks)
    if not report.tracks:
        report.add("labels", "error", f"{', '.join(sources)}: no track is left to examine")
        return report
    splits.between(report)
    if split:
        splits.check(report, "split", split, report.tracks)
    if listen:
        audio.listen(report, workers, progress)
    else:
        report.add("audio", "note", "not examined")
    return report
