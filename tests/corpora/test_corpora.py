"""Readers on miniature copies with the true layout, and on the real label files where they are."""

import numpy as np
import pytest
import soundfile

from sentio_tf import corpora
from sentio_tf.errors import DataError


def panda(root, make_table):
    rows = [
        {"track_id": f"MT{i:010}", "artist_group": f"a{i}", "quadrant": q, "valence_sign": v, "arousal_sign": a,
         "tag_purity": "0.667", "genres": "Pop/Rock; Rap", "moods": "Greasy; Messy"}
        for i, (q, v, a) in enumerate([("Q1", 1, 1), ("Q2", -1, 1), ("Q3", -1, -1), ("Q4", 1, -1)])
    ]  # fmt: skip
    return "panda4q", rows, "audio/{track_id}.opus"


def musifeast(root, make_table):
    rows = [
        {"track_id": f"60s_HIGH_0{i}", "genre": "60s", "artist_group": "a1", "vocalisation": "no",
         "valence_1_5": v, "valence_sd": 0.8, "arousal_1_5": a, "arousal_sd": 1.0}
        for i, (v, a) in enumerate([(5, 1), (3, 3), (1, 4)])
    ]  # fmt: skip
    return "musifeast17", rows, "audio/{track_id}.opus"


def emopia(root, make_table):
    rows = [
        {"track_id": f"Q{i}_song_{i}", "song_id": "song", "quadrant": f"Q{i}", "valence_sign": 1, "arousal_sign": 1,
         "split": "train"}
        for i in range(1, 5)
    ]  # fmt: skip
    return "emopia", rows, "midi/{track_id}.mid"


def vgmidi(root, make_table):
    rows = [
        {"track_id": f"Series, The_PS1_{i}", "series": s, "game": g, "valence": v, "arousal": a,
         "valence_rater_sd": 0.2, "arousal_rater_sd": 0.3, "n_raters": 30, "duration_s": 60}
        for i, (s, g, v, a) in enumerate(
            [("Zelda", "Z1", 0.25, -0.5), ("Zelda", "Z2", 0, 0), ("Other", "Alone", -1, 1)]
        )
    ]  # fmt: skip
    return "vgmidi", rows, "midi/{track_id}.mid"


@pytest.fixture(params=[panda, musifeast, emopia, vgmidi], ids=lambda f: f.__name__)
def copy(request, tmp_path, make_table):
    name, rows, pattern = request.param(tmp_path, make_table)
    make_table(tmp_path / "labels.csv", rows)
    for row in rows:
        file = tmp_path / pattern.format(**row)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
    return name, rows, tmp_path


def test_every_corpus_reads_its_layout(copy):
    name, rows, root = copy
    tracks = corpora.read(f"{name}:{root}")
    assert [t.track_id for t in tracks] == [r["track_id"] for r in rows]
    assert all(t.path.exists() and t.corpus == name for t in tracks)
    for track in tracks:
        if track.rated:
            assert -1 <= track.valence <= 1
            assert track.valence_sign is None
        else:
            assert (track.valence_sign, track.arousal_sign) in {(1, 1), (-1, 1), (-1, -1), (1, -1)}


def test_missing_audio_is_counted_and_named(copy):
    name, rows, root = copy
    tracks = corpora.read(f"{name}:{root}")
    tracks[1].path.unlink()
    with pytest.raises(DataError, match=f"1 of {len(rows)}.*{tracks[1].path.name}"):
        corpora.read(f"{name}:{root}")


def test_double_id_is_refused(copy, make_table):
    name, rows, root = copy
    make_table(root / "labels.csv", [*rows, rows[0]])
    with pytest.raises(DataError, match="twice"):
        corpora.read(f"{name}:{root}")


def test_label_file_of_another_corpus(copy, make_table):
    name, _, root = copy
    make_table(root / "labels.csv", [{"filename": "1-1.ogg", "fold": 1, "category": "dog"}])
    with pytest.raises(DataError, match="received category, filename, fold"):
        corpora.read(f"{name}:{root}")


def test_scales():
    """The corpus' own scale is mapped once: 1-5 by (x - 3) / 2, quadrants to signs."""
    from sentio_tf.corpora.labels import rescale

    assert [rescale(x, 1, 5) for x in (1, 2, 3, 4.5, 5)] == [-1, -0.5, 0, 0.75, 1]
    assert rescale(7, 1, 9) == 0.5


def test_musifeast_values(tmp_path, make_table):
    name, rows, pattern = musifeast(None, None)
    make_table(tmp_path / "labels.csv", rows)
    (tmp_path / "audio").mkdir()
    for row in rows:
        (tmp_path / pattern.format(**row)).touch()
    tracks = corpora.read(f"{name}:{tmp_path}")
    assert [(t.valence, t.arousal) for t in tracks] == [(1, -1), (0, 0), (-1, 0.5)]
    assert tracks[0].valence_sd == pytest.approx(0.4)


@pytest.mark.parametrize(("column", "value"), [("valence_1_5", "5.5"), ("arousal_1_5", "nan"), ("valence_sd", "")])
def test_label_off_its_scale_names_the_line(tmp_path, make_table, column, value):
    _, rows, _ = musifeast(None, None)
    rows[1][column] = value
    make_table(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError, match=rf"labels.csv:3: expected {column}"):
        corpora.read(f"musifeast17:{tmp_path}")


@pytest.mark.parametrize("source", ["panda4q", "jazz:/tmp", ":/tmp", "panda4q:"])
def test_source_must_be_corpus_and_root(source):
    with pytest.raises(DataError, match="CORPUS:ROOT"):
        corpora.read(source)


def test_missing_root(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        corpora.read(f"panda4q:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match="no such label file"):
        corpora.read(f"panda4q:{tmp_path}")


# -- folder ---------------------------------------------------------------------------------------


def folder(tmp_path, make_table, rows, corpus_yaml=None):
    make_table(tmp_path / "labels.csv", rows)
    for row in rows:
        if row.get("path"):
            soundfile.write(tmp_path / row["path"], np.zeros(100), 22_050)
    if corpus_yaml:
        (tmp_path / "corpus.yaml").write_text(corpus_yaml)
    return corpora.read(f"folder:{tmp_path}")


def test_folder_of_a_user(tmp_path, make_table):
    rows = [
        {"path": "a b.wav", "valence": "0.5", "arousal": "-1", "artist": "X", "quadrant": "", "start_s": "1.5"},
        {"path": "ü.wav", "valence": "", "arousal": "", "artist": "", "quadrant": "q2", "start_s": ""},
    ]
    a, b = folder(tmp_path, make_table, rows)
    assert (a.valence, a.arousal, a.start_s) == (0.5, -1, 1.5)
    assert a.group == "artist:x"
    assert (b.valence_sign, b.arousal_sign, b.rated) == (-1, 1, False)
    assert b.group.endswith("ü.wav"), "without an artist every file is a group of its own"


def test_folder_with_a_scale(tmp_path, make_table):
    (track,) = folder(tmp_path, make_table, [{"path": "a.wav", "valence": 9, "arousal": 3}], "scale: [1, 9]")
    assert (track.valence, track.arousal) == (1, -0.5)


@pytest.mark.parametrize("text", ["scale: 9", "scale: [9, 1]", "- x", "scale: [a, b]", "{"])
def test_folder_with_a_broken_scale(tmp_path, make_table, text):
    with pytest.raises(DataError, match=r"corpus.yaml: expected"):
        folder(tmp_path, make_table, [{"path": "a.wav", "valence": 1, "arousal": 1}], text)


def test_folder_ratings_beyond_the_scale_say_so(tmp_path, make_table):
    with pytest.raises(DataError, match=r"expected valence in \[-1, 1\], received '7'"):
        folder(tmp_path, make_table, [{"path": "a.wav", "valence": 7, "arousal": 1}])


def test_folder_row_without_label(tmp_path, make_table):
    with pytest.raises(DataError, match="received neither"):
        folder(tmp_path, make_table, [{"path": "a.wav", "valence": "", "arousal": 1}])


@pytest.mark.shared
def test_real_corpora(shared):
    sizes = {"panda4q": 744, "musifeast17": 217, "emopia": 990, "vgmidi": 161}
    for name, size in sizes.items():
        tracks = corpora.read(f"{name}:{shared / name}")
        assert len(tracks) == size
    signs = [t.valence_sign * t.arousal_sign for t in corpora.read(f"panda4q:{shared / 'panda4q'}")]
    assert {-1, 1} == set(signs)


def test_folder_names_in_any_case(tmp_path, make_table):
    (track,) = folder(tmp_path, make_table, [{"path": "a.wav", "Valence": 0.5, "AROUSAL": 0, "Artist": "X"}])
    assert (track.valence, track.arousal, track.group) == (0.5, 0, "artist:x")


def test_folder_with_two_tables(tmp_path, make_table):
    make_table(tmp_path / "labels.csv", [{"path": "a.wav", "quadrant": "Q1"}])
    (tmp_path / "labels.parquet").touch()
    with pytest.raises(DataError, match="received both; remove one"):
        corpora.read(f"folder:{tmp_path}")


def test_folder_with_an_unknown_key(tmp_path, make_table):
    with pytest.raises(DataError, match=r"corpus\.yaml: unknown key 'scales'; known are scale"):
        folder(tmp_path, make_table, [{"path": "a.wav", "valence": 0, "arousal": 0}], "scales: [1, 9]")


@pytest.mark.parametrize("sign", [";", "\t"])
def test_a_table_without_commas_says_so(tmp_path, sign):
    (tmp_path / "labels.csv").write_text(f"path{sign}valence{sign}arousal\na.wav{sign}0{sign}0\n")
    with pytest.raises(DataError, match=r"right folder\? It looks separated by"):
        corpora.read(f"folder:{tmp_path}")


def test_a_table_in_latin_1_says_so(tmp_path):
    (tmp_path / "labels.csv").write_bytes("path,valence,arousal\né.wav,0,0\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"byte 0xe9.*save it as UTF-8"):
        corpora.read(f"folder:{tmp_path}")
