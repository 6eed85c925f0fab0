"""Tables: what is written comes back, what is wrong is said with row and column."""

import errno

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sentio_tf.errors import DataError, SentioError
from sentio_tf.features import read, tabular, write

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4, unique=True)


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".CSV"])
def test_what_is_written_comes_back(tmp_path_factory, ending):
    path = tmp_path_factory.mktemp("table") / f"f{ending}"

    @settings(max_examples=40, deadline=None)
    @given(st.data(), NAMES)
    def check(data, tracks):
        matrix = data.draw(arrays(np.float32, (len(tracks), 3), elements=FINITE))
        write(path, {"corpus": ["c"] * len(tracks), "track_id": tracks}, ["x", "y z", "ü"], matrix)
        table = read(path)
        assert table.ids == {"corpus": ["c"] * len(tracks), "track_id": tracks}
        assert table.names == ["x", "y z", "ü"]
        assert table.matrix.dtype == np.float32
        np.testing.assert_array_equal(table.matrix, matrix)

    check()


def test_identifying_columns_come_first(tmp_path):
    write(tmp_path / "f.csv", {"path": ["a, b.mp3"]}, ["x"], np.float32([[0.1]]))
    assert (tmp_path / "f.csv").read_text() == 'path,x\n"a, b.mp3",0.100000001\n'


def test_a_name_that_is_no_unicode_is_written_escaped(tmp_path):
    for ending in ("csv", "parquet"):
        write(tmp_path / f"f.{ending}", {"path": ["a\udcff.mp3"]}, ["x"], np.zeros((1, 1)))
        assert read(tmp_path / f"f.{ending}").ids == {"path": ["a\\udcff.mp3"]}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_failed_write_leaves_the_old_table_and_nothing_else(tmp_path, monkeypatch, ending):
    path = tmp_path / f"f.{ending}"
    write(path, {"id": ["1"]}, ["x"], np.ones((1, 1)))

    def full(part, *_):
        part.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tabular, f"_write_{ending}", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\); free space"):
        write(path, {"id": ["2"]}, ["x"], np.ones((1, 1)))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert read(path).ids == {"id": ["1"]}


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.csv").touch()
    (tmp_path / "link.csv").symlink_to("real.csv")
    write(tmp_path / "link.csv", {"id": ["1"]}, ["x"], np.ones((1, 1)))
    assert (tmp_path / "link.csv").is_symlink()
    assert read(tmp_path / "real.csv").names == ["x"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("f.xlsx", r"expected a file ending in .parquet or .csv, received '.xlsx'"),
        ("f", r"received 'no ending'"),
        ("none/f.csv", r"no such folder .*none; create it"),
        ("folder.csv", r"expected a file, received a folder"),
    ],
)
def test_where_no_table_can_be_written(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=message):
        tabular.check_target(tmp_path / name)


@pytest.mark.parametrize(
    ("ids", "names", "matrix"),
    [
        ({"path": ["a", "b"]}, ["x"], np.ones((1, 1))),
        ({"path": ["a"]}, ["x", "y"], np.ones((1, 1))),
        ({"artist": ["a"]}, ["x"], np.ones((1, 1))),
        ({"path": ["a"]}, ["id"], np.ones((1, 1))),
        ({"path": ["a"]}, ["x"], np.array([[np.nan]])),
    ],
)
def test_what_is_no_table(tmp_path, ids, names, matrix):
    with pytest.raises(ValueError, match=r"expected .* Received: "):
        write(tmp_path / "f.csv", ids, names, matrix)


def test_foreign_csv(tmp_path):
    """A byte order mark, blanks in the header and around numbers, integers, exponents, an empty line."""
    (tmp_path / "f.csv").write_bytes("\ufeffsong_id, tempo ,mode\n2, 120,-1e-1\n\n10,90,.5\n".encode())
    table = read(tmp_path / "f.csv")
    assert table.ids == {"song_id": ["2", "10"]}
    assert table.names == ["tempo", "mode"]
    np.testing.assert_allclose(table.matrix, [[120, -0.1], [90, 0.5]], rtol=1e-6)


def test_foreign_parquet(tmp_path):
    columns = {"x": pyarrow.array([1, 2], pyarrow.int8()), "id": [7, 8], "y": pyarrow.array([0.5, 1.5])}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "f.parquet")
    table = read(tmp_path / "f.parquet")
    assert table.ids == {"id": ["7", "8"]}
    assert table.names == ["x", "y"]
    np.testing.assert_array_equal(table.matrix, [[1, 0.5], [2, 1.5]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected a line of column names, received an empty file"),
        ("id,x\n", r"expected a row a track, received none"),
        ("id\n1\n", r"expected columns of features, received ids only"),
        ("name,x\na,1\n", r"expected a column path, track_id, song_id or id, received 'name', 'x'; name"),
        ("id,x\n1,2\n2\n", r"row 2: expected 2 cells, received 1"),
        ("id,x\n1,2\n2,\n", r"row 2, column 'x': expected a finite number, received an empty cell"),
        ("id,x\n1,2\n2,nan\n", r"row 2, column 'x': expected a finite number, received 'nan'"),
        ("id,x\n1,-inf\n", r"row 1, column 'x': .* received '-inf'"),
        ("id,x\n1,1e39\n", r"row 1, column 'x': .* received '1e39'"),
        ("id,x,artist\n1,2,Bob\n", r"row 1, column 'artist': .* received 'Bob'; mend the row, or remove the column"),
        ("id,x\n1,\x1b[31m\n", r"received '\\x1b\[31m'"),
        ("id,x\n1,2\n,3\n", r"row 2, column 'id': expected a name, received nothing"),
        ("id,x\n1,2\n1,3\n", r"expected every track once, received '1' twice or more \(1 such\)"),
        ("id,x,x\n1,2,3\n", r"expected every column once, received 'x' twice"),
        (",id,x\n0,1,2\n", r"expected a name for every column, received none for column 1"),
        ('id,x\n1,"2\n', r"expected CSV in UTF-8, received another file"),
        (b"id,x\n\xff\xfe,1\n", r"expected CSV in UTF-8, received another file"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", r"expected "),
    ],
)
def test_what_is_wrong_with_a_csv(tmp_path, text, message):
    path = tmp_path / "f.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["1", "2"], "x": [1.0, None]}, r"row 2, column 'x': .* received an empty cell"),
        (
            {"id": ["1", "2"], "x": [float("nan"), 1.0]},
            r"row 1, column 'x': .* received np.float64\(nan\)|received nan",
        ),
        ({"id": ["1", "2"], "x": [True, False]}, r"row 1, column 'x': .* received 'True'"),
        ({"id": ["1", "2"], "x": [[1.0], [2.0]]}, r"row 1, column 'x': .* received \[1.0\]"),
        ({"id": ["1", None], "x": [1.0, 2.0]}, r"row 2, column 'id': expected a name"),
        ({"id": ["1", "2"], "__index_level_0__": [0, 1]}, r"received none for column 2"),
    ],
)
def test_what_is_wrong_with_a_parquet(tmp_path, columns, message):
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "f.parquet")
    with pytest.raises(DataError, match=message):
        read(tmp_path / "f.parquet")


def test_what_is_no_table_at_all(tmp_path):
    (tmp_path / "f.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"expected a Parquet file, received another or a damaged one"):
        read(tmp_path / "f.parquet")
    with pytest.raises(DataError, match=r"none.csv: cannot be read \(No such file or directory\); check the name"):
        read(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"expected a table ending in .parquet or .csv, received '.txt'"):
        read(tmp_path / "f.txt")


def test_without_pyarrow_the_install_line(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SentioError, match=r"pip install 'sentio-tf\[train\]', or name a .csv"):
        tabular.check_target(tmp_path / "f.parquet")
    assert tabular.check_target(tmp_path / "f.csv") == tmp_path / "f.csv"


@pytest.mark.shared
def test_the_table_of_deam(shared):
    table = read(shared / "deam" / "features_41.csv")
    assert len(table.names) == 41
    assert len(table.ids["song_id"]) == len(table.matrix) > 1700
