import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf import corpora, pipeline
from sentio_tf.audio import decode
from sentio_tf.audio.mel import log_mel
from sentio_tf.contract import MEL
from sentio_tf.errors import ConfigError, DataError
from sentio_tf.pipeline import cache as module
from sentio_tf.pipeline.cache import Cache, Spec, entry_id, quantize, unlimited


@pytest.fixture(scope="module")
def tracks(mini):
    return corpora.read(f"folder:{mini / 'rated'}")


@pytest.fixture
def small_units(monkeypatch):
    """Several shards from few tracks."""
    monkeypatch.setattr(module, "UNIT_TRACKS", 4)


def reference(track):
    return log_mel(decode.load(track.path), spec=unlimited(MEL)).T


@pytest.mark.parametrize(("bits", "tolerance"), [(16, 1 / 256 + 1e-4), (8, 120 / 510 + 1e-3)])
def test_it_holds_the_mel(tracks, tmp_path, bits, tolerance):
    cache = Cache(Spec(tmp_path, bits=bits))
    assert cache.build(tracks[:3], workers=2) == {}
    for track in tracks[:3]:
        expected = reference(track)
        expected = np.maximum(expected, expected.max() - (module.RANGE_8 if bits == 8 else 999))
        np.testing.assert_allclose(cache.read(track)[:], expected, atol=tolerance)
    hours, size = cache.size()
    assert hours == pytest.approx(3 * 6 / 3600, rel=0.01)
    assert size == pytest.approx(hours * 3600 * 22_050 / 512 * 128 * bits / 8, rel=0.1)


@settings(deadline=None)
@given(low=st.floats(-100, 20), span=st.floats(0, 150), bits=st.sampled_from([8, 16]), seed=st.integers(0, 99))
def test_quantisation_error_is_at_most_half_a_step(low, span, bits, seed):
    x = (low + span * np.random.default_rng(seed).random((30, 128))).astype(np.float32)
    codes = quantize(x, bits)
    heard = np.maximum(x, x.max() - module.RANGE_8) if bits == 8 else x
    step = 1 / 128 if bits == 16 else max(float(heard.max() - heard.min()), 1e-3) / 255
    assert np.abs(codes[:] - heard).max() <= step / 2 + 1e-4
    assert codes.codes.itemsize * 8 == bits


def test_silence_and_hot_clips_survive(tmp_path):
    for values in (np.full((5, 128), -100, np.float32), np.full((5, 128), 60, np.float32)):
        for bits in (8, 16):
            np.testing.assert_allclose(quantize(values, bits)[:], values, atol=1e-3)


def test_shards_are_shared_by_tracks_and_found_again(tracks, tmp_path, small_units):
    cache = Cache(Spec(tmp_path))
    cache.build(tracks, workers=2)
    shards = list((tmp_path / "log-mel").glob("*.shard"))
    assert len(shards) == 4
    assert sorted(p.name for p in (tmp_path / "log-mel").iterdir() if p not in shards) == ["lock", "spec.json"]
    again = Cache(Spec(tmp_path))
    for track in tracks:
        np.testing.assert_array_equal(again.read(track)[:], cache.read(track)[:])


def test_new_tracks_join_what_is_there(tracks, tmp_path, monkeypatch):
    cache = Cache(Spec(tmp_path))
    cache.build(tracks[:5], workers=1)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.shard")}
    seen = []
    cache.build(tracks[:9], workers=1, progress=lambda step, done, total: seen.append((step, done, total)))
    assert seen == [("log-mel", i, 4) for i in range(1, 5)], "only what is missing is computed"
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert all(cache.holds(t) for t in tracks[:9])


def test_changed_audio_or_part_is_another_entry(tracks, tmp_path):
    copy = tmp_path / "a.wav"
    shutil.copy(tracks[0].path, copy)
    track = dataclasses.replace(tracks[0], path=copy)
    before = entry_id(track)
    assert entry_id(dataclasses.replace(track, start_s=1)) != before
    soundfile.write(copy, np.ones(2000), 22_050)
    assert entry_id(track) != before
    content, changed = bytearray(copy.read_bytes()), entry_id(track)
    content[-1] ^= 1
    copy.write_bytes(content)
    os.utime(copy, ns=(1, 1))
    assert entry_id(track) != changed, "of the same size"
    copy.unlink()
    with pytest.raises(DataError, match=r"a\.wav: cannot be read"):
        entry_id(track)


def test_a_corpus_that_is_copied_keeps_its_entries(tracks, tmp_path):
    cache = Cache(Spec(tmp_path))
    assert not cache.build(tracks[:2], workers=1)
    moved = tmp_path / "elsewhere.wav"
    moved.write_bytes(tracks[0].path.read_bytes())
    os.utime(moved, ns=(1, 1))
    copy = dataclasses.replace(tracks[0], path=moved, track_id="copy")
    assert entry_id(copy) == entry_id(tracks[0])
    assert Cache(Spec(tmp_path)).holds(copy)
    np.testing.assert_array_equal(cache.read(copy)[:10], cache.read(tracks[0])[:10])


def test_one_broken_file_does_not_lose_the_others(tracks, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    broken = dataclasses.replace(tracks[0], path=bad, track_id="bad")
    gone = dataclasses.replace(tracks[0], path=tmp_path / "gone.wav", track_id="gone")
    cache = Cache(Spec(tmp_path))
    failed = cache.build([broken, gone, *tracks[:3]], workers=2)
    assert set(failed) == {broken.key, gone.key}
    assert str(bad) in failed[broken.key]
    assert all(cache.holds(t) for t in tracks[:3])
    soundfile.write(bad, np.random.default_rng(0).uniform(-0.5, 0.5, 9000), 22_050)
    assert cache.build([broken, *tracks[:3]], workers=1) == {}, "mended files are taken the next time"


# -- other parameters, damage, disk -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "difference"),
    [
        (Spec(bits=8), r"bits 16 there, 8 asked"),
        (Spec(mel=dataclasses.replace(MEL, n_mels=96)), r"n_mels 128 there, 96 asked"),
        (Spec(mel=dataclasses.replace(MEL, sample_rate=16_000, hop_length=256)), r"hop_length 512 there, 256 asked"),
    ],
)
def test_another_caches_parameters_are_refused_by_name(tracks, tmp_path, spec, difference):
    """Also where another front end's folder was copied over this one's name."""
    Cache(Spec(tmp_path)).build(tracks[:1], workers=1)
    other = dataclasses.replace(spec, root=tmp_path)
    if other.folder != tmp_path / "log-mel":
        shutil.copytree(tmp_path / "log-mel", other.folder)
    with pytest.raises(DataError, match=difference) as caught:
        Cache(other)
    assert "name another --cache" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_front_ends_and_rates_live_side_by_side(tracks, tmp_path):
    wide = dataclasses.replace(MEL, fmax=11_025)
    low = dataclasses.replace(MEL, sample_rate=16_000)
    specs = [Spec(tmp_path), Spec(tmp_path, mel=wide), Spec(tmp_path, "waveform"), Spec(tmp_path, "waveform", mel=low)]
    for spec in specs:
        assert Cache(spec).build(tracks[:1], workers=1) == {}
    plain, other, sound, slow = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    assert [plain.name, sound.name, slow.name] == ["log-mel", "waveform", "waveform-16000"]
    assert re.fullmatch(r"log-mel-[0-9a-f]{8}", other.name)
    again = [Cache(spec) for spec in specs]
    assert json.loads((other / "spec.json").read_text())["fmax"] == 11_025
    expected = log_mel(decode.load(tracks[0].path), spec=unlimited(wide)).T
    np.testing.assert_allclose(again[1].read(tracks[0])[:], expected, atol=1 / 256 + 1e-4)
    assert np.abs(again[0].read(tracks[0])[:] - expected).max() > 1, "another front end"
    y = decode.load(tracks[0].path, sample_rate=16_000)
    np.testing.assert_allclose(again[3].read(tracks[0])[:][:, 0], y, atol=1 / 32767)


def test_the_folder_is_a_function_of_the_parameters(tmp_path):
    def name(holds="log-mel", **fields):
        return Spec(tmp_path, holds, mel=dataclasses.replace(MEL, **fields)).folder.name

    assert name(fmax=11_025) == name(fmax=11_025.0) == name(fmax=11_025, top_db=60)
    assert len({name(), name(fmax=11_025), name(fmax=10_000), name(n_mels=96), name(hop_length=256)}) == 5
    assert name("waveform", fmax=11_025) == "waveform", "bands are no parameter of the sound"
    assert name("nothing", sample_rate=16_000) == "nothing"
    assert Spec(tmp_path, bits=8).folder.name == "log-mel"


def test_the_floor_is_no_parameter_of_the_cache(tracks, tmp_path):
    """It belongs to a window, and is applied when one is cut."""
    Cache(Spec(tmp_path)).build(tracks[:1], workers=1)
    Cache(Spec(tmp_path, mel=dataclasses.replace(MEL, top_db=60)))


@pytest.mark.parametrize("content", ["", "{", "[1]", '"x"'])
def test_a_strange_spec_file_is_one_line(tmp_path, content):
    (tmp_path / "log-mel").mkdir()
    (tmp_path / "log-mel" / "spec.json").write_text(content)
    with pytest.raises(DataError, match=r"spec\.json: expected|other parameters"):
        Cache(Spec(tmp_path))


def test_shards_without_their_spec_are_refused(tracks, tmp_path):
    Cache(Spec(tmp_path)).build(tracks[:1], workers=1)
    (tmp_path / "log-mel" / "spec.json").unlink()
    with pytest.raises(DataError, match="say nothing"):
        Cache(Spec(tmp_path))


@pytest.mark.parametrize("how", ["cut", "flipped", "header"])
def test_a_corrupt_shard_is_rebuilt_and_said_so(tracks, tmp_path, small_units, how):
    cache = Cache(Spec(tmp_path))
    cache.build(tracks, workers=2)
    expected = {t.key: cache.read(t)[:] for t in tracks}
    victim = sorted(tmp_path.rglob("*.shard"))[1]
    content = bytearray(victim.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    else:
        content[20 if how == "header" else len(content) - 100] ^= 1
    victim.unlink()
    victim.write_bytes(content)
    said, seen = [], []
    other = Cache(Spec(tmp_path))
    other.build(tracks, workers=1, report=said.append, progress=lambda s, d, n: seen.append((d, n)))
    assert len(said) == 1
    assert "damaged shard removed" in said[0]
    assert "computed again" in said[0]
    assert seen[-1] == (4, 4), "only its four tracks are computed again"
    for track in tracks:
        np.testing.assert_array_equal(other.read(track)[:], expected[track.key])


def test_damage_while_training_is_one_line(tracks, tmp_path):
    Cache(Spec(tmp_path)).build(tracks[:2], workers=1)
    cache = Cache(Spec(tmp_path))
    (shard,) = tmp_path.rglob("*.shard")
    with shard.open("r+b") as file:
        file.seek(-80, os.SEEK_END)
        file.write(b"\0" * 60)
    last = max(tracks[:2], key=lambda t: t.key)
    with pytest.raises(DataError, match=r"damaged shard removed.*run again to rebuild it"):
        cache.read(last)
    assert not cache.holds(last)
    assert cache.build(tracks[:2], workers=1) == {}
    cache.read(last)


def test_no_space_left_is_one_line_and_keeps_what_is_done(tracks, tmp_path, small_units, monkeypatch):
    real, calls = module.write, []

    def write(path, arrays):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        real(path, arrays)

    monkeypatch.setattr(module, "write", write)
    cache = Cache(Spec(tmp_path))
    with pytest.raises(DataError, match=r"no space left.*what is finished stays") as caught:
        cache.build(tracks, workers=2)
    assert "\n" not in str(caught.value)
    assert sum(cache.holds(t) for t in tracks) == 8
    monkeypatch.setattr(module, "write", real)
    assert cache.build(tracks, workers=2) == {}
    assert all(cache.holds(t) for t in tracks)


def test_a_real_full_disk(tracks, tmp_path):
    """On a file system of 300 kB, where it may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("no right to mount")
    try:
        with pytest.raises(DataError, match="no space left"):
            Cache(Spec(disk)).build(tracks, workers=1)
        assert not list(disk.rglob("*.part"))
    finally:
        subprocess.run(["umount", disk], check=True)


# -- several processes ------------------------------------------------------------------------------

BUILD = """
import sys, time
from pathlib import Path
from sentio_tf import corpora
from sentio_tf.pipeline import cache as module
module.UNIT_TRACKS = 2
real = module.compute
def slow(track, spec):
    time.sleep(0.05)
    print(track.key, flush=True)
    return real(track, spec)
module.compute = slow
tracks = corpora.read(sys.argv[1])
print("go", flush=True)
failed = module.Cache(module.Spec(Path(sys.argv[2]))).build(tracks, workers=1)
assert failed == {}, failed
"""


def builder(mini, root):
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, f"folder:{mini / 'rated'}", str(root)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_two_processes_share_the_work(mini, tracks, tmp_path):
    both = [builder(mini, tmp_path) for _ in range(2)]
    outputs = [p.communicate(timeout=120) for p in both]
    assert [p.returncode for p in both] == [0, 0], outputs
    computed = [[line for line in out.splitlines() if "/" in line] for out, _ in outputs]
    assert sorted(computed[0] + computed[1]) == sorted(t.key for t in tracks), "each track once"
    cache = Cache(Spec(tmp_path))
    for track in tracks:
        np.testing.assert_allclose(cache.read(track)[:], reference(track), atol=0.005)


def test_a_killed_build_continues(mini, tracks, tmp_path):
    first = builder(mini, tmp_path)
    shards = tmp_path / "log-mel"
    end = time.monotonic() + 60
    while len(list(shards.glob("*.shard"))) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    kept = len(list(shards.glob("*.shard")))
    assert kept >= 2
    second = builder(mini, tmp_path)
    out, error = second.communicate(timeout=120)
    assert second.returncode == 0, error
    assert len([line for line in out.splitlines() if "/" in line]) == len(tracks) - 2 * kept
    assert all(Cache(Spec(tmp_path)).holds(t) for t in tracks)


def test_a_dead_process_frees_its_lock(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom sentio_tf.pipeline.cache import Locks\n"
        "with Locks(Path(sys.argv[1])) as locks:\n"
        "    assert locks.acquire('00ff', wait=False)\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    file = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline().strip() == "held"
    with module.Locks(file) as locks:
        assert not locks.acquire("00ff", wait=False)
        assert locks.acquire("00fe", wait=False), "another unit is free"
        holder.kill()
        holder.wait()
        assert locks.acquire("00ff", wait=True)


def test_a_killed_worker_is_one_line(tracks, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "compute", die)
    with pytest.raises(DataError, match="worker of the cache was killed"):
        Cache(Spec(tmp_path)).build(tracks[:2], workers=1)


def die(track, spec):
    os.kill(os.getpid(), signal.SIGKILL)


# -- the spec ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"holds": "mp3"}, {"bits": 12}, {"decoder": "x"}, {"holds": "waveform", "bits": 8}])
def test_a_wrong_spec_is_refused(fields):
    with pytest.raises(ConfigError, match="received"):
        Spec(**fields)


def test_nothing_held_needs_no_folder(tracks, tmp_path):
    assert Cache(Spec(tmp_path / "c", "nothing")).build(tracks) == {}
    assert not (tmp_path / "c").exists()


def test_spec_file_says_what_the_arrays_are(tracks, tmp_path):
    Cache(Spec(tmp_path, bits=8)).build(tracks[:1], workers=1)
    found = json.loads((tmp_path / "log-mel" / "spec.json").read_text())
    assert found["bits"] == 8
    assert found["n_fft"] == 2048
    assert Path(pipeline.Spec().root).is_absolute()


# -- found in review --------------------------------------------------------------------------------


def test_two_caches_that_were_opened_on_an_empty_folder_do_not_mix(tracks, tmp_path):
    one, other = Cache(Spec(tmp_path)), Cache(Spec(tmp_path, bits=8))
    one.build(tracks[:1], workers=1)
    with pytest.raises(DataError, match="bits 16 there, 8 asked"):
        other.build(tracks[1:2], workers=1)


def test_many_shards_hold_few_descriptors(tracks, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "UNIT_TRACKS", 1)
    monkeypatch.setattr(module, "MAPPED", 3)
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc")
    cache = Cache(Spec(tmp_path))
    cache.build(tracks, workers=1)
    before = len(os.listdir("/proc/self/fd"))
    again = Cache(Spec(tmp_path))
    for _ in range(2):
        for track in tracks:
            again.read(track)[:5]
    assert len(os.listdir("/proc/self/fd")) - before <= 4
    np.testing.assert_array_equal(again.read(tracks[0])[:], cache.read(tracks[0])[:])


def test_one_broken_file_under_two_ids_fails_both(tracks, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio")
    both = [dataclasses.replace(tracks[0], path=bad, track_id=name) for name in "xy"]
    assert set(Cache(Spec(tmp_path)).build([*both, tracks[1]], workers=1)) == {t.key for t in both}


def test_a_file_of_two_samples_does_not_end_the_build(tracks, tmp_path):
    soundfile.write(tmp_path / "tiny.wav", np.full(2, 0.1), 192_000)
    tiny = dataclasses.replace(tracks[0], path=tmp_path / "tiny.wav", track_id="tiny")
    failed = Cache(Spec(tmp_path)).build([tiny, tracks[1]], workers=1)
    assert list(failed) == [tiny.key]
    assert "2 samples, too few to resample" in failed[tiny.key]


def test_an_unexpected_failure_costs_one_track(tracks, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "compute", stumble)
    cache = Cache(Spec(tmp_path))
    failed = cache.build(tracks[:3], workers=1)
    assert list(failed) == [tracks[1].key]
    assert "ZeroDivisionError" in failed[tracks[1].key]
    assert cache.holds(tracks[2])


def stumble(track, spec, real=module.compute):
    if track.path.name == "01.wav":
        raise ZeroDivisionError("nobody thought of that")
    return real(track, spec)


def test_not_finite_is_never_a_code():
    for bits in (8, 16):
        with pytest.raises(DataError, match="NaN or inf"):
            quantize(np.array([[np.nan, 1.0]], np.float32), bits)


def test_a_source_that_is_touched_or_gone_does_not_stop_training(tracks, tmp_path):
    copy = tmp_path / "a.wav"
    shutil.copy(tracks[0].path, copy)
    track = dataclasses.replace(tracks[0], path=copy)
    cache = Cache(Spec(tmp_path))
    cache.build([track], workers=1)
    before = cache.read(track)[:]
    os.utime(copy, (1, 1))
    np.testing.assert_array_equal(cache.read(track)[:], before)
    copy.unlink()
    np.testing.assert_array_equal(cache.read(track)[:], before)
    assert copy.name in next(iter(cache.build([track], workers=1).values())), "a build looks again"


def test_a_damaged_shard_that_another_process_rebuilt_is_not_removed(tracks, tmp_path):
    Cache(Spec(tmp_path)).build(tracks[:1], workers=1)
    (path,) = tmp_path.rglob("*.shard")
    good = path.read_bytes()
    path.write_bytes(good[:-200] + b"\0" * 200)
    slow = Cache(Spec(tmp_path))
    fresh = path.with_suffix(".new")
    fresh.write_bytes(good)
    fresh.rename(path)
    slow._discard(slow._where[entry_id(tracks[0])].path, "it was")
    assert path.read_bytes() == good
    slow.refresh()
    slow.read(tracks[0])
