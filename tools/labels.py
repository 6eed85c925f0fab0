"""What the doctor finds in the labels of real corpora, for results/ and docs/.

    python tools/labels.py ROOT

ROOT holds deam/, emomusic/, panda4q/, musifeast17/, emopia/ and vgmidi/.  Writes results/labels.json,
results/swap.json and docs/deam_labels.png.  DEAM is examined as released, and in a copy whose columns
are put right beforehand.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path

from sentio_tf.corpora.deam import STATIC, label_folder
from sentio_tf.corpora.doctor import examine
from sentio_tf.evaluation.label_plane import labels as draw
from sentio_tf.evaluation.plots import save

REPOSITORY = Path(__file__).parents[1]
LISTENED = ("panda4q", "musifeast17", "emopia", "vgmidi")


def corrected_copy(source: Path, target: Path) -> Path:
    """A copy of DEAM's label files with valence and arousal of the songs up to id 1000 in their places."""
    shutil.copytree(label_folder(source), target / "annotations" / label_folder(source).name)
    file = label_folder(target) / STATIC[0]
    with file.open(newline="") as stream:
        head, *rows = csv.reader(stream)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(head)
        writer.writerows([r[0], *r[3:5], *r[1:3]] if int(r[0]) <= 1000 else r for r in rows)
    return target


def main(root: Path) -> None:
    released = examine([f"deam:{root / 'deam'}"], listen=False)
    save(draw(released), REPOSITORY / "docs" / "deam_labels.png")
    with tempfile.TemporaryDirectory() as folder:
        put_right = examine([f"deam:{corrected_copy(root / 'deam', Path(folder))}"], listen=False)
    emomusic = examine([f"emomusic:{root / 'emomusic'}"], listen=False)
    swaps = [
        [name, test.block.partition(" ")[2], str(test.songs)]
        + [f"{getattr(test, f'{a}_{b}'):.3f}" for a in ("valence", "arousal") for b in ("valence", "arousal")]
        + [f"{test.difference:+.3f}", {True: "exchanged", False: "right", None: "undecided"}[test.swapped]]
        for name, report in (("DEAM as released", released), ("DEAM put right", put_right), ("EmoMusic", emomusic))
        for test in report.swaps
    ]
    write(
        "swap",
        title="Valence and arousal exchanged in DEAM",
        command="sentio-tf data doctor deam:ROOT/deam --no-audio --plot docs/deam_labels.png",
        note="Correlation of song-level columns (static) with the song means of labels over time (dynamic). The last "
        "figure is the cosine of static with dynamic valence minus arousal, whose sign decides. No audio is needed. "
        "In the copy put right nothing is found, and reading exchanges nothing.",
        head=["file", "songs", "n", "V static, V dynamic", "V static, A dynamic", "A static, V dynamic",
              "A static, A dynamic", "cosine", "columns"],
        table=swaps,
    )  # fmt: skip

    listened = examine([f"{name}:{root / name}" for name in LISTENED])
    reports = [released, emomusic, listened]
    rows = [
        [f.level, f.check, f.text]
        for report in reports
        for level in ("error", "warning", "note")
        for f in report.findings
        if f.level == level and f.check not in ("swap", "groups") and f.text != "not examined"
    ]
    quadrants = [
        f"{corpus} {' / '.join(str(counts[q]) for q in ('Q1', 'Q2', 'Q3', 'Q4'))}"
        for report in reports
        for corpus, counts in report.quadrants.items()
    ]
    count, hours = sum(len(r.tracks) for r in reports), listened.durations["total_h"]
    write(
        "labels",
        title="What else the doctor finds in the corpora",
        command="sentio-tf data doctor " + " ".join(f"{name}:ROOT/{name}" for name in LISTENED)
        + "; deam and emomusic with --no-audio",
        note=f"{count} tracks, {hours:.1f} h of them decoded and compared by fingerprint. "
        f"Tracks in Q1 / Q2 / Q3 / Q4: {'; '.join(quadrants)}.",
        head=["", "check", "finding"],
        table=rows,
    )  # fmt: skip


def write(name: str, **values) -> None:
    result = {"kind": "notes", "experiment": name, **values}
    (REPOSITORY / "results" / f"{name}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(values["title"], *(" | ".join(row) for row in values["table"]), sep="\n  ")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
