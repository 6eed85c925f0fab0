"""The tables of the GAN's ablation, for tools/results.py."""

from __future__ import annotations

from collections.abc import Callable

AXES = ("valence", "arousal")
MEASURES = {"ccc": "CCC", "side": "side"}
SCORES = ("composite", "frechet", "moments", "smoothness", "correlation", "range", "diversity")
Table = Callable[[list[str], list[list[str]]], list[str]]


def gan(result: dict, table: Table) -> list[str]:
    """Conditions, their paired differences, and the GAN between floor and ceiling."""
    names, rows = result["names"], result["conditions"]
    first = next(iter(rows.values()))
    songs = first["songs"]
    out = [f"## {result['title']}", "", f"`{result['command']}`", ""]
    out += [
        f"A small CRNN (`configs/ablation-gan.yaml`) on the training part of MUSIFEAST-17 and Panda 4Q (split "
        f"`{result['split'][:12]}`, by artist), {result['steps']} steps in every condition, scale {result['scale']}. "
        "The GAN (`configs/gan-compact.yaml`) is one, trained on the same training part; each seed draws a corpus of "
        "its own from it, as large as the training part, and half of what a network hears is of that. No interval and "
        "no deviation over seeds here knows how another GAN would have turned out. "
        f"Judged on real test music: CCC on {songs['ccc']} rated songs of MUSIFEAST-17, share on the "
        f"right side of the axis on {songs['side']} songs of Panda 4Q. Mean over seeds, 95 % bootstrap over artists.",
        "",
    ]
    columns = [(axis, measure) for measure in MEASURES for axis in AXES]
    cells = []
    for condition, name in names.items():
        if condition not in rows:
            cells.append([name, "not run", *[""] * len(columns)])
            continue
        row = rows[condition]
        cells.append([name, str(len(row["seeds"])), *(_value(row[f"{axis}_{m}"]) for axis, m in columns)])
    heads = [f"{axis} {MEASURES[m]}" for axis, m in columns]
    out += [*table(["condition", "seeds", *heads], cells), ""]
    if result["not_run"]:
        missing = [f"{names[c]}: seeds {', '.join(map(str, seeds))}" for c, seeds in result["not_run"].items()]
        out += [f"Not run yet: {'; '.join(missing)}. `{result['command']}` goes on with them.", ""]
    out += _differences(result, columns, heads, table)
    out += _quality(result["gan"], table)
    return out


def _value(found: dict) -> str:
    spread = f" ± {found['sd']:.3f}" if found["sd"] is not None else ""
    return f"{found['mean']:.3f}{spread} [{found['low']:.2f}, {found['high']:.2f}]"


def _differences(result: dict, columns: list, heads: list[str], table: Table) -> list[str]:
    comparisons = result["comparisons"]
    if not comparisons:
        return []
    cells = []
    for a, b in dict.fromkeys((c["a"], c["b"]) for c in comparisons):
        own = {(c["axis"], c["measure"]): c for c in comparisons if (c["a"], c["b"]) == (a, b)}
        cells.append([f"{a} - {b}", str(len(next(iter(own.values()))["seeds"])), *(_cell(own[key]) for key in columns)])
    return [
        "Differences on the same songs, mean over the seeds that both have: paired bootstrap over artists, p "
        f"Holm-corrected over the {len(comparisons)} comparisons.",
        "",
        *table(["", "seeds", *heads], cells),
        "",
        "![Differences with their intervals](ablation-gan.png)",
        "",
    ]


def _cell(c: dict) -> str:
    return f"{c['difference']:+.3f} [{c['low']:+.2f}, {c['high']:+.2f}], p {c['p_holm']:.3f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _quality(found: dict, table: Table) -> list[str]:
    status, quality = found["status"], found["quality"]
    if not quality:
        if status["status"] == "failed":
            return [f"The training of the GAN has failed after {status['epoch']} epochs: {status['why']}.", ""]
        return ["The GAN is not trained yet.", ""]
    levels = ("generated", "ceiling", "floor")
    cells = [[name, *(_number(quality[level][name], 3) for level in levels)] for name in SCORES]
    for axis in AXES:
        made, real = (quality[level]["fidelity"][axis] for level in ("generated", "ceiling"))
        cells.append([f"{axis}, CCC of an independent reader", f"{made['ccc']:.3f}", f"{real['ccc']:.3f}",
                      f"{made['shuffled']:.3f}"])  # fmt: skip
    if heard := quality.get("audio"):
        cells.append(["Frechet Audio Distance (smaller is nearer)", *(f"{heard[level]:.1f}" for level in levels)])
    counts, copies = quality["samples"], quality["memorisation"]
    minutes = (
        f", {found['seconds'] / 60:.0f} minutes of a shared core, commit `{found['commit']}`"
        if found["seconds"]
        else ""
    )
    kept = [f"{c['passed']} of {c['drawn']}" for c in found["corpora"].values()]
    wrong = [_number(c["passed_mislabelled"], 2) for c in found["corpora"].values()]
    pictures = found["pictures"]
    shown = [
        f"![{words}]({pictures[name]})"
        for name, words in (("curves", "Losses, accuracy, gradients, scores"), ("samples", "Samples of the last epoch"))
        if name in pictures
    ]
    drawn = (
        f" Draws that pass the filters, a seed each: {', '.join(kept)}; of those that the discriminator lets pass, the "
        f"reader would take {', '.join(wrong)} with the label of another draw."
        if kept
        else ""
    )
    return [
        f"The GAN ({status['status']}, {status['epoch']} epochs{minutes}): {counts['generated']} samples against "
        f"{counts['train']} training songs; ceiling: {counts['held']} other real songs; floor: noise with the mean and "
        "deviation of each band. Formulas: [gan.md](gan.md).",
        "",
        *table(["score", "generated", "real music", "noise"], cells),
        "",
        f"Copies of training songs: {copies['verdict']}; {copies['near']:.2f} of the samples are nearer to one than "
        f"95 % of other real songs are, {copies['copied']:.2f} by the ratio to the second nearest (real music: "
        f"{copies['expected']:.2f}).{drawn}",
        "",
        *(line for picture in shown for line in (picture, "")),
    ]
