"""What the page's script needs: its filters, and the songs as data."""

from __future__ import annotations

import json
from collections.abc import Sequence

from . import write
from .read import Corpus


def filters(corpora: Sequence[Corpus]) -> str:
    """Selects by corpus, fold and true quadrant; shown by the script, without which they do nothing."""
    drawn = [c for c in corpora if c.songs is not None]
    if not drawn:
        return ""
    folds = sorted({f for c in drawn if c.songs for f in c.songs.fold if f}, key=lambda f: (len(f), f))
    choices = {
        "corpus": [(str(c.index), write.text(c.name)) for c in corpora] if len(corpora) > 1 else [],
        "fold": [(write.text(f), write.text(f)) for f in folds] if len(folds) > 1 else [],
        "quadrant": [(q, f"{q} {write.MEANING[q]}") for q in write.QUADRANTS],
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


def data(corpora: Sequence[Corpus]) -> str:
    """The drawn songs by corpus number, as JSON that cannot end its script element."""
    found = {}
    for c in corpora:
        if c.songs is None:
            continue
        s = c.songs
        genres = sorted(set(s.genre))
        found[str(c.index)] = {
            "corpus": write.clean(c.name),
            "rated": c.rated,
            "names": [write.clean(write.track(t)) for t in s.track_id],
            "folds": [write.clean(f) for f in s.fold],
            "genres": [write.clean(g) for g in genres],
            "genre": [genres.index(g) for g in s.genre],
            "points": [
                [round(float(v), 3) + 0.0 for v in (*r, *e)] for r, e in zip(s.reference, s.estimated, strict=True)
            ],
        }
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
