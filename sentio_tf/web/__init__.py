"""A page that judges songs in the browser: `mobile/web`, a model, and the two libraries it runs on, as one folder.

The page itself is plain files; what makes it a whole is written here: the model beside it, LiteRT.js and Mediabunny out
of the npm registry, and `files.js`, which tells the page its model and the service worker what to keep.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from .. import __version__
from ..errors import ModelError, SentioError
from ..runtime.engine import Engine
from ..runtime.predictor import find_model
from . import npm

MODEL = "model.tflite"
LIST = "files.js"
# What is no part of the page.
LEFT_OUT = ("test", "README.md", "package.json")
VARIANTS = ("", "_compat", "_threaded")  # of LiteRT's WebAssembly: the page loads the one that the browser can run
LITERT = npm.Package(
    name="@litertjs/core",
    version="2.5.3",
    sha512="PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    size=11_817_097,
    licence="Apache-2.0",
    files={"dist/index.js": "lib/litert/index.js"}
    | {f"wasm/litert_wasm{v}_internal.{e}": f"lib/litert/wasm/litert_wasm{v}_internal.{e}" for v in VARIANTS
       for e in ("js", "wasm")},
)  # fmt: skip
WASM_UTILS = npm.Package(
    name="@litertjs/wasm-utils",
    version="2.5.3",
    sha512="4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
    size=4_698,
    licence="Apache-2.0",
    files={"dist/index.js": "lib/wasm-utils/index.js"},
)
MEDIABUNNY = npm.Package(
    name="mediabunny",
    version="1.61.0",
    sha512="WciPOYwKZwgYkoBKcEK6JzzIf+w5whypPzFdOihOylZ/5Qv19FmNfRnTcaprH+jD136YpEASU30Eb6VNCJiz3A==",
    size=2_178_659,
    licence="MPL-2.0",
    files={
        "dist/bundles/mediabunny.min.mjs": "lib/mediabunny/mediabunny.mjs",
        "LICENSE": "lib/mediabunny/LICENSE.txt",
    },
)
PACKAGES = (LITERT, WASM_UTILS, MEDIABUNNY)


def write_page(
    out: Path, model: str | Path | None = None, *, cache: Path, report: Callable[[str], None] | None = None
) -> list[str]:
    """Write the page with a model into the folder `out`; a page of before there is replaced whole, or not at all.

    Args:
        out: a new or empty folder, or a page of this function.
        model: name of a shipped model (None: the live one) or `.tflite` with a card.
        cache: where archives of npm are kept.
        report: takes a line before a download.

    Returns: the names of its files, below `out`.

    Raises: ModelError as `Engine`, or if a library cannot be had or the folder cannot be written; SentioError if
        `out` holds something else.
    """
    file = find_model(model, live=True)
    card = Engine(file, threads=1).card
    if out.exists() and not out.is_dir():
        raise SentioError(f"{out}: expected a folder for the page, received a file; name another one")
    if out.is_dir() and any(out.iterdir()) and not (out / LIST).is_file():
        raise SentioError(f"{out}: expected a new folder or a page of this command, received one with other files")
    content = {name: path.read_bytes() for name, path in sources().items()}
    for package in PACKAGES:
        content |= npm.read(npm.fetch(package, cache, report=report), package)
    content["lib/litert/index.js"] = _without_bare_imports(content["lib/litert/index.js"])
    content["lib/wasm-utils/index.js"] = _without_map(content["lib/wasm-utils/index.js"])
    content[MODEL] = file.read_bytes()
    content["LICENSES.txt"] = _licences(card.name, card.licence).encode()
    content[LIST] = _list(content)
    _write(out, content)
    return sorted(content)


def sources() -> dict[str, Path]:
    """The page's own files by name: out of the installed package, or of a checkout.

    Raises: SentioError if neither has them.
    """
    places = (Path(__file__).parent / "page", Path(__file__).parents[2] / "mobile" / "web")
    for place in places:
        if (place / "index.html").is_file():
            files = (p for p in place.rglob("*") if p.is_file() and p.relative_to(place).parts[0] not in LEFT_OUT)
            return {p.relative_to(place).as_posix(): p for p in sorted(files)}
    raise SentioError("expected the page in the package, received an installation without; install sentio-tf again")


def _without_map(script: bytes) -> bytes:
    """A script without the line that points to its source map, which is not there."""
    return b"\n".join(line for line in script.split(b"\n") if not line.startswith(b"//# sourceMappingURL="))


def _without_bare_imports(script: bytes) -> bytes:
    """LiteRT names its other package barely, which needs an import map; workers have none."""
    bare, found = f'"{WASM_UTILS.name}"'.encode(), _without_map(script)
    if found.count(bare) != 1:
        raise ModelError(f"expected one import of {WASM_UTILS.name} in {LITERT.name}, received {found.count(bare)}")
    return found.replace(bare, b'"../wasm-utils/index.js"')


def _list(content: dict[str, bytes]) -> bytes:
    """For the page and its service worker.  The version is a hash of all files: another one, another cache."""
    total = hashlib.sha256()
    for name, data in sorted(content.items()):
        total.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    about = {"version": total.hexdigest()[:16], "model": MODEL, "files": ["./", *sorted({*content, LIST})]}
    return f"self.SENTIO = {json.dumps(about, indent=1)};\n".encode()


def _licences(model: str, licence: str) -> str:
    lines = [
        f"This page: sentio-tf {__version__}, Apache-2.0.",
        f"The weights of {model}, {MODEL}: {licence}.",
        *(f"{p.name} {p.version}, in lib/: {p.licence}, from the npm registry, unchanged but for names of imports."
          for p in PACKAGES),
        "The text of MPL-2.0 is beside mediabunny; that of Apache-2.0: www.apache.org/licenses/LICENSE-2.0",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _write(out: Path, content: dict[str, bytes]) -> None:
    """All files into a folder beside `out`, which then takes its place."""
    staging = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
        for name, data in content.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        staging.chmod(0o755)  # mkdtemp lets nobody else in, and a web server is somebody else
        if out.exists():
            shutil.rmtree(out)
        os.replace(staging, out)
    except OSError as error:
        raise ModelError(
            f"{out}: the page cannot be written ({error.strerror or error}); free space or name another folder"
        ) from None
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
