"""`sentio-tf data`: look at corpora, examine, split, fetch and compose them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import SentioError
from .common import progress_bar, require

TABLE_OR_JSON = click.Choice(["table", "json"])
VERDICTS = {True: ("exchanged", "red"), False: ("right", "green"), None: ("undecided", "yellow")}
LEVELS = {"error": "red", "warning": "yellow", "note": "cyan", "ok": "green"}
labels_option = click.option(
    "--labels", metavar="VERSION", help="Of the labels, where there are several (deam: corrected or official)."
)
seed_option = click.option("--seed", type=click.IntRange(0), default=0, show_default=True)


@click.group()
def data() -> None:
    """Look at labelled music, examine it, split it, fetch it, compose some."""


@data.command()
@click.argument("source", required=False, metavar="[CORPUS:ROOT]")
@labels_option
@click.option("--over-time", is_flag=True, help="Labels over time instead, where a corpus has them.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
def show(source, labels, over_time, form) -> None:
    """What corpora there are, or what one holds: labels in [-1, 1], groups, official parts.

    csv and json list its tracks, one by one, or with --over-time their half seconds.
    """
    import json
    from collections import Counter

    from ..corpora import CORPORA, locate, read_labels

    if source is None:
        fields = ("name", "scale", "licence", "citation", "how_to_get")
        known = [{f: getattr(c, f) for f in fields} | {"labels": " ".join(c.versions)} for c in CORPORA.values()]
        if form == "json":
            click.echo(json.dumps(known, indent=2))
        elif form == "csv":
            _write_csv(known)
        else:
            for entry in known:
                click.echo(entry["name"])
                for name in fields[1:]:
                    click.echo(f"  {name.replace('_', ' '):11} {entry[name]}")
        return
    corpus, root = locate(source)
    if over_time:
        _show_over_time(corpus, root, form)
        return
    tracks = read_labels(source, version=labels)
    columns = ["track_id", "group", "valence", "arousal", "valence_sign", "arousal_sign"]
    columns += ["valence_sd", "arousal_sd", "split", "category", "tags"]
    rows = [
        {c: _rounded(getattr(t, c)) for c in columns} | {"path": str(t.path), "there": t.path.exists()} for t in tracks
    ]
    if form == "json":
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    if form == "csv":
        _write_csv([{**r, "tags": " ".join(r["tags"])} for r in rows])
        return
    click.echo(f"{corpus.name}: {corpus.citation}")
    click.echo(f"  licence     {corpus.licence}")
    click.echo(f"  scale       {_scale(corpus, root)}")
    rated, signs = sum(t.rated for t in tracks), sum(t.valence_sign is not None for t in tracks)
    click.echo(f"  tracks      {len(tracks)}: {rated} rated, {signs} with signs, {sum(r['there'] for r in rows)} files")
    click.echo(f"  groups      {len({t.group for t in tracks})} (artist, song or series)")
    if parts := Counter(t.split for t in tracks if t.split):
        click.echo(f"  split       {', '.join(f'{name} {n}' for name, n in sorted(parts.items()))}")
    if rated:
        for axis in ("valence", "arousal"):
            values = sorted(getattr(t, axis) for t in tracks if t.rated)
            mean = sum(values) / len(values)
            click.echo(f"  {axis:11} {values[0]:+.2f} to {values[-1]:+.2f}, mean {mean:+.2f}")


def _scale(corpus, root) -> str:
    if corpus.name != "folder":
        return corpus.scale
    from ..corpora.folder import read_about

    low, high = read_about(root / "corpus.yaml").scale
    return f"[{low:g}, {high:g}], {'from' if (root / 'corpus.yaml').exists() else 'as there is no'} corpus.yaml"


def _show_over_time(corpus, root, form) -> None:
    import json

    curves = corpus.dynamics(root) if corpus.dynamics else {}
    if not curves:
        raise SentioError(f"{root}: expected labels over time (deam, emomusic, pmemo), received {corpus.name} without")
    songs = sorted(curves, key=lambda name: (len(name), name))
    if form == "json":
        fields = ("times_s", "valence", "arousal")
        click.echo(json.dumps({s: {f: getattr(curves[s], f).tolist() for f in fields} for s in songs}))
    elif form == "csv":
        curve_rows = (zip(c.times_s, c.valence, c.arousal, strict=True) for c in map(curves.get, songs))
        _write_csv(
            [
                {"track_id": song, "time_s": float(t), "valence": float(v), "arousal": float(a)}
                for song, rows in zip(songs, curve_rows, strict=True)
                for t, v, a in rows
            ]
        )
    else:
        points = sum(len(c.times_s) for c in curves.values())
        first, last = (f(f(c.times_s) for c in curves.values()) for f in (min, max))
        click.echo(f"{corpus.name}: {len(songs)} songs, {points} points from {first:g} to {last:g} s, in [-1, 1]")


def _rounded(value):
    return round(value, 6) if isinstance(value, float) else value


def _write_csv(rows) -> None:
    import csv

    writer = csv.DictWriter(sys.stdout, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


@data.command()
@click.argument("sources", nargs=-1, required=True, metavar="CORPUS:ROOT...")
@labels_option
@click.option("--no-audio", is_flag=True, help="Examine labels only; the audio need not be there.")
@click.option("--spectrograms", is_flag=True, help="Also check every window's log-mel; builds the cache.")
@click.option("--split", "split_file", type=click.Path(dir_okay=False), help="Judge this split too.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Draw the labels (png, svg or pdf).")
@click.option("--cache", type=click.Path(file_okay=False), help="For --spectrograms [default: $SENTIO_CACHE].")
@click.option("--workers", type=click.IntRange(1), help="Processes [default: all cores].")
@click.option("--format", "form", type=TABLE_OR_JSON, default="table", show_default=True)
def doctor(sources, labels, no_audio, spectrograms, split_file, plot, cache, workers, form) -> None:
    """Find what would spoil a result: swapped, missing, doubled, silent, out of range, divided artists.

    Several corpora are examined against each other too.  Exit code 1 when there is an error.
    """
    import json

    require("train", "scipy", "sklearn")
    from ..corpora.doctor import examine
    from ..corpora.split import load

    if plot and Path(plot).suffix.lower() not in (".png", ".svg", ".pdf"):
        raise click.UsageError(f"--plot: expected a file ending in .png, .svg or .pdf, received {plot}")
    if spectrograms and no_audio:
        raise click.UsageError("--spectrograms: expected audio, received --no-audio")
    report = examine(
        sources,
        version=labels,
        listen=not no_audio,
        split=load(Path(split_file)) if split_file else None,
        workers=workers,
        progress=progress_bar(),
    )
    quality = _spectrograms(report, cache, workers) if spectrograms else None
    if form == "json":
        extra = {"spectrograms": quality.to_dict()} if quality else {}
        click.echo(json.dumps(report.to_dict() | extra, indent=2, ensure_ascii=False))
    else:
        _print_report(report)
    if plot:  # last: what was found must not be lost to a picture that cannot be written
        from ..evaluation.label_plane import labels as draw
        from ..evaluation.plots import save

        if report.quadrants:
            save(draw(report), plot)
            click.echo(f"plot: {plot}", err=True)
        else:
            click.echo("plot: nothing to draw, no track has valence and arousal or a quadrant", err=True)
    if report.spoiled:
        sys.exit(1)


def _spectrograms(report, cache, workers):
    """Check the log-mels of the tracks that decode, and add what is found to the report."""
    from .common import need

    need("train", "tensorflow", "keras")
    from .. import pipeline
    from ..config import cache_root
    from ..pipeline.checks import check_tracks

    root = Path(cache) if cache else cache_root()
    tracks = [t for t in report.tracks if t.path.exists()]
    try:
        tracks = pipeline.render_tracks(tracks, root, progress=progress_bar())
    except SentioError as error:
        report.add("spectrograms", "error", f"MIDI is left out: {error}")
        tracks = [t for t in tracks if t.path.suffix.lower() not in (".mid", ".midi")]
    store = pipeline.open_cache(pipeline.Spec(root))
    failed = store.build(tracks, workers=workers, progress=progress_bar(), report=lambda s: click.echo(s, err=True))
    quality = check_tracks([t for t in tracks if t.key not in failed], store)
    report.add("spectrograms", "note" if quality.errors else "ok", quality.lines()[0])
    for level, found in (("error", quality.errors), ("warning", quality.warnings)):
        for key, why in found.items():
            report.add("spectrograms", level, f"{key}: {why}", (key,))
    return quality


def _print_report(report) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ..corpora.doctor.findings import many

    console = Console(emoji=False) if sys.stdout.isatty() else Console(emoji=False, width=120)
    order = list(LEVELS)
    findings = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("", "check", "finding"):
        findings.add_column(column, overflow="fold")
    from rich.text import Text

    for finding in sorted(report.findings, key=lambda f: order.index(f.level)):
        findings.add_row(Text(finding.level, style=LEVELS[finding.level]), finding.check, Text(finding.text))
    console.print(findings)
    if report.swaps:
        swaps = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        swaps.title = "Song-level labels, as the file has them, against the mean of labels over time: correlation"
        swaps.title_justify = "left"
        swaps.add_column("songs")
        for column in ("n", "V static\nV dynamic", "V static\nA dynamic", "A static\nV dynamic", "A static\nA dynamic"):
            swaps.add_column(column, justify="right")
        swaps.add_column("")
        for test in report.swaps:
            text, style = VERDICTS[test.swapped]
            values = (test.valence_valence, test.valence_arousal, test.arousal_valence, test.arousal_arousal)
            swaps.add_row(test.block, str(test.songs), *(f"{v:.3f}" for v in values), Text(text, style=style))
        console.print(swaps)
    if report.quadrants:
        quadrants = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        quadrants.add_column("tracks in")
        names = list(next(iter(report.quadrants.values())))
        meanings = {"Q1": "Q1 V+A+", "Q2": "Q2 V-A+", "Q3": "Q3 V-A-", "Q4": "Q4 V+A-"}
        for name in names:
            quadrants.add_column(meanings.get(name, name), justify="right")
        for corpus, counts in report.quadrants.items():
            total = max(1, sum(counts.values()))
            quadrants.add_row(corpus, *(f"{n} ({100 * n / total:.0f} %)" for n in counts.values()))
        console.print(quadrants)
    if report.splits:
        splits = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        splits.title, splits.title_justify = "Labels of a part against the rest: Kolmogorov-Smirnov", "left"
        for column in ("split", "part", "axis"):
            splits.add_column(column)
        for column in ("tracks", "D", "p"):
            splits.add_column(column, justify="right")
        for row in report.splits:
            cells = (row["split"], row["part"], row["axis"], str(row["tracks"]))
            splits.add_row(*cells, f"{row['statistic']:.3f}", f"{row['p']:.2g}")
        console.print(splits)
    errors = sum(f.level == "error" for f in report.findings)
    last = (
        f"{many(errors, 'finding')} that would spoil a result" if errors else "nothing found that would spoil a result"
    )
    console.print(Text(last, style="bold red" if errors else "bold green"))


@data.command()
@click.argument("sources", nargs=-1, required=True, metavar="CORPUS:ROOT...")
@click.option("--out", type=click.Path(dir_okay=False), help="File to write (JSON).")
@click.option("--check", type=click.Path(dir_okay=False), help="Check this split instead of making one.")
@click.option(
    "--scheme",
    type=click.Choice(["holdout", "kfold", "repeated", "official"]),
    default="holdout",
    show_default=True,
)
@click.option("--shares", default="80/10/10", show_default=True, help="Of holdout: train/validation/test.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True, help="Of kfold and repeated.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Of repeated.")
@click.option("--name", default="", help="Of official, where there are several (jamendo: split-0 ... split-4).")
@click.option("--grid", type=click.IntRange(1, 20), default=5, show_default=True, help="Cells a side of the plane.")
@seed_option
@labels_option
@click.option("--overwrite", is_flag=True, help="Replace a file that holds another split.")
@click.option("--skip-missing", is_flag=True, help="Leave out labelled tracks whose file is missing.")
@click.option("--no-audio", is_flag=True, help="The audio need not be there.")
@click.option("--format", "form", type=TABLE_OR_JSON, default="table", show_default=True)
def split(
    sources,
    out,
    check,
    scheme,
    shares,
    folds,
    repeats,
    name,
    grid,
    seed,
    labels,
    overwrite,
    skip_missing,
    no_audio,
    form,
):
    """Divide tracks by artist, song or series, balanced over the valence-arousal plane; write the split as a file.

    The file has a hash; `fit --split`, `data doctor --split` and `--check` refuse a changed one.  With
    --check, exit code 1 when the split leaks or does not fit the tracks.
    """
    require("train", "scipy", "sklearn")
    from .. import corpora
    from ..corpora import split as splits

    if bool(out) == bool(check):
        received = "both" if out else "neither"
        raise click.UsageError(
            f"expected --out FILE to make a split, or --check FILE to check one, received {received}"
        )
    _refuse_unused(scheme, check)
    tracks = [
        t
        for source in sources
        for t in (
            corpora.read_labels(source, version=labels)
            if no_audio
            else corpora.read(source, version=labels, skip_missing=skip_missing)
        )
    ]
    if twice := corpora.doubles(tracks):
        raise SentioError(f"expected every track once, received {twice[0]} twice or more ({len(twice)} such ids)")
    if check:
        made = splits.load(Path(check)).for_tracks(tracks)
    elif scheme == "official":
        if len(sources) > 1:
            raise click.UsageError("official: expected one corpus, received several")
        corpus, root = corpora.locate(sources[0])
        made = splits.official(tracks, corpus.official(root) if corpus.official else None, name)
    else:
        shared = _shares(shares)
        made = splits.make(tracks, scheme, k=folds, repeats=repeats, seed=seed, grid=grid, shares=shared)
    if out:
        file = Path(out)
        if file.exists() and not overwrite and splits.load(file).hash != made.hash:
            raise SentioError(f"{out}: holds another split; choose another --out, or --overwrite it")
        made.save(file)
        click.echo(f"split: {out}", err=True)
    _print_split(made, tracks, form)
    leaks = made.leaks()
    if leaks and not check:
        click.echo(f"warning: {len(leaks)} groups lie in more than one part, first {leaks[0]}", err=True)
    if leaks and check:
        raise SentioError(f"{check}: {len(leaks)} groups lie in more than one part, first {leaks[0]}; make it anew")
    if check:
        click.echo(f"ok: fits the {len(tracks)} tracks, no group in more than one part", err=True)


def _refuse_unused(scheme: str, check: str | None) -> None:
    """An option that would be ignored is a misunderstanding."""
    context = click.get_current_context()
    needs = {"folds": ("kfold", "repeated"), "repeats": ("repeated",), "name": ("official",), "shares": ("holdout",)}
    for option, schemes in needs.items():
        given = context.get_parameter_source(option) == click.core.ParameterSource.COMMANDLINE
        if given and (check or scheme not in schemes):
            raise click.UsageError(f"--{option}: expected --scheme {' or '.join(schemes)}, received {check or scheme}")


def _shares(text: str) -> dict[str, float]:
    names = {2: ("train", "test"), 3: ("train", "validation", "test")}
    try:
        parts = [float(x) for x in text.split("/")]
        if min(parts) <= 0 or not any(abs(sum(parts) - whole) < 1e-6 for whole in (1, 100)):
            raise ValueError
        return {name: part / sum(parts) for name, part in zip(names[len(parts)], parts, strict=True)}
    except (ValueError, KeyError):
        raise click.UsageError(
            f"--shares: expected two or three shares above 0 that sum to 100, e.g. 80/10/10, received {text!r}"
        ) from None


def _order(part: str) -> tuple:
    names = ["train", "val", "validation", "test"]
    return part == "-", names.index(part) if part in names else len(names), part


def _print_split(made, tracks, form) -> None:
    import json
    from collections import Counter

    from ..corpora.doctor.findings import QUADRANTS, distribution

    rows = []
    for repeat in range(made.repeats):
        parts = made.of(tracks, repeat)
        for part in sorted(set(parts), key=_order):
            own = [t for t, p in zip(tracks, parts, strict=True) if p == part]
            counts = distribution(own)
            rows.append(
                {
                    "repeat": repeat,
                    "part": part,
                    "tracks": len(own),
                    "groups": len({made.groups[t.key] for t in own}),
                    **{q: counts[q] for q in QUADRANTS},
                    "other": len(own) - sum(counts[q] for q in QUADRANTS),
                    "corpora": dict(Counter(t.corpus for t in own)),
                }
            )
    if form == "json":
        click.echo(
            json.dumps({"hash": made.hash, "scheme": made.scheme, "leaks": made.leaks(), "parts": rows}, indent=2)
        )
        return
    click.echo(f"{made.scheme}, hash {made.hash[:16]}")
    columns = [*QUADRANTS, "other"]
    head = f"{'part':12} {'tracks':>7} {'groups':>7}" + "".join(f"{q:>6}" for q in columns)
    click.echo((f"{'repeat':7} " if made.repeats > 1 else "") + head)
    for row in rows:
        lead = f"{row['repeat']:<7} " if made.repeats > 1 else ""
        cells = "".join(f"{row[q]:6}" for q in columns)
        part = row["part"] if row["part"] != "-" else "in none"
        click.echo(f"{lead}{part:12} {row['tracks']:7} {row['groups']:7}{cells}")


@data.command()
@click.argument("source", metavar="CORPUS:ROOT")
def fetch(source) -> None:
    """Download a corpus that has a public download, after its terms are shown.

    An interrupted download continues when the command is given again.  Without a network it says
    which file to lay where by hand.
    """
    from ..corpora import locate
    from ..corpora.fetch import fetch as download

    corpus, root = locate(source, create=True)
    download(corpus, root, report=lambda text: click.echo(text, err=True), progress=progress_bar())


@data.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--songs", type=int, default=48, show_default=True)
@click.option("--seconds", type=float, default=30.0, show_default=True, help="Length of a song.")
@click.option("--form", default="flac", show_default=True, help="flac, wav, mp3 or ogg.")
@seed_option
def demo(folder, songs, seconds, form, seed) -> None:
    """Compose a small synthetic corpus: for tests, tutorials and CI, never for a reported result.

    Its labels follow from the cues it was composed with (tempo, mode, register, loudness, articulation),
    not from listeners.
    """
    from ..corpora.demo import compose

    compose(Path(folder), songs=songs, seconds=seconds, seed=seed, form=form, progress=progress_bar())
    click.echo(f"{songs} synthetic songs; look at them with: sentio-tf data show folder:{folder}")
