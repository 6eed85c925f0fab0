"""A benchmark's table for results/, in the form that tools/results.py prints."""

from __future__ import annotations

import json
from pathlib import Path


def publish(
    path: Path | None,
    *,
    script: str,
    title: str,
    note: str,
    head: list[str],
    rows: list[list[str]],
    data: str = "ROOT/emomusic/clips_45seconds/2.mp3",
) -> None:
    """Print the rows; write them to `path` unless it is None.  `data`: the arguments, as the command shows them."""
    for row in rows:
        print(" | ".join(row))
    if path is None:
        return
    name = f"bench-{script.replace('_', '-')}"
    result = {
        "kind": "notes",
        "experiment": name,
        "title": title,
        "command": f"python tools/bench/{script}.py {data} --json results/{name}.json",
        "note": note,
        "head": head,
        "table": rows,
    }
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
