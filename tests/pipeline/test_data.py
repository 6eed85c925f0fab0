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


def test_tfio_says_what_it_needs(tracks, tmp_path):
    """Beside this TensorFlow its native decoders do not load; the message says how to get them."""
    with pytest.raises(ConfigError, match=r"sentio-tf\[tfio\]"):
        pipeline.dataset(tracks, pipeline.Spec(tmp_path, "nothing", decoder="tfio"))
    with pytest.raises(ConfigError, match="holds='nothing'"):
        pipeline.Spec(tmp_path, decoder="tfio")
