"""Two processes with the same file, and what is not whole."""

import numpy as np
import pytest

from sentio_tf.errors import DataError
from sentio_tf.features.store import open_store


def test_what_one_keeps_the_other_sees(tmp_path):
    with open_store(tmp_path / "v.sqlite") as a, open_store(tmp_path / "v.sqlite") as b:
        for i in range(20):
            (a, b)[i % 2].write(str(i), np.full(3, i))
        for one in (a, b):
            found = one.read([str(i) for i in range(21)], 3)
            assert sorted(found, key=int) == [str(i) for i in range(20)]
            assert all((vector == int(key)).all() for key, vector in found.items())
        assert a.read(["1"], 4) == {}, "of another length"


def test_without_a_file_nothing_is_kept():
    with open_store(None) as none:
        none.write("a", np.zeros(3))
        assert none.read(["a"], 3) == {}


def test_a_folder_in_its_place_is_one_line(tmp_path):
    (tmp_path / "v.sqlite").mkdir()
    with pytest.raises(DataError, match=r"v.sqlite: the cache cannot be used"), open_store(tmp_path / "v.sqlite"):
        pass
