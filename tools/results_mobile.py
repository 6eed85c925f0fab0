"""The table of the languages, for tools/results.py."""

from __future__ import annotations

from collections.abc import Callable


def mobile(result: dict, table: Callable[[list[str], list[list[str]]], list[str]]) -> list[str]:
    """Answers of each language to the same songs, the largest difference from Python's, a window's time."""
    songs = result["songs"]
    rows = []
    for entry in result["languages"]:
        cells = [entry["title"]]
        cells += [" / ".join(f"{value:+.5f}" for value in entry["answers"][song]) for song in songs]
        cells.append(f"{entry['largest_difference']:.1e}" if entry["largest_difference"] else "")
        if "median_ms" in entry:
            spread = f"{min(entry['medians_ms']):.0f} to {max(entry['medians_ms']):.0f}"
            cells += [f"{entry['median_ms']:.0f} ms ({spread})", f"{entry['ratio']:.2f}"]
        else:
            cells += ["", ""]
        rows.append(cells)
    heads = ["", *(f"{song}: valence / arousal" for song in songs), "largest difference", "a window", "of Python's"]
    turns, runs = len(result["languages"][-1]["medians_ms"]), result["languages"][-1]["runs"]
    return [
        "## The same songs in every language",
        "",
        f"`{result['command']}`",
        "",
        f"{result['model']} on LiteRT, one thread each; commit `{result['git_commit']}`. Songs as 16-bit wav, so that "
        "all begin with the same samples; each language resamples (by the card), cuts windows and joins by itself. "
        f"Latency: median of {turns} turns, which the languages take in one run (smallest to largest turn), {runs} "
        f"windows each; load of the machine before it: {result['load_before']}.",
        "",
        *table(heads, rows),
        "",
    ]
