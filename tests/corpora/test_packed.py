import dataclasses
import json

import pytest

from sentio_tf import corpora, pipeline
from sentio_tf.corpora import packed
from sentio_tf.errors import DataError


@pytest.fixture
def tracks(mini):
    found = [t for name in ("rated", "signs") for t in corpora.read(f"folder:{mini / name}")]
    more = {"start_s": 1.5, "duration_s": 2.25, "tags": ("sad", "slow"), "valence_sd": 0.1, "raters": 3}
    return [dataclasses.replace(found[0], **more), *found[1:]]


def test_tracks_come_back_with_their_names_in_caches(tracks, tmp_path):
    packed.write(tmp_path, tracks)
    again = corpora.read(f"folder:{tmp_path}")
    assert [dataclasses.asdict(t) for t in again] == [
        dataclasses.asdict(dataclasses.replace(t, path=t.path.resolve())) for t in tracks
    ]
    assert [pipeline.entry_id(t) for t in again] == [pipeline.entry_id(t) for t in tracks]


def test_files_may_be_gone_and_a_name_behind_a_link_is_its_target(tracks, tmp_path):
    sound, link = tmp_path / "a.wav", tmp_path / "link.wav"
    sound.write_bytes(b"x" * 1000)
    link.symlink_to(sound)
    track = dataclasses.replace(tracks[0], path=link)
    before = pipeline.entry_id(track)
    packed.write(tmp_path, [track])
    sound.unlink()
    link.unlink()
    (again,) = corpora.read(f"folder:{tmp_path}")
    assert pipeline.entry_id(again) == before
    assert pipeline.render_tracks([again], tmp_path) == [again]


def test_a_cache_serves_tracks_without_files(tracks, tmp_path):
    store = pipeline.open_cache(pipeline.Spec(tmp_path / "cache"))
    assert not store.build(tracks[1:3], workers=1)
    packed.write(tmp_path, tracks[:3])
    first, *others = corpora.read(f"folder:{tmp_path}")
    assert [store.holds(t) for t in (first, *others)] == [False, True, True]
    assert not store.build(others), "nothing is computed again"
    assert len(store.read(others[0])) == len(store.read(tracks[1]))


@pytest.mark.parametrize("text", ["no json", "[]", '{"version": 1}', '{"version": 2, "labels": "", "tracks": [{}]}'])
def test_another_file_is_one_line(tmp_path, text):
    (tmp_path / packed.TABLE).write_text(text)
    with pytest.raises(DataError, match=r"expected a table of tools/lab/pack\.py"):
        corpora.read(f"folder:{tmp_path}")


def test_labels_are_those_of_the_pack(tracks, tmp_path):
    packed.write(tmp_path, tracks, labels="official")
    assert json.loads((tmp_path / packed.TABLE).read_text())["labels"] == "official"
    assert len(corpora.read(f"deam:{tmp_path}", version="official")) == len(tracks)
    with pytest.raises(DataError, match="expected labels by default, received official"):
        corpora.read(f"deam:{tmp_path}")
