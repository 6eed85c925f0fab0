from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf.corpora import split
from sentio_tf.corpora.split import group_folds, split_hash
from sentio_tf.corpora.track import Track
from sentio_tf.errors import DataError


def tracks(groups, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Track(f"t{i}", f"c{i % 2}", Path("x"), f"g{g}", *rng.uniform(-1, 1, 2).tolist()) for i, g in enumerate(groups)
    ]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 25), min_size=30, max_size=120), st.integers(2, 5), st.integers(0, 99))
def test_no_group_is_divided_and_the_order_does_not_matter(groups, k, seed):
    if len(set(groups)) < k:
        return
    items = tracks(groups)
    folds = group_folds(items, k, seed=seed)
    for g in set(groups):
        assert len({f for f, own in zip(folds, groups, strict=True) if own == g}) == 1
    back = group_folds(items[::-1], k, seed=seed)[::-1]
    np.testing.assert_array_equal(folds, back)
    assert split_hash(items, folds) == split_hash(items[::-1], back[::-1])


def test_folds_are_balanced_by_corpus_and_quadrant():
    items = tracks(range(400))
    folds = group_folds(items, 5, seed=0, grid=2)
    for corpus in ("c0", "c1"):
        for sign in (True, False):
            part = [f for t, f in zip(items, folds, strict=True) if t.corpus == corpus and (t.valence > 0) == sign]
            counts = np.bincount(part, minlength=5)
            assert counts.max() - counts.min() <= 3


def test_hash_changes_with_the_split():
    items = tracks(range(20))
    assert split_hash(items, group_folds(items, 4, seed=0)) != split_hash(items, group_folds(items, 4, seed=1))


def test_too_few_groups():
    with pytest.raises(DataError, match="received 5 and 2"):
        group_folds(tracks([0, 0, 1, 1]), 5, seed=0)


# -- the plane --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("v", "a", "where"), [(-1, -1, (0, 0)), (1, 1, (4, 4)), (0, 0, (2, 2)), (-0.6, 0.6, (0, 3)), (0.61, -0.59, (4, 1))]
)
def test_cells(v, a, where):
    assert split.cell(Track("t", "c", Path("x"), "g", v, a)) == where


def test_signs_lie_in_the_middle_of_their_quadrant():
    assert split.cell(Track("t", "c", Path("x"), "g", valence_sign=-1, arousal_sign=1)) == (1, 3)


def test_a_rare_cell_joins_its_neighbour():
    plenty = [Track(f"a{i}", "c", Path("x"), f"a{i}", 0.7, 0.7) for i in range(10)]
    other = [Track(f"b{i}", "c", Path("x"), f"b{i}", -0.7, -0.7) for i in range(10)]
    rare = Track("r", "c", Path("x"), "r", 0.3, 0.7)
    names = split.strata([*plenty, *other, rare], 5)
    assert names[-1] == names[0] != names[10]


def test_cells_are_balanced_over_folds():
    """Every populated cell of the 5 x 5 plane is spread; a random grouped split is worse."""
    items = tracks(range(600))
    folds = group_folds(items, 5, seed=0)

    def unevenness(folds):
        worst = 0
        for name in {split.cell(t) for t in items}:
            own = [f for t, f in zip(items, folds, strict=True) if split.cell(t) == name]
            worst = max(worst, np.ptp(np.bincount(own, minlength=5)) / len(own))
        return worst

    random = np.random.default_rng(0).permutation(np.arange(600) % 5)
    assert unevenness(folds) < 0.2 < unevenness(random)


# -- groups that share a recording ------------------------------------------------------------------


def test_groups_that_share_a_recording_are_one():
    def track(name, group, recording=""):
        return Track(name, "c", Path("x"), group, 0.1, 0.1, recording=recording)

    items = [track("1", "artist:b", "r1"), track("2", "emomusic/7", "r1"), track("3", "emomusic/7"),
             track("4", "artist:a"), track("5", "artist:z", "r2"), track("6", "artist:b", "r2")]  # fmt: skip
    assert split.components(items) == ["artist:b", "artist:b", "artist:b", "artist:a", "artist:b", "artist:b"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40))
def test_components_are_those_of_the_graph(pairs):
    """Against scipy's connected components."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    items = [Track(str(i), "c", Path("x"), f"g{g}", recording=f"r{r}" if r else "") for i, (g, r) in enumerate(pairs)]
    rows = [g for g, r in pairs if r] or [0]
    columns = [20 + r for _, r in pairs if r] or [0]
    _, label = connected_components(coo_matrix((np.ones(len(rows)), (rows, columns)), (40, 40)), directed=False)
    found = split.components(items)
    for i, (g, _) in enumerate(pairs):
        for j, (h, _) in enumerate(pairs):
            assert (found[i] == found[j]) == (label[g] == label[h])


# -- files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["holdout", "kfold", "repeated"])
def test_a_split_is_written_and_read(tmp_path, scheme):
    items = tracks(list(range(40)) * 3)
    made = split.make(items, scheme, k=4, repeats=3, seed=5)
    made.save(tmp_path / "s.json")
    back = split.load(tmp_path / "s.json")
    assert back.hash == made.hash
    assert back.leaks() == []
    assert back.repeats == (3 if scheme == "repeated" else 1)
    assert back.settings["seed"] == 5
    for repeat in range(back.repeats):
        assert back.of(items, repeat) == made.of(items, repeat)
        parts = set(back.of(items, repeat))
        assert parts == ({"train", "validation", "test"} if scheme == "holdout" else {"0", "1", "2", "3"})


def test_repeats_differ_and_seeds_repeat():
    items = tracks(range(100))
    made = split.make(items, "repeated", k=5, repeats=3)
    assert len({tuple(made.of(items, r)) for r in range(3)}) == 3
    assert made.hash == split.make(items, "repeated", k=5, repeats=3).hash
    assert made.hash != split.make(items, "repeated", k=5, repeats=3, seed=1).hash


@pytest.mark.parametrize(
    "shares", [(0.8, 0.1, 0.1), (0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (0.9, 0.05, 0.05), (0.98, 0.01, 0.01)]
)
def test_shares_are_kept(shares):
    items = tracks(range(500))
    named = dict(zip(split.SHARES, shares, strict=True))
    parts = split.make(items, shares=named).of(items)
    for name, share in named.items():
        assert parts.count(name) / 500 == pytest.approx(share, abs=0.2 * share + 0.005)


@pytest.mark.parametrize("shares", [{"train": 1.2, "test": -0.2}, {"train": 0.5, "test": 0.4}, {}])
def test_shares_must_make_a_whole(shares):
    with pytest.raises(DataError, match="shares above 0 that sum to 1"):
        split.make(tracks(range(50)), shares=shares)


@pytest.mark.parametrize("groups", [3, 4, 6, 7, 9, 11, 25])
def test_every_part_has_a_group(groups):
    items = tracks(list(range(groups)) * 2)
    parts = split.make(items).of(items)
    assert set(parts) == {"train", "validation", "test"}
    assert parts.count("train") >= max(parts.count("validation"), parts.count("test"))


def test_too_few_groups_for_three_parts():
    with pytest.raises(DataError, match="groups"):
        split.make(tracks([0, 0, 1, 1]))


def test_a_changed_file_is_refused(tmp_path):
    items = tracks(range(60))
    file = tmp_path / "s.json"
    split.make(items).save(file)
    text = file.read_text()
    file.write_text(text.replace('"test"]', '"train"]', 1))
    with pytest.raises(DataError, match="changed after it was written"):
        split.load(file)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"schema": "sentio-split/1"}', "\x00", '{"schema": 1, "tracks": [[1]]}']
)
def test_what_is_no_split_is_one_line(tmp_path, content):
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(DataError, match="expected a split file") as caught:
        split.load(tmp_path / "s.json")
    assert "\n" not in str(caught.value)


def test_another_schema_is_refused(tmp_path):
    file = tmp_path / "s.json"
    split.make(tracks(range(60))).save(file)
    file.write_text(file.read_text().replace("sentio-split/1", "sentio-split/9"))
    with pytest.raises(DataError, match="received 'sentio-split/9'"):
        split.load(file)


def test_a_missing_or_unwritable_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        split.load(tmp_path / "none.json")
    with pytest.raises(DataError, match="cannot be written"):
        split.make(tracks(range(60))).save(tmp_path / "no" / "s.json")


def test_leaks_are_found():
    items = tracks([0, 0, 1, 1, 2, 2])
    parts = {t.key: (p,) for t, p in zip(items, ["a", "b", "a", "a", "-", "b"], strict=True)}
    made = split.Split("official", parts, {t.key: t.group for t in items}, {})
    assert made.leaks() == ["g0"], "a track that is left out leaks nothing"


def test_tracks_that_the_split_does_not_know():
    made = split.make(tracks(range(60)))
    with pytest.raises(DataError, match=r"received one without c0/t60 \(1 of 61 missing\)"):
        made.of(tracks(range(61)))


def test_official_splits():
    items = [Track(f"{i}", "c", Path("x"), f"g{i}", split=s) for i, s in enumerate(["train", "test", ""])]
    assert split.official(items).of(items) == ["train", "test", "-"]
    named = {"split-0": {"0": "train"}, "split-1": {"0": "test", "2": "train"}}
    assert split.official(items, named, "split-1").of(items) == ["test", "-", "train"]
    assert split.official(items, named).of(items) == ["train", "-", "-"]
    with pytest.raises(DataError, match="among split-0, split-1, received 'x'"):
        split.official(items, named, "x")
    with pytest.raises(DataError, match="received one without"):
        split.official(items[2:])


def test_the_hash_covers_the_settings(tmp_path):
    file = tmp_path / "s.json"
    split.make(tracks(range(60)), seed=3).save(file)
    file.write_text(file.read_text().replace('"seed": 3', '"seed": 4'))
    with pytest.raises(DataError, match="changed after it was written"):
        split.load(file)


def test_what_came_of_the_shares_stands_in_the_file():
    made = split.make(tracks(range(4)))
    assert made.settings["shares"]["train"] == 0.8
    assert made.settings["obtained"] == {"train": 0.5, "validation": 0.25, "test": 0.25}
