"""The folder that `sentio-tf web` writes, and what it says when it cannot; npm is played by a script."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import os
import re
import stat
import tarfile
import threading
import urllib.request

import pytest
from click.testing import CliRunner

from sentio_tf import web
from sentio_tf.cli import main
from sentio_tf.errors import ModelError, SentioError
from sentio_tf.runtime.predictor import find_model
from sentio_tf.web import npm
from sentio_tf.web.server import serve


def archive(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return content.getvalue()


IMPORTING = b'import { createWasmLib } from "@litertjs/wasm-utils";\nexport {};\n//# sourceMappingURL=index.js.map\n'


@pytest.fixture
def packages(monkeypatch, tmp_path):
    """The three libraries as small archives that lie in the cache, with their own hashes."""
    folder = tmp_path / "cache" / "npm"
    folder.mkdir(parents=True)
    small = []
    for package in web.PACKAGES:
        data = archive({name: IMPORTING if name == "dist/index.js" else name.encode() for name in package.files})
        digest = base64.b64encode(hashlib.sha512(data).digest()).decode()
        small.append(dataclasses.replace(package, sha512=digest, size=len(data)))
        (folder / package.archive).write_bytes(data)
    monkeypatch.setattr(web, "PACKAGES", tuple(small))
    return folder


def test_a_page_is_whole(packages, tmp_path):
    out = tmp_path / "site"
    names = web.write_page(out, cache=tmp_path / "cache")
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == names
    assert (out / "model.tflite").read_bytes() == find_model(live=True).read_bytes()
    about = json.loads((out / "files.js").read_text().removeprefix("self.SENTIO = ").rstrip().rstrip(";"))
    assert about["model"] == "model.tflite"
    assert sorted(about["files"]) == sorted(["./", *names])
    litert = (out / "lib/litert/index.js").read_text()
    assert '"../wasm-utils/index.js"' in litert
    assert "@litertjs" not in litert
    assert "sourceMappingURL" not in litert
    licences = (out / "LICENSES.txt").read_text()
    assert "CC BY-NC-SA 4.0" in licences
    assert "mediabunny 1.61.0" in licences
    assert stat.S_IMODE(out.stat().st_mode) == 0o755


def test_every_module_that_a_page_names_is_there(packages, tmp_path):
    out = tmp_path / "site"
    names = set(web.write_page(out, cache=tmp_path / "cache"))
    for name in sorted(n for n in names if n.endswith((".js", ".html")) and not n.startswith("lib/")):
        text = (out / name).read_text(encoding="utf-8")
        for target in re.findall(r'(?:from|import\(|src=|href=|importScripts\()\s*"([^"#$]+)(?:#\w+)?"', text):
            if target.startswith("#"):
                continue
            found = os.path.normpath(os.path.join(os.path.dirname(name), target)).replace(os.sep, "/")
            assert found in names, (name, target)


def test_another_model_is_another_version(packages, tmp_path):
    one, two = (tmp_path / n for n in ("one", "two"))
    web.write_page(one, cache=tmp_path / "cache")
    other = tmp_path / "other.tflite"
    other.write_bytes(find_model(live=True).read_bytes() + bytes(16))
    version = lambda folder: re.search(r'"version": "(\w+)"', (folder / "files.js").read_text()).group(1)
    first = version(one)
    web.write_page(one, cache=tmp_path / "cache")
    assert version(one) == first
    web.write_page(two, find_model(live=True), cache=tmp_path / "cache")
    assert version(two) == first
    web.write_page(two, other, cache=tmp_path / "cache")
    assert version(two) != first
    (one / "extra").write_text("of an older version")
    web.write_page(one, cache=tmp_path / "cache")
    assert not (one / "extra").exists()


def test_a_folder_with_other_things_is_left_alone(packages, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(SentioError, match=r"mine: expected a new folder or a page of this command, received one with"):
        web.write_page(tmp_path / "mine", cache=tmp_path / "cache")
    assert (tmp_path / "mine" / "thesis.tex").exists()
    with pytest.raises(SentioError, match="expected a folder for the page, received a file"):
        web.write_page(tmp_path / "mine" / "thesis.tex", cache=tmp_path / "cache")
    assert not list(tmp_path.glob(".*"))


def test_models_that_are_none(packages, tmp_path):
    (tmp_path / "x.tflite").write_text("no model")
    with pytest.raises(ModelError, match=r"x\.tflite"):
        web.write_page(tmp_path / "site", tmp_path / "x.tflite", cache=tmp_path / "cache")
    with pytest.raises(ModelError, match="no such model file"):
        web.write_page(tmp_path / "site", "nothing", cache=tmp_path / "cache")
    assert not (tmp_path / "site").exists()


def test_a_library_that_has_changed_its_imports_is_noticed():
    with pytest.raises(ModelError, match="expected one import of @litertjs/wasm-utils in @litertjs/core, received 2"):
        web._without_bare_imports(IMPORTING * 2)


# -- npm


@pytest.fixture
def tool(monkeypatch, tmp_path):
    """An npm that does what the test says: `tool(script)`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(script):
        (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "npm").chmod(0o755)

    return write


DATA = archive({"dist/index.js": b"text"})
TINY = npm.Package(
    "@some/thing", "1.2.3", base64.b64encode(hashlib.sha512(DATA).digest()).decode(), len(DATA), "MIT",
    {"dist/index.js": "lib/thing.js"},
)  # fmt: skip


def test_npm_is_asked_once(tool, tmp_path):
    (tmp_path / "it.tgz").write_bytes(DATA)
    tool(f'echo "$@" >> {tmp_path}/calls; while [ "$1" != --pack-destination ]; do shift; done\n'
         f'cp {tmp_path}/it.tgz "$2/some-thing-1.2.3.tgz"')  # fmt: skip
    said = []
    for _ in range(2):
        path = npm.fetch(TINY, tmp_path / "cache", report=said.append)
    assert npm.read(path, TINY) == {"lib/thing.js": b"text"}
    assert len(said) == 1
    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call.startswith("pack @some/thing@1.2.3 --ignore-scripts --silent --pack-destination ")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo; echo 'npm error network unreachable' >&2; exit 1",
            "received: npm error network unreachable; check",
        ),
        ("exit 7", "received: npm ended with 7; check the network, or lay some-thing-1.2.3.tgz into"),
        ("exit 0", "npm ended with 0"),
        ('for last; do :; done; echo other > "$last/some-thing-1.2.3.tgz"', "nothing was read from it"),
    ],
)
def test_npm_that_does_not_give_it(tool, tmp_path, script, said):
    tool(script)
    with pytest.raises(ModelError, match=re.escape(said)):
        npm.fetch(TINY, tmp_path / "cache")
    assert list((tmp_path / "cache" / "npm").iterdir()) == []


def test_no_npm_at_all(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelError, match=r"received a machine without it; install Node\.js with npm, or lay some-"):
        npm.fetch(TINY, tmp_path / "cache")


def test_a_damaged_archive_in_the_cache(tmp_path):
    (tmp_path / "npm").mkdir()
    (tmp_path / "npm" / TINY.archive).write_bytes(DATA[:-1])
    with pytest.raises(ModelError, match=r"expected @some/thing 1\.2\.3 with sha512 .*; remove it and run again"):
        npm.fetch(TINY, tmp_path)
    package = dataclasses.replace(TINY, files={"README": "x"})
    (tmp_path / "npm" / TINY.archive).write_bytes(DATA)
    with pytest.raises(ModelError, match="expected the file README, received an archive without it"):
        npm.read(npm.fetch(package, tmp_path), package)


# -- server and command


def test_the_server_tells_browsers_what_they_insist_on(packages, tmp_path):
    out = tmp_path / "site"
    web.write_page(out, cache=tmp_path / "cache")
    with serve(out, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        types = {}
        for name in ("", "app.js", "lib/litert/wasm/litert_wasm_internal.wasm", "style.css", "manifest.webmanifest"):
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{name}") as response:
                types[name] = response.headers["Content-Type"]
                assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
                assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        with pytest.raises(SentioError, match=rf"expected a free port, received {server.server_port}"):
            serve(out, server.server_port)
        server.shutdown()
    assert types[""].startswith("text/html")
    assert types["app.js"].startswith("text/javascript")
    assert types["lib/litert/wasm/litert_wasm_internal.wasm"] == "application/wasm"
    assert types["manifest.webmanifest"] == "application/manifest+json"


def test_the_command(packages, tmp_path):
    words = ["web", str(tmp_path / "site"), "--cache", str(tmp_path / "cache")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert re.search(r"site: \d+ files, [\d.]+ MB; a browser loads about a third", done.output)
    assert "--serve" in done.output
    failed = CliRunner().invoke(main, [*words, "--model", "none of them"])
    assert failed.exit_code == 1
    assert failed.stderr.startswith("error: none of them: no such model file")
