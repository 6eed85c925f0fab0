import csv
import json

import numpy as np
import pytest

from sentio_tf.errors import DataError, ModelError
from sentio_tf.evaluation import predictions
from sentio_tf.evaluation.predictions import from_rows, paired, read


def rows(n=6, **changes):
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        v, a, ve, ae = rng.uniform(-0.8, 0.8, 4).round(4)
        row = {"track_id": f"s{i}", "corpus": "c", "group": f"g{i // 2}", "fold": str(i % 2), "split": "test"}
        row |= {"label": "rating", "valence": v, "arousal": a, "valence_hat": ve, "arousal_hat": ae}
        found.append(row | changes)
    return found


SIGNS = [{**r, "track_id": f"x{r['track_id']}", "label": "sign", "valence": 1, "arousal": -1} for r in rows()]


def write(path, table):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def run(path, table, **metrics):
    path.mkdir()
    write(path / "predictions.csv", table)
    (path / "metrics.json").write_text(json.dumps({"scale": "[-1, 1]", "corpora": {}, **metrics}))
    (path / "config.yaml").write_text("model: svr\n")
    return path


def test_values_arrive_where_they_belong(tmp_path):
    table = rows()
    table[2] |= {"genre": "Rock; Soul", "valence_sd": "0.25", "raters": "30"}
    found = read(
        run(
            tmp_path / "r",
            [
                {**table[2], **t} if t is table[2] else {**table[2], "genre": "", "valence_sd": "", "raters": "", **t}
                for t in table
            ],
        )
    )
    assert len(found) == 6
    assert found.name == "r"
    assert found.reference[2].tolist() == [table[2]["valence"], table[2]["arousal"]]
    assert found.estimated[2].tolist() == [table[2]["valence_hat"], table[2]["arousal_hat"]]
    assert found.genre[2] == "Rock; Soul"
    assert (found.sd[2, 0], found.raters[2]) == (0.25, 30)
    assert np.isnan(found.sd[3]).all()
    assert np.isnan(found.raters[3])
    assert found.keys[0] == "c/s0"


def test_a_table_of_another_program_needs_five_columns():
    found = from_rows([{k: r[k] for k in predictions.REQUIRED} for r in rows()])
    assert found.label == ["rating"] * 6
    assert len(set(found.group)) == 6, "without groups every song is its own"


def test_parts_by_corpus_and_kind_of_label():
    table = [*rows(), *rows(corpus="d"), *SIGNS]
    parts = from_rows(table).parts()
    assert {k: len(p) for k, p in parts.items()} == {"c (rating)": 6, "c (sign)": 6, "d": 6}
    assert parts["d"].corpus == ["d"] * 6


@pytest.mark.parametrize("bad", ["nan", "inf", "", "fast", None])
def test_nan_is_named_with_its_row(bad):
    table = rows()
    table[3]["arousal_hat"] = bad
    with pytest.raises(DataError, match=r"row 4: expected a finite number as arousal_hat of 's3', received"):
        from_rows(table)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valence": 6.5}, r"labels on the scale \[-1, 1\], received 6.5"),
        ({"valence_hat": 6.5}, r"predictions on the scale \[-1, 1\], received 6.5"),
        ({"label": "stars"}, "label rating or sign, received 'stars'"),
        ({"track_id": "s0"}, "every track once, received c/s0 twice"),
    ],
)
def test_wrong_tables_are_refused(change, message):
    table = rows()
    table[1] |= change
    with pytest.raises(DataError, match=message):
        from_rows(table)


def test_no_rows_and_missing_columns():
    with pytest.raises(DataError, match="received none; is the run complete"):
        from_rows([])
    with pytest.raises(DataError, match="none called 'arousal_hat'"):
        from_rows([{k: v for k, v in r.items() if k != "arousal_hat"} for r in rows()])


def test_half_written_runs_are_no_runs(tmp_path):
    with pytest.raises(ModelError, match="received a folder without one"):
        read(tmp_path)
    (tmp_path / "config.yaml").write_text("model: svr\n")
    (tmp_path / "fold-0").mkdir()
    (tmp_path / "fold-0" / "done.json").write_text("{}")
    with pytest.raises(ModelError, match=r"half written \(1 parts done\); give the same fit command again"):
        read(tmp_path)
    (tmp_path / "metrics.json").write_text('{"scale": "[-1')
    with pytest.raises(ModelError, match=r"metrics.json: cannot be read"):
        read(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(ModelError, match=r"expected metrics.json and predictions.csv"):
        read(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "none.csv")


def test_runs_on_another_scale_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"scale \[-1, 1\], received 1-9"):
        read(run(tmp_path / "r", rows(), scale="1-9"))


def test_part_of_the_predictions(tmp_path):
    table = [*rows(3), *[{**r, "track_id": f"v{r['track_id']}", "split": "validation"} for r in rows(2)]]
    folder = run(tmp_path / "r", table)
    assert read(folder).track_id == ["s0", "s1", "s2"]
    assert read(folder, split="validation").track_id == ["vs0", "vs1"]
    with pytest.raises(DataError, match="part train, received test, validation"):
        read(folder, split="train")
    only = run(tmp_path / "q", table[3:])
    assert read(only).track_id == ["vs0", "vs1"], "a run without test part is judged by its validation part"


def test_pairing_aligns_rows():
    a, b = from_rows(rows(), name="a"), from_rows(rows()[::-1], name="b")
    one, other = paired(a, b)
    assert one.keys == other.keys
    np.testing.assert_array_equal(one.reference, other.reference)


def test_other_tracks_are_no_comparison():
    a = from_rows(rows(6), name="a")
    b = from_rows(rows(8)[2:], name="b")
    with pytest.raises(DataError, match=r"6 in a and 6 in b, 4 of them shared \(first other: c/s0\).*--common"):
        paired(a, b)
    assert paired(a, b, common=True)[1].keys == ["c/s2", "c/s3", "c/s4", "c/s5"]
    with pytest.raises(DataError, match="without one in common"):
        paired(a, from_rows(rows(corpus="d"), name="d"), common=True)


def test_mixed_scales_and_versions_are_said():
    a = from_rows(rows(), name="a")
    halves = [{**r, "valence": r["valence"] / 2, "arousal": r["arousal"] / 2} for r in rows()]
    with pytest.raises(DataError, match="on two scales"):
        paired(a, from_rows(halves, name="b"))
    swapped = [{**r, "valence": r["arousal"], "arousal": r["valence"]} for r in rows()]
    with pytest.raises(DataError, match=r"exchanged.*--labels"):
        paired(a, from_rows(swapped, name="b"))
    other = rows()
    other[2]["valence"] = 0.0
    with pytest.raises(DataError, match=r"received c/s2 with .* \(1 tracks differ\); fit both on the same labels"):
        paired(a, from_rows(other, name="b"))
    signs = [{**r, "valence": 1, "arousal": -1} for r in rows(label="sign")]
    with pytest.raises(DataError, match="ratings and signs"):
        paired(a, from_rows(signs, name="b"))


def test_what_either_groups_is_grouped_in_both():
    """A table without groups must not make songs of one artist independent, whichever comes first."""
    own = from_rows(rows(6), name="a")
    loose = from_rows([{**r, "group": ""} for r in rows(6)], name="b")
    for a, b in (paired(own, loose), paired(loose, own)):
        assert a.group == b.group
        assert [a.group.index(g) // 2 for g in a.group] == [0, 0, 1, 1, 2, 2]
    crossed = from_rows([{**r, "group": f"h{(i + 1) // 2}"} for i, r in enumerate(rows(6))], name="c")
    assert len(set(paired(own, crossed)[0].group)) == 1, "a chain of shared groups is one"


def test_a_table_cut_short_is_seen(tmp_path):
    import hashlib

    folder = run(tmp_path / "r", rows())
    file = folder / "predictions.csv"
    stated = {"scale": "[-1, 1]", "corpora": {}, "predictions": hashlib.sha256(file.read_bytes()).hexdigest()}
    (folder / "metrics.json").write_text(json.dumps(stated))
    assert len(read(folder)) == 6
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"changed, or cut short\); give the same fit command again"):
        read(folder)


def test_strange_spreads_are_unknown_and_signs_are_signs():
    found = from_rows(
        [
            {**r, "valence_sd": sd, "raters": n}
            for r, sd, n in zip(rows(3), (-1, "inf", "x"), ("inf", 5, ""), strict=True)
        ]
    )
    assert np.isnan(found.sd).all()
    assert np.isnan(found.raters[[0, 2]]).all()
    with pytest.raises(DataError, match="-1 or 1 where the label is a sign"):
        from_rows(rows(label="sign"))
    with pytest.raises(DataError, match="row 2: expected a track_id"):
        from_rows([r if i != 1 else {**r, "track_id": ""} for i, r in enumerate(rows())])
