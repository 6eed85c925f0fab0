"""Everything that some fits need on a machine without TensorFlow, network or the corpora, in numbered files.

    python tools/lab/pack.py --data CORPUS:ROOT... --config FILE... --out lab.tar.gz [--split FILE] [--wheels]

Caches are built here, and every fit is taken as far as its first step, so that what is wrong is said here.  The pack
holds the package, the configurations, tables of the tracks, their shards, pretrained weights and (--wheels) packages
that the machine lacks.  `train.sh` runs it, `fetch.py` brings the runs back; docs/lab.md tells the whole way.  Beside
the numbered files lies `lab.json`, by which `fetch.py` knows these runs again: keep it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

from sentio_tf import config as configuration
from sentio_tf import corpora, pipeline
from sentio_tf.config import FitConfig
from sentio_tf.corpora import packed
from sentio_tf.corpora.archive import amount
from sentio_tf.errors import ConfigError, DataError, SentioError
from sentio_tf.models import SOURCES, pretrained
from sentio_tf.pipeline import shards
from sentio_tf.training import fit as training
from sentio_tf.training.run import COMMIT

PACKAGE = Path(__file__).parents[2] / "sentio_tf"
LEFT_BEHIND = ("assets", "__pycache__", "*.tflite")  # of the package
MANIFEST = "lab.json"
# What a machine with JAX, PyTorch and their usual company lacks; keras-hub for the ViT only.
NEEDED = ("keras", "namex", "optree", "soundfile", "cffi", "pycparser", "soxr")
NEEDED_BY_VIT = ("keras-hub", "kagglehub", "kagglesdk")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
FLAGS = ("allow_divided", "purge_divided", "skip_missing")


class Ready(Exception):
    """A fit has come to its first training step."""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, metavar="CORPUS:ROOT")
    parser.add_argument("--config", nargs="+", required=True, type=Path, metavar="FILE", help="a run of its name each")
    parser.add_argument("--out", type=Path, default=Path("lab.tar.gz"))
    parser.add_argument("--split", type=Path, help="folds of all runs")
    for flag in FLAGS:
        parser.add_argument(f"--{flag.replace('_', '-')}", action="store_true", help="as of fit")
    parser.add_argument("--cache", type=Path, default=configuration.cache_root())
    parser.add_argument("--limit", type=float, default=60, metavar="MB", help="largest file [%(default)s]")
    parser.add_argument("--wheels", action="store_true", help="bring packages; needs the package index")
    parser.add_argument("--python", default="3.12", help="of that machine, for --wheels [%(default)s]")
    arguments = parser.parse_args(words)
    try:
        pack(arguments)
    except SentioError as error:
        sys.exit(f"error: {error}")


def pack(arguments: argparse.Namespace) -> None:
    """Raises: SentioError as `fit`, and for configurations that do not go together."""
    configs = {file.stem: configuration.load(file) for file in arguments.config}
    check(arguments.config, configs)
    options = {name: getattr(arguments, name) for name in ("cache", "split", *FLAGS)}
    specs: set[pipeline.Spec] = set()
    runs = []
    for name, config in configs.items():
        print(f"{name}: up to its first step", flush=True)
        text, used = prepare(config, arguments.data, options)
        specs |= used
        runs.append({"name": name, "config": configuration.dump(config), "expected": text})
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    earlier = sorted(arguments.out.parent.glob(f"{arguments.out.name}.*of*"))
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        code = root / "code" / PACKAGE.name
        shutil.copytree(PACKAGE, code, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
        about: dict[str, Any] = {"commit": COMMIT, "runs": runs, "split": bool(arguments.split)}
        about |= {flag: getattr(arguments, flag) for flag in FLAGS}
        if arguments.split:
            shutil.copyfile(arguments.split, root / "split.json")
        about["sources"] = add_tracks(root, arguments, next(iter(configs.values())).labels, specs)
        add_weights(root / "cache", arguments.cache, configs.values())
        if arguments.wheels:
            add_wheels(root / "wheels", arguments.python, vit=any(c.model == "vit" for c in configs.values()))
        write_json(root / MANIFEST, about)
        for folder in sorted(p for p in root.iterdir() if p.is_dir()):
            print(f"{folder.name:8} {amount(sum(f.stat().st_size for f in folder.rglob('*') if f.is_file())):>8}")
        for part in earlier:  # there may be more of them
            part.unlink()
        written = write_parts(root, arguments.out, int(arguments.limit * 1e6))
    sources = [f"{s.partition(':')[0]}:{Path(s.partition(':')[2]).resolve()}" for s in arguments.data]
    write_json(arguments.out.with_name(MANIFEST), about | {"sources": sources, "cache": str(arguments.cache.resolve())})
    for file in written:
        print(f"{file}  {amount(file.stat().st_size)}")
    print(f"there: tools/lab/train.sh {arguments.out.name}.*; keep {arguments.out.with_name(MANIFEST)} for fetch.py")


def check(files: Sequence[Path], configs: dict[str, FitConfig]) -> None:
    """Raises: ConfigError for what one pack cannot hold."""
    if len(configs) < len(files):
        raise ConfigError("--config: expected files of different names, received one name twice; rename one")
    if len({config.labels for config in configs.values()}) > 1:
        raise ConfigError("labels: expected one version in all configurations, received several; make a pack of each")
    for name, config in configs.items():
        if config.weights not in ("", "pypi", "random"):
            raise ConfigError(f"{name}: weights: expected pypi or random in a pack, received {config.weights!r}")


def prepare(config: FitConfig, sources: Sequence[str], options: dict[str, Any]) -> tuple[str, set[pipeline.Spec]]:
    """All that `fit` does before its first step: the run's config.yaml, and the caches that it reads.

    Raises: as `fit`.
    """
    specs: set[pipeline.Spec] = set()

    def stop(*_, cache, heard, examples, **__):
        specs.update({cache.spec, heard.spec, examples})
        raise Ready

    with tempfile.TemporaryDirectory() as place, mock.patch.object(training, "train_fold", stop):
        with suppress(Ready):
            training.fit(config, sources, Path(place) / "run", report=lambda text: print(f"  {text}"), **options)
        return (Path(place) / "run" / "config.yaml").read_text(encoding="utf-8"), specs


def add_tracks(root: Path, arguments: argparse.Namespace, labels: str, specs: set[pipeline.Spec]) -> list[str]:
    """Tables of the tracks that every cache has, and their shards; sources as they are called there."""
    sources, kept = [], {}
    for number, source in enumerate(arguments.data):
        tracks = corpora.read(source, version=labels or None, skip_missing=arguments.skip_missing)
        tracks = pipeline.render_tracks(tracks, arguments.cache)
        usable = [t for t in tracks if all(pipeline.open_cache(spec).holds(t) for spec in specs)]
        if len(usable) < len(tracks):
            print(f"{source}: {len(tracks) - len(usable)} of {len(tracks)} tracks are in no cache and stay behind")
        folder = root / "data" / str(number)
        folder.mkdir(parents=True)
        packed.write(folder, usable, labels=labels)
        sources.append(f"{source.partition(':')[0]}:data/{number}")
        kept |= {pipeline.entry_id(t): t for t in usable}  # a part of a file may stand under several keys
    if not kept:
        raise DataError("expected tracks that every cache holds, received none")
    entries = sorted(kept.items(), key=lambda item: item[1].key)
    for spec in specs:
        store = pipeline.open_cache(spec)
        folder = root / "cache" / store.folder.relative_to(spec.root)
        folder.mkdir(parents=True)
        shutil.copyfile(store.folder / "spec.json", folder / "spec.json")
        for first in range(0, len(entries), 32):
            arrays = [(id_, track.key, store.read(track)) for id_, track in entries[first : first + 32]]
            shards.write(folder / f"{first:06}{shards.SUFFIX}", arrays)
    return sources


def add_weights(target: Path, root: Path, configs) -> None:
    """The files of `pretrained.fetch`, each with its licence."""
    for name in {c.model for c in configs if c.model in SOURCES and c.weights != "random"}:
        file = pretrained.fetch(name, root)
        (target / file.parent.name).mkdir(parents=True, exist_ok=True)
        for each in (file, file.with_name(f"{name}.LICENSE.txt")):
            shutil.copyfile(each, target / file.parent.name / each.name)


def add_wheels(folder: Path, python: str, *, vit: bool) -> None:
    """Wheels for Linux on x86-64, in the versions that are installed here.  Raises: SentioError if pip has none."""
    names = [f"{name}=={metadata.version(name)}" for name in (*NEEDED, *(NEEDED_BY_VIT if vit else ()))]
    target = ["--python-version", python, "--implementation", "cp", *(w for p in PLATFORMS for w in ("--platform", p))]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *target]
    done = subprocess.run([*command, "--dest", str(folder), *names], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [""]
        raise SentioError(f"--wheels: expected wheels for Python {python} from pip, received none ({said[-1]})")


def write_parts(root: Path, out: Path, limit: int) -> list[Path]:
    """`root` as one gzipped tar in files `OUT.00of03`, ... of at most `limit` bytes."""
    whole = out.with_name(f"{out.name}.whole")
    try:
        with tarfile.open(whole, "w:gz", compresslevel=6) as archive:
            for path in sorted(root.iterdir()):
                archive.add(path, path.name)
        count = -(-whole.stat().st_size // limit)
        parts = [out.with_name(f"{out.name}.{i:02}of{count:02}") for i in range(count)]
        with whole.open("rb") as file:
            for part in parts:
                part.write_bytes(file.read(limit))
    finally:
        whole.unlink(missing_ok=True)
    return parts


def write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
