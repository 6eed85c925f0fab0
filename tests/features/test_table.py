"""The table of features, and that the documentation shows it."""

from pathlib import Path

import pytest

from sentio_tf.features import table

DOCS = Path(__file__).parents[2] / "docs" / "features.md"


def test_the_recipe_has_41_rows_and_164_columns():
    assert len(table.RECIPE) == 41
    groups = [f.group for f in table.RECIPE]
    assert {g: groups.count(g) for g in groups} == {"mfcc": 13, "spectral": 10, "temporal": 6, "chroma": 12}
    names = table.columns()
    assert len(names) == 164
    assert names[:5] == ["mfcc_01_mean", "mfcc_01_std", "mfcc_01_min", "mfcc_01_max", "mfcc_02_mean"]
    assert "chroma_c_sharp_max" in names


def test_the_extended_set_begins_with_the_recipe():
    names = table.columns("extended")
    assert names[:164] == table.columns()
    assert len(names) == len(set(names)) == 193
    assert {"mode", "tempo", "tonnetz_fifths_sin_std"} < set(names)


def test_unknown_set():
    with pytest.raises(ValueError, match=r"recipe, extended. Received: 'all'"):
        table.features("all")


def test_the_version_changes_with_set_and_values(monkeypatch):
    recipe = table.version()
    assert recipe != table.version("extended")
    assert recipe == table.version("recipe")
    monkeypatch.setattr(table, "VERSION", table.VERSION + 1)
    assert recipe != table.version()


def test_the_documentation_shows_the_table():
    text = DOCS.read_text(encoding="utf-8")
    added = table.EXTENDED[len(table.RECIPE) :]
    assert table.markdown(table.RECIPE) in text, "write table.markdown(table.RECIPE) into docs/features.md"
    assert table.markdown(added) in text, "write the rows that the extended set adds into docs/features.md"


def test_calls_fit_a_table_of_markdown():
    for feature in table.EXTENDED:
        assert "|" not in feature.call + feature.formula + feature.unit
