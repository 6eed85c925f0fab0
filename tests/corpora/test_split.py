from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
