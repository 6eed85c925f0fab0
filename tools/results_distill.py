"""The table of a distillation, for tools/results.py."""

from __future__ import annotations

from collections.abc import Callable

AXES = ("valence", "arousal")


def distill(result: dict, table: Callable[[list[str], list[list[str]]], list[str]]) -> list[str]:
    """Teacher, student alone, with all terms and without each: CCC, retention, and what the teacher added."""
    teacher, student = result["teacher"], result["student"]
    rows = [[teacher["name"], "1", *_given(teacher), "", "", "", ""]]
    for row in result["rows"]:
        first = row["seeds"][0]
        cells = [row["name"], str(len(row["seeds"]))]
        for axis in AXES:
            spread = f" ± {row[axis]['sd']:.3f}" if row[axis]["sd"] is not None else ""
            cells.append(f"{row[axis]['mean']:.3f}{spread}")
        for axis in AXES:
            right = [found["sign_accuracy"][axis] for found in row["seeds"]]
            cells.append(f"{sum(right) / len(right):.3f}")
        for axis in AXES:
            kept = first["retention"][axis]
            low, high = kept["interval"] or (float("nan"), float("nan"))
            cells.append(f"{kept['retention']:.2f} [{low:.2f}, {high:.2f}]")
        for axis in AXES:
            gain = first.get("against_alone", {}).get(axis)
            cells.append("" if gain is None else f"{gain['difference']:+.3f} [{gain['interval'][0]:+.3f}, "
                         f"{gain['interval'][1]:+.3f}]")  # fmt: skip
        rows.append(cells)
    heads = ["", "seeds", "valence CCC", "arousal CCC", "valence side", "arousal side"]
    heads += ["valence kept", "arousal kept", "valence against alone", "arousal against alone"]
    songs, signed = result["rows"][0]["seeds"][0]["retention"]["songs"], teacher["sign_accuracy"]["songs"]
    out = [f"## {result['title']}", "", f"`{result['command']}`", ""]
    weigh = [f"{part['parameters'] / 1e6:.2f} M parameters" for part in (teacher, student)]
    work = [
        f"{part['macs'] / 1e9:.2f} G multiply-adds, {part['tflite_bytes'] / 1e6:.1f} MB as a float .tflite"
        for part in (teacher, student)
    ]
    out += [
        f"Trained on half of MUSIFEAST-17 and Panda 4Q (split `{result['split'][:12]}`, by artist) and judged on the "
        f"test part: CCC on {songs} rated songs of MUSIFEAST-17, side of the axis on {signed} songs of Panda 4Q. Mean "
        "± standard deviation over seeds. Kept: the student's CCC as a share of the teacher's, first seed, 95 % "
        "interval of the paired bootstrap over artists. Against alone: the CCC that the teacher adds to the same "
        f"student with the same seed. A window of 30 s: teacher {weigh[0]}, {work[0]}; student {weigh[1]}, {work[1]}; "
        "multiply-adds without the front ends.",
        "",
        *table(heads, rows),
        "",
    ]
    if told := [
        (row["name"], row["seeds"][0]["deviation"]) for row in result["rows"] if "deviation" in row["seeds"][0]
    ]:
        out += [
            "The standard deviation that a network has learnt of its own answers, first seed, on the rated test songs: "
            "its mean; share of errors within one and two of them (a Gaussian has .683 and .954); root mean square of "
            "error / deviation; rank correlation with the size of the error.",
            "",
            *table(
                ["", *(f"{axis} {what}" for axis in AXES for what in ("mean", "within 1, 2", "rms", "Spearman"))],
                [[name, *(cell for axis in AXES for cell in _deviation(found[axis]))] for name, found in told],
            ),
            "",
        ]
    return out + _about(result)


def _about(result: dict) -> list[str]:
    """How far the rows may be compared, and what was not run."""
    rows = result["rows"]
    out = []
    if result["alone"]:
        out += [result["alone"], ""]
    same = [
        row["name"]
        for row in rows
        if row["variant"] not in ("alone", "full")
        and all(_differences(found) and not any(_differences(found)) for found in row["seeds"])
    ]
    if same:
        out += [f"{', '.join(same).capitalize()}: what is left is the training of the student alone.", ""]
    commits = sorted({found["git_commit"] for row in rows for found in row["seeds"]})
    minutes = sum(found["seconds"] for row in rows for found in row["seeds"]) / 60
    out += [f"Commits {', '.join(f'`{c}`' for c in commits)}; {minutes:.0f} minutes of a core that others shared.", ""]
    missing = list(result["not_run"].values())
    for row in rows:
        if seeds := sorted(set(result["seeds"]) - {found["seed"] for found in row["seeds"]}):
            missing.append(f"{row['name']}, seeds {', '.join(map(str, seeds))}")
    if missing:
        out += [f"Not run: {'; '.join(missing)}. Two cores did not reach them; the command above makes them.", ""]
    return out


def _differences(found: dict) -> list[float]:
    """From the student alone."""
    return [abs(gain["difference"]) for gain in found.get("against_alone", {}).values()]


def _deviation(found: dict) -> list[str]:
    one, two = found["within"]
    rank = "-" if found["spearman"] is None else f"{found['spearman']:+.2f}"
    return [f"{found['mean']:.3f}", f"{one:.2f}, {two:.2f}", f"{found['z']:.2f}", rank]


def _given(teacher: dict) -> list[str]:
    kept, right = teacher["retention"], teacher["sign_accuracy"]
    return [f"{kept[axis]['teacher']:.3f}" for axis in AXES] + [f"{right[axis]:.3f}" for axis in AXES]
