import dataclasses
import gc
import itertools
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from sentio_tf import corpora, pipeline
from sentio_tf.audio.augment import Augment
from sentio_tf.contract import MEL
from sentio_tf.errors import AudioError, ConfigError, DataError
from sentio_tf.pipeline import loader as module


@pytest.fixture(scope="module")
def tracks(mini):
    return corpora.read(f"folder:{mini / 'rated'}") + corpora.read(f"folder:{mini / 'signs'}")


@pytest.fixture(scope="module")
def root(tracks, tmp_path_factory):
    root = tmp_path_factory.mktemp("cache")
    for holds in ("log-mel", "waveform"):
        assert pipeline.open_cache(pipeline.Spec(root, holds)).build(tracks, workers=2) == {}
    return root


def unlabelled(tracks, count=6):
    """The same tracks, the first of them without their labels."""
    bare = [dataclasses.replace(t, valence=None, arousal=None) for t in tracks[:count]]
    return [*bare, *tracks[count:]]


def some(data, count):
    found = [next(data) for _ in range(count)]
    data.close()
    return found


def threads_alive():
    return [t for t in threading.enumerate() if t.name.startswith("sentio-batches")]


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    gc.collect()
    assert not threads_alive()


LOW = dataclasses.replace(MEL, sample_rate=16_000)
WAYS = {
    "log-mel": ("log-mel", {"frames": 60, "augment": Augment(freq_masks=2, time_masks=1)}),
    "mixup": ("log-mel", {"frames": 60, "augment": Augment(mixup_alpha=0.4)}),
    "pairs": ("log-mel", {"frames": 60, "unlabelled": True, "repeats": {"folder-rated": 1.5}}),
    "sound": ("waveform", {"frames": 60, "augment": Augment(gain_db=3, noise_snr_db=(5, 20), mixup_alpha=0.2)}),
    "samples": ("waveform", {"samples": 3000, "augment": Augment(shift=0.1)}),
    "files": ("nothing", {"samples": 3000, "spec": LOW}),
}


@pytest.mark.parametrize(("holds", "options"), WAYS.values(), ids=WAYS)
def test_batches_are_those_of_the_dataset(tracks, root, holds, options):
    """Bit by bit, over several epochs, whatever the threads; and from any batch on."""
    options = {"batch": 12, "seed": 5, **options}
    spec = pipeline.Spec(root, holds, mel=options.pop("spec", MEL))
    own = unlabelled(tracks) if options.get("unlabelled") else tracks
    expected = [(x.numpy(), y.numpy()) for x, y in pipeline.dataset(own, spec, **options).take(7)]
    found = some(pipeline.batches(own, spec, workers=3, **options), 7)
    alone = some(pipeline.batches(own, spec, workers=1, ahead=1, **options), 2)
    rest = some(pipeline.batches(own, spec, workers=2, skip=4, **options), 3)
    for (x, y), (a, b) in zip(found + alone + rest, expected + expected[:2] + expected[4:], strict=True):
        assert x.dtype == y.dtype == np.float32
        np.testing.assert_array_equal(x, a)
        np.testing.assert_array_equal(y, b)
    if options.get("unlabelled"):
        assert (expected[0][1][:, 2] == -1).any()


def counted(monkeypatch, pause=0.0, fail_at=None):
    """Examples are their places; which were made, in order."""
    made = []

    def reader(tracks, spec, **_):
        def example(i, start, seed):
            made.append((i, start, seed))
            if fail_at is not None and len(made) > fail_at:
                raise DataError("b.wav: cannot be read; complete the corpus")
            time.sleep(pause)
            return np.array([i, start], np.float32)

        return example

    monkeypatch.setattr("sentio_tf.pipeline.data.reader", reader)
    return made


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_a_few_batches_are_kept_ready_and_no_more(tracks, root, monkeypatch):
    made = counted(monkeypatch)
    data = pipeline.batches(tracks, pipeline.Spec(root), frames=9, batch=5, workers=2, ahead=3)
    assert not made
    assert not threads_alive(), "nothing happens before it is asked"
    for drawn in (1, 2, 3):
        next(data)
        assert wait_for(lambda n=drawn: len(made) >= 5 * (n + 3))
        time.sleep(0.15)
        assert len(made) == 5 * (drawn + 3)
    data.close()


def test_nothing_that_was_drawn_before_is_made_again(tracks, root, monkeypatch):
    made = counted(monkeypatch)
    options = {"frames": 9, "batch": 5, "workers": 1, "ahead": 1}
    expected = [x for x, _ in some(pipeline.batches(tracks, pipeline.Spec(root), **options), 11)]
    made.clear()
    (x, _), *_ = some(pipeline.batches(tracks, pipeline.Spec(root), skip=10, **options), 1)
    np.testing.assert_array_equal(x, expected[10])
    assert len(made) <= 10


@pytest.mark.parametrize("how", ["closed", "dropped", "dropped in a circle"])
def test_threads_end_with_the_iterator(tracks, root, monkeypatch, how):
    counted(monkeypatch)
    data = pipeline.batches(tracks, pipeline.Spec(root), frames=9, batch=4, workers=3)
    next(data)
    assert len(threads_alive()) == 3
    if how == "closed":
        data.close()
    else:
        circle = [data]
        if how == "dropped in a circle":
            circle.append(circle)
        del data, circle
        gc.collect()
    assert not threads_alive()


def test_what_fails_is_raised_where_the_batch_would_have_come(tracks, root, monkeypatch):
    counted(monkeypatch, fail_at=10)
    data = pipeline.batches(tracks, pipeline.Spec(root), frames=9, batch=4, workers=2)
    next(data)
    next(data)
    with pytest.raises(DataError, match=r"b\.wav: cannot be read; complete the corpus"):
        next(data)
    assert not threads_alive()
    with pytest.raises(StopIteration):
        next(data)


def test_a_real_file_that_breaks_while_training(tracks, tmp_path):
    copy = tmp_path / "a.wav"
    shutil.copy(tracks[0].path, copy)
    data = pipeline.batches(
        [dataclasses.replace(tracks[0], path=copy)], pipeline.Spec(tmp_path, "nothing"), frames=9, batch=2
    )
    next(data)
    # Exchanged at once: a thread that reads ahead must not meet the file between being emptied and being written.
    other = tmp_path / "other"
    other.write_text("no audio any more")
    other.replace(copy)
    with pytest.raises(AudioError, match=r"a\.wav: expected an audio file"):
        list(itertools.islice(data, 9))


def test_jobs_begin_in_order_and_may_wait_for_earlier_ones():
    with module.threads(1) as submit:
        first = submit(lambda: 2)
        second = submit(lambda: first.result() + 3)
        assert second.result(timeout=10) == 5


def test_an_iterator_may_be_collected_in_a_thread_of_its_own():
    # Garbage of other tests must not be collected in these threads: destroying a tf.data iterator takes its time.
    gc.collect()
    gc.disable()
    try:
        manager = module.threads(2)
        submit = manager.__enter__()
        assert submit(manager.__exit__, None, None, None).result(timeout=10) is False
        assert wait_for(lambda: not threads_alive())
    finally:
        gc.enable()


def test_threads_end_though_another_took_the_job(monkeypatch):
    """With `queue.SimpleQueue` a thread that was woken in vain waited for ever, and the interpreter for it."""
    monkeypatch.setattr(module, "IDLE_S", 0.0003)
    late = threading.Event()
    for _ in range(60):
        with module.threads(4) as submit:
            for _ in range(20):
                for _ in range(3):
                    submit(int)
                time.sleep(0.004)  # all wait again

            def free(submit=submit):
                late.set()
                for _ in range(8):
                    submit(int)

            watcher = threading.Timer(5, free)
            watcher.start()
        watcher.cancel()
        assert not late.is_set(), "a thread hung"


def test_wrong_options(tracks, root):
    with pytest.raises(ConfigError, match=r"ahead: expected 1 batch or more, received 0"):
        pipeline.batches(tracks, pipeline.Spec(root), ahead=0)
    with pytest.raises(DataError, match=r"received one without; leave it out"):
        pipeline.batches(unlabelled(tracks), pipeline.Spec(root))
    with pytest.raises(ConfigError, match=r"mixup_alpha blends labels, received 6 tracks without one"):
        pipeline.batches(unlabelled(tracks), pipeline.Spec(root), augment=Augment(mixup_alpha=0.2), unlabelled=True)


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
import time
from pathlib import Path
import numpy as np
from sentio_tf import audio, corpora, pipeline
from sentio_tf.audio import augment, decode, mel
from sentio_tf.corpora import doctor, render, split
from sentio_tf.pipeline import cache, checks, loader, tfio, vectors
from sentio_tf.training import run
tracks = corpora.read(sys.argv[1])
spec = pipeline.Spec(Path(sys.argv[2]))
x, y = next(pipeline.batches(tracks, spec, frames=50, batch=4, augment=augment.Augment(mixup_alpha=0.3)))
np.savez(sys.argv[3], x=x, y=y)
found = {m.partition(".")[0] for m, module in sys.modules.items() if module is not None}
assert not found & {"tensorflow", "keras", "jax"}, found

def slow(*place):
    time.sleep(0.5)
    return np.zeros(3)

rows = loader.grouped(pipeline.data.Order(np.zeros((1, 3)), np.ones(1), np.ones(1), length=1, seed=0), 2)
alive = loader.made(rows, slow, None, workers=2, ahead=100)  # 50 s of work wait
next(alive)
print("end", time.time())
"""


def test_without_tensorflow_and_the_interpreter_ends_with_work_left(mini, tracks, root, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, f"folder:{mini / 'rated'}", str(root), str(tmp_path / "out.npz")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    ended = time.time()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    word, began = done.stdout.split()
    assert word == "end"
    assert ended - float(began) < 10
    found = np.load(tmp_path / "out.npz")
    own = [t for t in tracks if t.rated]
    options = {"frames": 50, "batch": 4, "augment": Augment(mixup_alpha=0.3)}
    ((x, y),) = pipeline.dataset(own, pipeline.Spec(root), **options).take(1)
    np.testing.assert_array_equal(found["x"], x)
    np.testing.assert_array_equal(found["y"], y)
