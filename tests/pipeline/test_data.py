import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from sentio_tf import corpora, pipeline
from sentio_tf.audio import decode
from sentio_tf.audio.augment import Augment
from sentio_tf.audio.mel import log_mel
from sentio_tf.audio.windows import windows
from sentio_tf.contract import MEL, N_FRAMES
from sentio_tf.corpora.track import Track
from sentio_tf.errors import ConfigError, DataError
from sentio_tf.pipeline import data as module


@pytest.fixture(scope="module")
def tracks(mini):
    return corpora.read(f"folder:{mini / 'rated'}") + corpora.read(f"folder:{mini / 'signs'}")


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return pipeline.Spec(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def cache(tracks, spec):
    cache = pipeline.open_cache(spec)
    assert cache.build(tracks, workers=2) == {}
    return cache


def some(data, batches=1):
    return [(x.numpy(), y.numpy()) for x, y in data.take(batches)]


def test_training_does_not_decode_again(tracks, cache, monkeypatch):
    monkeypatch.setattr(decode, "load", lambda *a, **k: pytest.fail("decoded again"))
    monkeypatch.setattr("sentio_tf.pipeline.cache.ProcessPoolExecutor", lambda *a, **k: pytest.fail("computed again"))
    some(pipeline.dataset(tracks, cache.spec, frames=100, batch=4))


@pytest.mark.parametrize("seconds", [0.3, 12, 30, 30.5, 31.4, 44.9, 45, 61.3, 100])
def test_window_rule_is_the_predictors(seconds):
    samples = np.zeros(int(seconds * 22_050), np.float32)
    expected = [w.start_s for w in windows([samples])]
    found = pipeline.window_starts(MEL.frames(len(samples)))
    frame = MEL.hop_length / MEL.sample_rate
    np.testing.assert_allclose(np.array(found) * frame, expected, atol=1.5 * frame)


def test_crop_repeats_and_has_its_own_floor():
    values = np.full((10, 128), -90, np.float16)
    values[3] = 5
    out = pipeline.crop(values, 2, 20)
    assert out.shape == (128, 20, 1)
    np.testing.assert_array_equal(out[:, :8], out[:, 8:16])
    assert out.min() == 5 - 80


def test_dataset_gives_crops_and_targets(tracks, cache):
    ((x, y),) = some(pipeline.dataset(tracks, cache.spec, frames=64, batch=16, seed=3))
    assert x.shape == (16, 128, 64, 1)
    assert y.shape == (16, 3)
    known = {tuple(pipeline.target(t)) for t in tracks}
    assert {tuple(row) for row in y} <= known


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_seed_decides_whatever_the_workers(tracks, cache, workers):
    augment = Augment(freq_masks=2, time_masks=2, mixup_alpha=0.4)
    options = {"frames": 32, "batch": 8, "augment": augment}
    one = some(pipeline.dataset(tracks, cache.spec, seed=1, workers=2, **options), 5)
    other = some(pipeline.dataset(tracks, cache.spec, seed=1, workers=workers, **options), 5)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
    third = some(pipeline.dataset(tracks, cache.spec, seed=2, workers=workers, **options), 1)
    assert (third[0][0] != one[0][0]).any()


def test_an_epoch_draws_as_asked(tracks, cache):
    repeats = {tracks[0].corpus: 2, tracks[-1].corpus: 0.5}
    assert pipeline.draws(tracks, repeats).sum() == 16 * 2 + 16 * 0.5
    data = pipeline.dataset(tracks, cache.spec, frames=8, batch=8, repeats=repeats)
    kinds = np.concatenate([y[:, 2] for _, y in some(data, 50)])
    assert kinds.mean() == pytest.approx(0.8, abs=0.05)  # 32 of 40 draws are rated


def test_every_track_once_an_epoch_and_each_epoch_another_order(tracks, cache):
    lengths = [1] * len(tracks)
    rows = list(module.places(lengths, np.ones(len(tracks)), frames=1, seed=0).take(3 * len(tracks)))
    order = np.array([r.numpy()[0] for r in rows]).reshape(3, -1)
    for epoch in order:
        assert sorted(epoch) == list(range(len(tracks)))
    assert (order[0] != order[1]).any()
    assert len({int(r.numpy()[2]) for r in rows}) == len(rows), "every example has a seed of its own"


def order(**changes):
    fields = {
        "targets": np.array([[0.1, 0.2, 1], [0, 0, -1], [1, -1, 0], [0, 0, -1]]),
        "lengths": np.array([500, 90, 300, 1000]),
        "counts": np.array([1, 2, 1.5, 0.5]),
        "length": 100,
        "seed": 3,
    }
    return module.Order(**{**fields, **changes})


def test_runs_of_an_older_version_can_be_repeated():
    """The stream is a function of the seed for ever: drawn by the first version of this module."""
    rows, goals = module.Order(
        np.zeros((3, 3)), np.array([500, 90, 300]), np.array([1, 0.5, 2]), length=100, seed=5
    ).epoch(2)
    old = [[0, 174, 881182301613626023], [2, 10, 478147083510830024], [2, 104, 1170238677034149812]]
    np.testing.assert_array_equal(rows, old)
    np.testing.assert_array_equal(goals, np.zeros((3, 3)))


def test_unlabelled_tracks_come_as_pairs_with_a_number_of_their_own():
    stream, found = order(), []
    seen = np.zeros(4)
    for number in range(40):
        rows, goals = stream.epoch(number)
        kinds = stream.targets[rows[:, 0], 2]
        np.testing.assert_array_equal(goals[:, 2], kinds)
        np.testing.assert_array_equal(goals[kinds >= 0], stream.targets[rows[kinds >= 0, 0]].astype(np.float32))
        pairs, ids = rows[kinds < 0].reshape(-1, 2, 3), goals[kinds < 0].reshape(-1, 2, 3)
        assert (pairs[:, 0, 0] == pairs[:, 1, 0]).all(), "one song, next to each other"
        assert (pairs[:, 0, 2] != pairs[:, 1, 2]).all(), "each augmented by itself"
        assert (ids[:, :, :2] == ids[:, :1, :1]).all()
        found += ids[:, 0, 0].tolist()
        seen += np.bincount(rows[:, 0], minlength=4)
        assert (rows[:, 1] + stream.length <= np.maximum(stream.lengths[rows[:, 0]], stream.length)).all()
    assert len(set(found)) == len(found) > 80
    np.testing.assert_allclose(seen / 40, [1, 4, 1.5, 1], atol=0.4)
    long = [r for n in range(40) for r in stream.epoch(n)[0] if r[0] == 3]
    assert len({int(r[1]) for r in long}) > 0.9 * len(long), "two places, not one"


def test_numbers_of_pairs_are_whole_in_float32():
    """After 10 000 epochs of 5000 songs they begin anew, far from one another."""
    many = 5000
    stream = module.Order(np.full((many, 3), -1.0), np.full(many, 9), np.ones(many), length=1, seed=0)
    for number in (9_999, 3355):
        ids = stream.epoch(number)[1][:, 0]
        assert len(set(ids.tolist())) == many
        assert ids.max() < module.IDS
        np.testing.assert_array_equal(ids, np.floor(ids))


def test_any_place_of_the_stream_is_found():
    stream = order()
    rows = np.concatenate([stream.epoch(n)[0] for n in range(12)])
    for place in (0, 1, 6, 7, 8, 31, 50):
        number, first = stream.find(place)
        np.testing.assert_array_equal(stream.epoch(number)[0][first], rows[place])


def test_unlabelled_examples_are_two_crops_of_a_song(tracks, cache):
    plain = [dataclasses.replace(t, valence=None, arousal=None) for t in tracks[:4]]
    data = pipeline.dataset([*plain, *tracks[4:8]], cache.spec, frames=40, batch=12, unlabelled=True, seed=2)
    ((x, y),) = some(data)
    assert sorted(y[:, 2]) == [-1] * 8 + [1] * 4
    rows = [r.numpy() for r, _ in module.drawn(stream_of([*plain, *tracks[4:8]], cache.spec, 40, 2)).take(12)]
    for example, goal, (i, start, _) in zip(x, y, rows, strict=True):
        track = (plain + tracks[4:8])[i]
        np.testing.assert_array_equal(example, pipeline.crop(cache.read(track), start, 40))
        assert goal[2] == -1 if track in plain else (goal == pipeline.target(track)).all()
    ids = y[y[:, 2] == -1, 0]
    assert sorted(np.unique(ids, return_counts=True)[1]) == [2] * 4


def stream_of(tracks, spec, frames, seed):
    targets = module.goals(tracks, augment=None, unlabelled=True)
    return module.prepare(
        tracks, targets, spec, augment=None, frames=frames, samples=None, repeats=None, seed=seed, report=None
    )[1]


def test_unlabelled_tracks_are_not_blended(tracks, cache):
    plain = dataclasses.replace(tracks[0], valence=None, arousal=None)
    augment = Augment(mixup_alpha=0.4)
    with pytest.raises(ConfigError, match=r"mixup_alpha blends labels, received 1 tracks without one"):
        pipeline.dataset([plain, *tracks[1:]], cache.spec, augment=augment, unlabelled=True)
    some(pipeline.dataset(tracks, cache.spec, frames=9, batch=4, augment=augment, unlabelled=True))


@pytest.mark.parametrize("skip", [1, 7])
def test_a_stream_goes_on_where_it_stopped(tracks, cache, monkeypatch, skip):
    """Bit by bit, mixup and unlabelled pairs included, and nothing that was drawn before is made again."""
    plain = [dataclasses.replace(t, valence=None, arousal=None) for t in tracks[:5]]
    for mixed, augment in [
        (tracks, Augment(freq_masks=1, mixup_alpha=0.4)),
        ([*plain, *tracks[5:]], Augment(time_masks=1)),
    ]:
        options = {"frames": 16, "batch": 6, "seed": 8, "augment": augment, "unlabelled": True, "workers": 1}
        whole = some(pipeline.dataset(mixed, cache.spec, **options), skip + 2)[skip:]
        rest = some(pipeline.dataset(mixed, cache.spec, skip=skip, **options), 2)
        for (x, y), (a, b) in zip(rest, whole, strict=True):
            np.testing.assert_array_equal(x, a)
            np.testing.assert_array_equal(y, b)
    first = module.drawn(stream_of(mixed, cache.spec, 16, 8), skip=6 * skip)
    made = []
    real = module.reader
    monkeypatch.setattr(module, "reader", lambda *a, **k: lambda *place: made.append(place) or real(*a, **k)(*place))
    some(pipeline.dataset(mixed, cache.spec, skip=skip, **options))
    place, _ = next(iter(first))
    assert made[0] == tuple(place.numpy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 1000}, r"samples: waveforms need a spec that holds them.*holds='waveform'"),
        ({"skip": -1}, r"skip: expected 0 batches or more, received -1"),
        ({"repeats": {"folder-rated": 0, "folder-signs": 0}}, r"repeats: expected numbers above 0"),
    ],
)
def test_wrong_options_are_one_line(tracks, cache, options, message):
    for read in (pipeline.dataset, pipeline.batches):
        with pytest.raises(ConfigError, match=message) as caught:
            read(tracks, cache.spec, **options)
        assert "\n" not in str(caught.value)


def test_each_example_is_augmented_anew(tracks, cache):
    one = tracks[:1]
    data = pipeline.dataset(one, cache.spec, frames=N_FRAMES, batch=4, augment=Augment(freq_masks=2))
    ((x, _),) = some(data)
    assert len({a.tobytes() for a in x}) == 4


# -- from waveforms ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def waveforms(tracks, tmp_path_factory):
    spec = pipeline.Spec(tmp_path_factory.mktemp("waves"), "waveform")
    assert pipeline.open_cache(spec).build(tracks, workers=2) == {}
    return spec


def test_waveform_cache_holds_the_sound(tracks, waveforms):
    stored = pipeline.open_cache(waveforms).read(tracks[2])[:][:, 0]
    np.testing.assert_allclose(stored, decode.load(tracks[2].path), atol=1 / 32767)


@pytest.mark.parametrize("holds", ["waveform", "nothing"])
def test_all_sources_give_the_same_examples(tracks, cache, waveforms, holds):
    """Within a track: a crop's first and last frames see its border, where a whole track sees its neighbours."""
    other = waveforms if holds == "waveform" else pipeline.Spec(waveforms.root, "nothing")
    options = {"frames": 100, "batch": 12, "seed": 4}
    (a, ya), (b, yb) = some(pipeline.dataset(tracks, cache.spec, **options)) + some(
        pipeline.dataset(tracks, other, **options)
    )
    np.testing.assert_array_equal(ya, yb)
    inner = slice(2, -2)
    for x, y in zip(a[:, :, inner, 0], b[:, :, inner, 0], strict=True):
        above = (x > x.max() - 60) & (y > y.max() - 60)
        assert np.abs(x - y)[above].max() < 0.2  # rounding of the start to a sample, 16 bit


OPERATIONS = {
    "gain": {"gain_db": 6},
    "noise": {"noise_snr_db": (5, 20)},
    "shift": {"shift": 0.2},
    "pitch": {"pitch_semitones": 1},
    "stretch": {"stretch": 0.1},
    "frequency masks": {"freq_masks": 2},
    "time masks": {"time_masks": 2},
    "mixup": {"mixup_alpha": 0.4},
}


@pytest.mark.parametrize("fields", OPERATIONS.values(), ids=OPERATIONS)
def test_each_operation_inside_tf_data_is_the_eager_one(tracks, waveforms, fields):
    augment = Augment(**fields, probability=1)
    count, frames = 8, 80
    ((x, y),) = some(pipeline.dataset(tracks, waveforms, augment=augment, frames=frames, batch=count, seed=7))
    lengths = [pipeline.track_frames(t, waveforms) for t in tracks]
    rows = [r.numpy() for r in module.places(lengths, np.ones(len(tracks)), frames=frames, seed=7).take(count)]
    example = module.reader(tracks, waveforms, frames=frames, augment=augment)
    plain = module.reader(tracks, waveforms, frames=frames)
    eager = np.stack([example(*r) for r in rows])
    goals = np.stack([pipeline.target(tracks[r[0]]) for r in rows])
    changed = (eager != np.stack([plain(*r) for r in rows])).any((1, 2, 3))
    eager, goals = augment.batch(eager, goals, np.random.default_rng([r[2] for r in rows]))
    np.testing.assert_array_equal(x, eager)
    np.testing.assert_array_equal(y, goals)
    assert changed.all() or "mixup_alpha" in fields
    assert set(y[:, 2]) <= {0, 1}


# -- waveforms as examples --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recordings(tmp_path_factory, make_music):
    """A wav of 44.1 kHz, an opus of 48 kHz, the part of a wav, and one shorter than an example."""
    folder = tmp_path_factory.mktemp("recordings")
    soundfile.write(folder / "a.wav", make_music(5, seed=1, rate=44_100), 44_100)
    soundfile.write(folder / "b.opus", make_music(4, seed=2, rate=48_000), 48_000, format="OGG", subtype="OPUS")
    soundfile.write(folder / "c.wav", make_music(9, seed=3, rate=22_050), 22_050)
    soundfile.write(folder / "d.wav", make_music(0.5, seed=4, rate=22_050), 22_050)
    return [
        Track("a", "c", folder / "a.wav", "a", 0.1, 0.2),
        Track("b", "c", folder / "b.opus", "b", -0.1, 0.4),
        Track("c", "c", folder / "c.wav", "c", valence_sign=1, arousal_sign=-1, start_s=2, duration_s=3.5),
        Track("d", "c", folder / "d.wav", "d", 0.3, -0.2),
    ]


def at_rate(root, holds, rate):
    return pipeline.Spec(root, holds, mel=dataclasses.replace(MEL, sample_rate=rate))


@pytest.mark.parametrize("rate", [22_050, 16_000])
@pytest.mark.parametrize("holds", ["waveform", "nothing"])
def test_waveforms_are_pieces_of_the_sound(recordings, tmp_path, holds, rate):
    spec, samples = at_rate(tmp_path, holds, rate), rate
    ((x, y),) = some(pipeline.dataset(recordings, spec, samples=samples, batch=12, seed=4))
    assert x.shape == (12, samples)
    assert x.dtype == y.dtype == np.float32
    targets = module.goals(recordings, augment=None, unlabelled=False)
    lengths = np.array([pipeline.data.track_samples(t, spec) for t in recordings])
    sounds = [decode.load(t.path, offset_s=t.start_s, duration_s=t.duration_s, sample_rate=rate) for t in recordings]
    np.testing.assert_allclose(lengths, [len(y) for y in sounds], atol=rate * 0.02)
    rows = [r.numpy() for r, _ in module.drawn(
        module.Order(targets, lengths, np.ones(4), length=samples, seed=4)
    ).take(12)]  # fmt: skip
    assert len({tuple(r[:2]) for r in rows}) > 8
    for found, goal, (i, start, _) in zip(x, y, rows, strict=True):
        expected = np.resize(sounds[i][start : start + samples], samples)
        np.testing.assert_array_equal(goal, targets[i])
        if holds == "waveform":
            np.testing.assert_allclose(found, expected, atol=0.6 / 32767)
        else:  # decoded from there on: the resampler begins anew, up to half a sample of the file apart
            assert np.corrcoef(found, expected)[0, 1] > 0.98
    np.testing.assert_array_equal(x[[r[0] == 3 for r in rows]][0, :100], x[[r[0] == 3 for r in rows]][0][
        lengths[3] : lengths[3] + 100
    ])  # fmt: skip


def test_operations_on_waveforms_that_stay_waveforms(recordings, tmp_path):
    spec = at_rate(tmp_path, "waveform", 16_000)
    augment = Augment(gain_db=6, noise_snr_db=(5, 20), shift=0.2, mixup_alpha=0.3, probability=1)
    ((x, y),) = some(pipeline.dataset(recordings, spec, samples=4000, batch=8, seed=4, augment=augment))
    order = stream_of_waveforms(recordings, spec, 4000, 4)
    rows = [r.numpy() for r, _ in module.drawn(order).take(8)]
    cache = pipeline.open_cache(spec)
    eager = np.stack([
        augment.waveform(module.cut(cache.read(recordings[i]), start, 4000), np.random.default_rng(seed))
        for i, start, seed in rows
    ])  # fmt: skip
    goals = np.stack([pipeline.target(recordings[r[0]]) for r in rows])
    eager, goals = augment.batch(eager, goals, np.random.default_rng([r[2] for r in rows]))
    np.testing.assert_array_equal(x, eager)
    np.testing.assert_array_equal(y, goals)


def stream_of_waveforms(tracks, spec, samples, seed):
    return module.Order(
        module.goals(tracks, augment=None, unlabelled=False),
        np.array([module.track_samples(t, spec) for t in tracks]),
        np.ones(len(tracks)),
        length=samples,
        seed=seed,
    )


@pytest.mark.parametrize("augment", [Augment(freq_masks=1), Augment(time_masks=2, gain_db=3)])
def test_waveforms_have_no_bands_to_mask(recordings, tmp_path, augment):
    with pytest.raises(ConfigError, match=r"work on log-mels, received them for waveforms; set them to 0"):
        pipeline.dataset(recordings, pipeline.Spec(tmp_path, "waveform"), samples=4000, augment=augment)
    with pytest.raises(ConfigError, match=r"samples: expected 1 or more, received 0"):
        pipeline.dataset(recordings, pipeline.Spec(tmp_path, "waveform"), samples=0)


def test_waveform_operations_need_waveforms(tracks, cache):
    with pytest.raises(ConfigError, match="holds='waveform'"):
        pipeline.dataset(tracks, cache.spec, augment=Augment(gain_db=3))


def test_a_track_shorter_than_a_crop_is_repeated(tmp_path, make_music):
    y = make_music(1.0)
    soundfile.write(tmp_path / "a.wav", y, 22_050)
    track = Track("a", "c", tmp_path / "a.wav", "g", 0.1, 0.2)
    for holds in ("log-mel", "waveform", "nothing"):
        spec = pipeline.Spec(tmp_path, holds)
        data = pipeline.dataset([track], spec, frames=200, batch=2)
        ((x, _),) = some(data)
        assert x.shape == (2, 128, 200, 1)
        assert np.isfinite(x).all()
        assert x[0, :, -10:].mean() > x.min() + 5, "not padded with silence"


def test_part_of_a_file(tmp_path, make_music):
    """`start_s` and `duration_s`: the label is about this part only, whatever the source."""
    soundfile.write(tmp_path / "a.wav", make_music(20), 22_050)
    track = Track("a", "c", tmp_path / "a.wav", "g", 0.1, 0.2, start_s=5, duration_s=4)
    expected = MEL.frames(4 * 22_050)
    for holds in ("log-mel", "waveform", "nothing"):
        spec = pipeline.Spec(tmp_path, holds)
        pipeline.open_cache(spec).build([track], workers=1)
        assert abs(pipeline.track_frames(track, spec) - expected) <= 1
        x = module.reader([track], spec, frames=100)(0, 0, 0)[:, 3:-3, 0]
        y = decode.load(track.path)[5 * 22_050 :][: 99 * 512]
        reference = log_mel(y)[:, 3:-3]
        assert np.abs(x - reference)[reference > reference.max() - 60].max() < 0.2


def test_a_track_without_a_label_is_refused():
    with pytest.raises(DataError, match="received one without; leave it out"):
        pipeline.dataset([Track("a", "c", None, "g", category="dog")])


def test_no_tracks():
    with pytest.raises(DataError, match="received none"):
        pipeline.dataset([])


def test_a_broken_file_is_one_line(tmp_path):
    (tmp_path / "a.wav").write_text("no audio")
    track = Track("a", "c", tmp_path / "a.wav", "g", 0.1, 0.2)
    with pytest.raises(DataError, match=r"1 of 1 files cannot be used, first: .*a\.wav: expected an audio file"):
        pipeline.dataset([track], pipeline.Spec(tmp_path))


def test_the_interpreter_ends_with_a_dataset_alive(tmp_path, mini):
    """Regression: threads that waited for Python kept the process from ending."""
    code = (
        "from pathlib import Path\nfrom sentio_tf import corpora, pipeline\n"
        f"tracks = corpora.read('folder:{mini / 'rated'}')\n"
        f"data = iter(pipeline.dataset(tracks, pipeline.Spec(Path({str(tmp_path)!r})), frames=50, batch=4))\n"
        "next(data)\nprint('end')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "end"
    assert done.returncode == 0


# -- whole tracks -----------------------------------------------------------------------------------


def test_band_statistics_are_those_of_the_windows(tracks, cache):
    mean, std = pipeline.band_statistics(tracks[:4], cache)
    windows_ = np.concatenate([pipeline.crop(cache.read(t), 0, N_FRAMES) for t in tracks[:4]], axis=1)
    np.testing.assert_allclose(mean, windows_.mean((1, 2)), atol=0.1)
    np.testing.assert_allclose(std, windows_.std((1, 2)), rtol=0.01)


def test_tracks_are_predicted_by_the_mean_of_their_windows(tracks, cache):
    class Model:
        def predict_on_batch(self, x):
            assert x.shape == (5, 128, N_FRAMES, 1)
            return np.stack([x.mean((1, 2, 3)), x.max((1, 2, 3))], axis=1)

    out = pipeline.predict_tracks(Model(), tracks[:7], cache, batch=5)
    for track, (mean, top) in zip(tracks[:7], out, strict=True):
        values = cache.read(track)
        parts = [pipeline.crop(values, s, N_FRAMES) for s in pipeline.window_starts(len(values))]
        assert mean == pytest.approx(np.mean([p.mean() for p in parts]), abs=1e-3)
        assert top == pytest.approx(np.mean([p.max() for p in parts]), abs=1e-3)


@pytest.mark.parametrize(("seconds", "hop_s", "rate"), [(30, 15, 22_050), (3.69, None, 16_000), (2, 2, 22_050)])
def test_windows_of_waveforms_are_the_predictors(tmp_path, make_music, seconds, hop_s, rate):
    tracks = []
    for length in (0.7, seconds, seconds * 1.5 + 0.9, seconds * 1.5 + 1.1, 4.2 * seconds):
        path = tmp_path / f"{len(tracks)}.wav"
        soundfile.write(path, make_music(length, seed=len(tracks), rate=rate), rate)
        tracks.append(Track(path.stem, "c", path, path.stem, 0, 0))
    cache = pipeline.open_cache(at_rate(tmp_path, "waveform", rate))
    assert cache.build(tracks, workers=1) == {}
    found = list(pipeline.windows(tracks, cache, seconds=seconds, hop_s=hop_s))
    for i, track in enumerate(tracks):
        blocks = [cache.read(track)[:][:, 0]]
        expected = list(windows(blocks, size=round(seconds * rate), hop_s=hop_s or seconds / 2, sample_rate=rate))
        own = [x for owner, x in found if owner == i]
        assert len(own) == len(expected)
        for x, window in zip(own, expected, strict=True):
            np.testing.assert_array_equal(x, window.samples)
        starts = pipeline.places_of(track, cache, seconds=seconds, hop_s=hop_s)
        assert starts == [round(w.start_s * rate) for w in expected]
    assert [i for i, _ in found] == sorted(i for i, _ in found)


@pytest.mark.parametrize(("seconds", "frames"), [(30, N_FRAMES), (12, 517), (2, 86)])
def test_windows_of_log_mels_have_any_length(tracks, cache, seconds, frames):
    for i, x in pipeline.windows(tracks[:3], cache, seconds=seconds, hop_s=min(15, seconds)):
        assert x.shape == (128, frames, 1)
        starts = pipeline.places_of(tracks[i], cache, seconds=seconds, hop_s=min(15, seconds))
        assert any((x == pipeline.crop(cache.read(tracks[i]), s, frames)).all() for s in starts)
    assert len(list(pipeline.windows(tracks[:3], cache, seconds=2, hop_s=2))) == 9
    assert len(list(pipeline.windows(tracks[:3], cache, seconds=2))) == 15, "half a window, if not said"


@pytest.mark.parametrize("hop_s", [0, -1, 0.001, 2.1])
def test_a_hop_that_leaves_music_out_is_refused(tracks, cache, hop_s):
    with pytest.raises(ConfigError, match=r"hop_s: expected more than 0 and at most the window's 2 s"):
        list(pipeline.windows(tracks, cache, seconds=2, hop_s=hop_s))


def test_waveform_models_are_judged_by_the_same_call(recordings, tmp_path, make_music):
    long = tmp_path / "long.wav"
    soundfile.write(long, make_music(47, seed=5, rate=16_000), 16_000)
    tracks = [*recordings, Track("e", "c", long, "e", 0, 0)]
    cache = pipeline.open_cache(at_rate(tmp_path, "waveform", 16_000))
    assert cache.build(tracks, workers=1) == {}

    class Model:
        def predict_on_batch(self, x):
            assert x.shape == (2, 480_000)
            return np.stack([np.square(x).mean(1), x.max(1)], axis=1)

    out = pipeline.predict_tracks(Model(), tracks, cache, batch=2)
    for track, row in zip(tracks, out, strict=True):
        sound = decode.load(track.path, offset_s=track.start_s, duration_s=track.duration_s, sample_rate=16_000)
        parts = [w.samples for w in windows([sound], size=480_000, sample_rate=16_000)]
        assert len(parts) == (3 if track.track_id == "e" else 1)
        assert row[0] == pytest.approx(np.mean([np.square(p).mean() for p in parts]), rel=1e-3)
        assert row[1] == pytest.approx(np.mean([p.max() for p in parts]), abs=1e-3)


def test_tfio_says_what_it_needs(tracks, tmp_path):
    """Beside this TensorFlow its native decoders do not load; the message says how to get them."""
    with pytest.raises(ConfigError, match=r"sentio-tf\[tfio\]"):
        pipeline.dataset(tracks, pipeline.Spec(tmp_path, "nothing", decoder="tfio"))
    with pytest.raises(ConfigError, match="holds='nothing'"):
        pipeline.Spec(tmp_path, decoder="tfio")
    spec = pipeline.Spec(tmp_path, "nothing", decoder="tfio")
    with pytest.raises(ConfigError, match=r"log-mels of labelled tracks only"):
        pipeline.dataset(tracks, spec, samples=1000)
    with pytest.raises(ConfigError, match=r"TensorFlow's graph, received batches without it"):
        pipeline.batches(tracks, spec)
