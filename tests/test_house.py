"""The house has storeys: a module imports only from storeys above it (docs/design.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sentio_tf"

# Prefix -> storey.  The longest prefix that fits decides.
STOREYS = {
    "errors": 0,
    "contract": 1,
    "config": 2,
    "terminal": 2,
    "audio": 3,
    "features": 3,
    "evaluation.metrics": 3,
    "evaluation.bootstrap": 3,
    "evaluation.compare": 3,
    "evaluation.reliability": 3,
    "evaluation.predictions": 3,
    "evaluation.runs": 3,
    "evaluation.summary": 3,
    "runtime": 4,
    "corpora": 4,
    "layers": 5,
    "losses": 5,
    "metrics": 5,
    "models": 6,
    "pipeline": 7,
    "training": 7,
    "gan": 7,
    "export": 8,
    "web": 8,
    "evaluation.plots": 8,
    "evaluation.label_plane": 8,
    "evaluation.charts": 8,
    "evaluation.page": 8,
    "evaluation.report": 8,
    "evaluation.svg": 8,
    "cli": 10,
    "__main__": 10,
}
# Third parties that a storey may not import, at any depth of a function.
FORBIDDEN = {
    "errors": {"*"},
    "contract": {"*"},
    "audio": {"tensorflow", "keras", "librosa", "scipy"},
    "features": {"tensorflow", "keras", "librosa", "sklearn", "pandas"},
    "runtime": {"tensorflow", "keras", "librosa", "scipy", "sklearn"},
    "web": {"tensorflow", "keras", "librosa", "scipy", "sklearn"},
    "layers": {"tensorflow"},
    "losses": {"tensorflow"},
    "metrics": {"tensorflow"},
    "models": {"tensorflow"},
}
STANDARD = __import__("sys").stdlib_module_names


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(p for p in parts if p != "__init__")
        if name:
            found.append((name, path))
    return found


def storey(name: str) -> int:
    prefixes = [p for p in STOREYS if name == p or name.startswith(p + ".")]
    assert prefixes, f"sentio_tf.{name} has no storey: add it to the table and to docs/design.md"
    return STOREYS[max(prefixes, key=len)]


def imports(name: str, path: Path) -> set[str]:
    """Absolute names of everything imported, at module level and inside functions."""
    package = ["sentio_tf", *name.split(".")]
    if path.name != "__init__.py":
        package = package[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                is_module = inner.startswith("sentio_tf.") and (
                    (PACKAGE / Path(*inner.split(".")[1:])).with_suffix(".py").exists()
                    or (PACKAGE / Path(*inner.split(".")[1:]) / "__init__.py").exists()
                )
                found.add(inner if is_module else module)
    return found


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda v: v if isinstance(v, str) else "")
def test_imports_go_up_only(name, path):
    for target in imports(name, path):
        if target.startswith("sentio_tf."):
            inner = target.removeprefix("sentio_tf.")
            assert storey(inner) <= storey(name), f"sentio_tf.{name} imports {target} from a storey below"


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda v: v if isinstance(v, str) else "")
def test_third_parties_stay_out(name, path):
    rules = [FORBIDDEN[p] for p in FORBIDDEN if name == p or name.startswith(p + ".")]
    outside = {t.partition(".")[0] for t in imports(name, path)} - set(STANDARD) - {"sentio_tf"}
    for rule in rules:
        bad = outside if "*" in rule else outside & rule
        assert not bad, f"sentio_tf.{name} imports {bad}"


def test_the_walker_sees_a_wrong_import(tmp_path):
    """The check above can fail: a module of storey 3 that reaches down is seen."""
    file = tmp_path / "wrong.py"
    file.write_text("def f():\n    from ..training import fit\n    import tensorflow.lite\n")
    found = imports("audio.wrong", file)
    assert "sentio_tf.training.fit" in found
    assert "tensorflow.lite" in found
    assert storey("training.fit") > storey("audio.wrong")
