"""A stream answers as `predict` does on the same samples, whatever blocks they come in."""

import dataclasses
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sentio_tf.audio import decode
from sentio_tf.audio.mel import log_mel
from sentio_tf.audio.windows import windows
from sentio_tf.contract import AudioContract, Card, MelSpec, StreamContract
from sentio_tf.errors import AudioError, ConfigError, ModelError
from sentio_tf.export.card import embed
from sentio_tf.runtime.engine import Engine, Stages
from sentio_tf.runtime.flatbuffer import read_metadata
from sentio_tf.runtime.predictor import Predictor
from sentio_tf.runtime.stream import Stream

RATE, SIZE, STEP = 22_050, 661_500, 43 * 512
FLOAT = 1e-4  # a float model's answers may differ by


@pytest.fixture(scope="module")
def engine(stream_model):
    return Engine(stream_model, threads=1)


@pytest.fixture(scope="module")
def song(tune):
    return decode.load(tune)


def pieces(signal, sizes):
    """The signal in blocks of `sizes`, over and over."""
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(signal):
            return
        yield signal[at : at + size]
        at += size


def heard(stream, signal, sizes=(4096,)):
    """All that a stream answers to the signal."""
    found = [segment for block in pieces(signal, sizes) for segment in stream.push(block)]
    return found + stream.finish()


def as_predict(engine, signal, step):
    """What the rule of `audio.windows` and the whole model answer."""
    size, rate, silence = engine.card.audio.samples, engine.card.audio.sample_rate, engine.card.windows.silence_peak
    cuts = windows([signal], size=size, hop_s=step / rate, sample_rate=rate)
    return [(w.start_s, w.end_s, *engine(w.samples)[:2]) for w in cuts if np.abs(w.samples).max() >= silence]


def values(segments):
    return [dataclasses.astuple(s) for s in segments]


def assert_same(segments, expected, tolerance=FLOAT):
    assert [(s.start_s, s.end_s) for s in segments] == [e[:2] for e in expected]
    np.testing.assert_allclose([s[2:] for s in values(segments)], [e[2:] for e in expected], rtol=0, atol=tolerance)


# -- the real signatures ------------------------------------------------------------------------------


def test_every_step_is_predict_of_the_same_samples(engine, song):
    found = heard(Stream(engine), song, sizes=(1, 22_050, 333, 40_000))
    expected = as_predict(engine, song, STEP)
    assert len(found) == 1 + (len(song) - SIZE) // STEP > 15
    assert np.ptp([(s.valence, s.arousal) for s in found], axis=0).max() > 100 * FLOAT, (
        "one answer for all proves little"
    )
    assert_same(found, expected)


def test_a_file_in_predict_gives_the_same_timeline(engine, song, tune):
    predictor = Predictor(engine)
    timeline = predictor.predict(tune, hop_s=4 * STEP / RATE).timeline
    assert_same(heard(predictor.stream(every_s=4), song), values(timeline))
    assert timeline[-1].end_s == pytest.approx(len(song) / RATE), "one more window ends with the song"


def test_frames_of_the_network_are_those_of_the_window(engine, make_music, monkeypatch):
    """The edges, too, which an average over 1292 frames would forgive."""
    stages, seen = engine.stages(), []

    def network(mel):
        seen.append(mel.copy())
        return stages.network(mel)

    monkeypatch.setattr(engine, "_stages", dataclasses.replace(stages, network=network))
    signal = make_music(33.5)
    found = heard(Stream(engine), signal, sizes=(5000,))
    assert len(seen) == len(found) == 4
    for mel, segment in zip(seen, found, strict=True):
        start = round(segment.start_s * RATE)
        expected = log_mel(signal[start : start + SIZE])
        difference = np.abs(np.maximum(mel, mel.max() - 80) - expected)
        assert difference.max() < 5e-3
        assert difference[:, [0, 1, 2, 1289, 1290, 1291]].max() < 5e-3


@settings(deadline=None, max_examples=5)
@given(sizes=st.lists(st.integers(1, 90_000) | st.sampled_from([1, 511, 512, 22_016, 800_000]), min_size=1, max_size=5))
def test_blocks_do_not_matter(engine, song, sizes):
    assume(sum(sizes) > 500 * len(sizes))  # a million blocks of a sample say no more
    assert values(heard(Stream(engine, steps=3), song, sizes)) == values(heard(Stream(engine, steps=3), song, (4096,)))


def test_silence_gives_no_segment_and_is_forgotten(engine, make_music):
    signal = np.concatenate([make_music(31), np.zeros(40 * RATE, np.float32), make_music(31, seed=1)])
    found = heard(Stream(engine, steps=5), signal, sizes=(RATE,))
    expected = as_predict(engine, signal, 5 * STEP)
    assert len(expected) < len(list(windows([signal], hop_s=5 * STEP / RATE)))
    assert_same(found, expected)
    assert heard(Stream(engine, eager=True), np.zeros(40 * RATE, np.float32)) == []


def test_the_threshold_of_silence_is_the_cards(engine):
    quiet = np.zeros(SIZE, np.float32)
    quiet[1000] = -1.01 * engine.card.windows.silence_peak
    assert len(Stream(engine).push(quiet)) == 1
    assert Stream(engine).push(quiet * np.float32(0.98)) == []


def test_a_short_stream_is_repeated(engine, make_music):
    signal = make_music(7.3)
    stream = Stream(engine)
    assert stream.push(signal) == []
    assert_same(stream.finish(), [(0, len(signal) / RATE, *engine(np.resize(signal, SIZE))[:2])], 0)
    assert stream.finish() == [], "nothing was heard since"


def test_eager_answers_after_every_step(engine, make_music):
    signal = make_music(32)
    stream = Stream(engine, steps=7, eager=True)
    found = [s for block in pieces(signal, (3000,)) for s in stream.push(block)]
    step = 7 * STEP
    early = [(0, n / RATE, *engine(np.resize(signal[:n], SIZE))[:2]) for n in range(step, SIZE, step)]
    assert len(early) == 4
    assert_same(found, [*early, (0, 30, *engine(signal[:SIZE])[:2])])
    assert stream.heard_s == pytest.approx(32)
    # 2 s are in no answer yet.
    assert_same(stream.finish(), [((len(signal) - SIZE) / RATE, 32, *engine(signal[-SIZE:])[:2])], 0)
    stream = Stream(engine, eager=True)
    assert len(stream.push(signal[:STEP])) == 1
    assert stream.finish() == [], "it was answered"


def test_reset_begins_anew(engine, song):
    fresh = values(heard(Stream(engine, steps=10), song))
    stream = Stream(engine, steps=10)
    stream.push(song[:700_000])
    stream.reset()
    assert stream.heard_s == 0
    assert values(heard(stream, song)) == fresh
    assert values(heard(stream, song)) == fresh, "finish resets"


def test_full_scale_is_the_limit_as_in_files(engine, make_music, tmp_path):
    loud = 12 * make_music(30)
    assert np.abs(loud).max() > 1.5
    path = tmp_path / "loud.wav"
    soundfile.write(path, loud, RATE, subtype="FLOAT")
    assert_same(Stream(engine).push(loud), values(Predictor(engine).predict(path).timeline))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 100), np.float32), r"received float32 \(2, 100\); take the mean"),
        (np.zeros(100), r"received float64 \(100,\)"),
        (np.zeros(100, np.int16), r"received int16 \(100,\).*divide integers"),
        (np.float32(0.5), "received float32"),
        ([0.0, 0.1], "received list"),
        (None, "received NoneType"),
        (np.array([0, np.nan, 0], np.float32), "received NaN or inf in the block that begins at 1.00 s"),
        (np.array([0, -np.inf], np.float32), "received NaN or inf"),
        (np.array([0, 17, 0], np.float32), r"expected samples in \[-1, 1\], received 17 in"),
        (np.array([-30_000], np.float32), "received 3e.04"),
    ],
    ids=str,
)
def test_what_is_no_sound_is_refused_and_not_heard(engine, samples, message):
    stream = Stream(engine)
    stream.push(np.zeros(RATE, np.float32))
    with pytest.raises(AudioError, match=message) as caught:
        stream.push(samples)
    assert "\n" not in str(caught.value)
    assert stream.heard_s == 1
    assert stream.push(np.zeros(0, np.float32)) == []


def test_models_without_a_stream(stream_model, tmp_path):
    content = stream_model.read_bytes()
    card = Card.from_json(read_metadata(content))

    def of(**changes):
        path = tmp_path / "other.tflite"
        path.write_bytes(embed(content, dataclasses.replace(card, **changes)))
        return Predictor(Engine(path, threads=1))

    for changes, message in (
        ({"stream": None}, "received one of an older export.*export the run again"),
        ({"stream": None, "front_end": {}}, "no front end of its own.*use predict"),
        ({"stream": StreamContract(network="nothing")}, r"expected a signature nothing\(log_mel .*received none"),
        ({"stream": StreamContract(frames=44)}, r"front_end\(samples \[1, 24064\]\).*received .*23552"),
        ({"front_end": card.front_end | {"n_fft": "many"}}, "expected a card with n_fft"),
        ({"front_end": {"n_mels": 128}}, "expected a card with n_fft"),
    ):
        predictor = of(**changes)  # as good as ever for files
        with pytest.raises(ModelError, match=message) as caught:
            Stream(predictor.engine)
        assert "other.tflite" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_without_a_stream_whole_windows_are_judged(stream_model, engine, make_music, tmp_path):
    """Older exports and networks that take sound have a live timeline, too; it costs a window a step."""
    content = stream_model.read_bytes()
    path = tmp_path / "older.tflite"
    path.write_bytes(embed(content, dataclasses.replace(Card.from_json(read_metadata(content)), stream=None)))
    stream = Predictor(Engine(path, threads=1)).stream(every_s=2)
    assert not stream.incremental
    assert stream.step_s == 2
    sound = make_music(36)
    found = [segment for block in np.array_split(sound, 50) for segment in stream.push(block)]
    assert [s.end_s for s in found] == [30, 32, 34, 36]
    rate, size = engine.card.audio.sample_rate, engine.card.audio.samples
    for segment in found:
        end = round(segment.end_s * rate)
        assert (segment.valence, segment.arousal) == engine(sound[end - size : end])[:2]


def test_prediction_does_not_prepare_the_stream(stream_model, monkeypatch):
    from ai_edge_litert.interpreter import Interpreter

    asked = []
    real = Interpreter.get_signature_runner
    monkeypatch.setattr(Interpreter, "get_signature_runner", lambda self, name: asked.append(name) or real(self, name))
    engine = Engine(stream_model, threads=1)
    assert asked == ["predict"]
    Stream(engine)
    Stream(engine)
    assert asked == ["predict", "front_end", "network"], "once for all streams"


def test_steps_of_the_predictor(engine):
    predictor = Predictor(engine)
    steps = {0.1: 1, 1: 1, 1.4: 1, 2: 2, 5: 5, 29.8: 30, 30: 30}
    for every_s, count in steps.items():
        assert predictor.stream(every_s=every_s).step_s == count * STEP / RATE
    for every_s in (0, -1, 30.1, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="every_s of more than 0 and at most 30 s"):
            predictor.stream(every_s=every_s)
    for steps in (0, 31, 1.0, True, "1"):
        with pytest.raises(ConfigError, match="expected steps from 1 to 30"):
            Stream(engine, steps=steps)


# -- any contract, in numpy ---------------------------------------------------------------------------


class Numbers:
    """An engine of any small contract: every frame and every sample of it moves the answer."""

    def __init__(self, size, n_fft, hop, frames):
        self.path = Path("numbers.tflite")
        self.card = Card(
            "numbers", "0", "CC0-1.0", "unknown", audio=AudioContract(sample_rate=100, samples=size)
        )  # fmt: skip
        self.spec = MelSpec(sample_rate=100, n_fft=n_fft, hop_length=hop, n_mels=3)
        self.frames = frames
        rng = np.random.default_rng(0)
        self.bands = rng.standard_normal((n_fft, 3))
        self.weights = rng.standard_normal((2, 3, self.spec.frames(size)))

    def stages(self):
        return Stages(self.spec, self.frames, self.front_end, self.network)

    def front_end(self, samples):
        cut = np.lib.stride_tricks.sliding_window_view(samples.astype(float), self.spec.n_fft)
        return np.sin(cut[:: self.spec.hop_length] @ self.bands).T.astype(np.float32)

    def network(self, mel):
        valence, arousal = np.tanh(0.1 * (self.weights * mel).sum(axis=(1, 2)))
        return float(valence), float(arousal), None

    def __call__(self, samples):
        return self.network(self.front_end(np.pad(samples, self.spec.n_fft // 2)))


@st.composite
def contracts(draw):
    hop = draw(st.integers(1, 6))
    half = draw(st.integers((hop + 1) // 2, 9))
    engine = Numbers(draw(st.integers(2 * half, 400)), 2 * half, hop, draw(st.integers(1, 40)))
    most = max(1, engine.card.audio.samples // engine.stages().step)
    try:
        return engine, Stream(engine, steps=draw(st.integers(1, most)), eager=draw(st.booleans()))
    except ModelError:
        assume(False)


@settings(deadline=None, max_examples=150)
@given(
    made=contracts(),
    total=st.integers(0, 1500),
    sizes=st.lists(st.integers(1, 600), min_size=1, max_size=6),
    silent=st.tuples(st.integers(0, 1500), st.integers(0, 1500)),
    before=st.integers(0, 900),
)
def test_any_contract_any_length_any_blocks(made, total, sizes, silent, before):
    engine, stream = made
    size, step = engine.card.audio.samples, round(stream.step_s * 100)
    signal = np.random.default_rng(total).uniform(-1, 1, total).astype(np.float32)
    signal[min(silent) : max(silent)] = 0
    stream.push(np.linspace(-1, 1, before, dtype=np.float32))
    stream.reset()  # another stream leaves nothing behind
    found = heard(stream, signal, sizes)
    expected = as_predict(engine, signal, step)
    if stream._eager:
        early = [
            (0, n / 100, *engine(np.resize(signal[:n], size))[:2])
            for n in range(step, min(size, total + 1), step)
            if signal[:n].any()
        ]
        found_early = [s for s in found if s.start_s == 0 and round(s.end_s * 100) in range(step, size, step)]
        assert_same(found_early, early, 1e-6)
        if step <= total < size:
            return  # what is left is judged or not, by how long ago the last answer was
        found = [s for s in found if s not in found_early]
    assert_same(found, expected, 1e-6)


def test_a_chunk_holds_both_ends_and_fits_a_window():
    with pytest.raises(ModelError, match=r"numbers.*stream.frames of 7 or more.*received 6"):
        Stream(Numbers(661, 16, 4, 6))
    Stream(Numbers(661, 16, 4, 7))
    Stream(Numbers(44, 16, 4, 8))
    with pytest.raises(ModelError, match="windows of 44 samples or more, received 8 and 43"):
        Stream(Numbers(43, 16, 4, 8))


def test_memory_stays_bounded():
    """Ten times the sound takes no more memory, in one block or in many."""
    engine = Numbers(200_000, 16, 4, 5000)
    peaks = []
    for seconds in (3000, 30_000):
        stream = Stream(engine, steps=10)
        sound = np.full(100 * seconds, 0.1, np.float32)
        tracemalloc.start()
        stream.push(sound)
        for block in np.split(sound, 10):
            stream.push(block)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
