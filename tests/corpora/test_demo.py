"""The synthetic corpus: it reads back, it is the same every time, and its cues can be measured in its sound."""

from __future__ import annotations

import csv
import errno
import itertools
import os
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sentio_tf import corpora
from sentio_tf.corpora import demo
from sentio_tf.corpora.demo_cues import CUES, LEAST, Cues, draw_cues, formula
from sentio_tf.corpora.demo_music import VERSIONS, Theme, compose_song, compose_theme, perform, score, synthesize
from sentio_tf.corpora.demo_sound import PATCHES, RATE, tone
from sentio_tf.errors import ConfigError, DataError

THEMES = [compose_theme(0, number) for number in range(12)]
CALM = Cues(tempo_bpm=90, loudness_db=-26)  # no theme has drums with these


def play(theme: Theme, cues: Cues, seconds: float = 6.0) -> np.ndarray:
    """Without the tails of the room, which no cue is about."""
    return perform(replace(theme, room_share=0.02), cues, seconds, np.random.default_rng(0))


def rms_db(x: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(x, dtype=np.float64))))


def centroid(x: np.ndarray) -> float:
    """Hz, of the power spectrum of the whole."""
    power = np.abs(np.fft.rfft(x)) ** 2
    return float(np.sum(power * np.fft.rfftfreq(len(x), 1 / RATE)) / np.sum(power))


def chroma(x: np.ndarray) -> np.ndarray:
    """Power of the 12 pitch classes, C first, from the nearest semitone of every bin of 55-2000 Hz, `(12,)`."""
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    frequency = np.fft.rfftfreq(len(x), 1 / RATE)
    part = (frequency > 55) & (frequency < 2000)
    classes = np.round(69 + 12 * np.log2(frequency[part] / 440)).astype(int) % 12
    return np.bincount(classes, weights=power[part], minlength=12)


def table(root: Path) -> list[dict[str, str]]:
    with (root / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "mine"
    demo.compose(root, songs=16, seconds=3, seed=0)
    return root


# -- Corpus ---------------------------------------------------------------------------------------


def test_reads_back(corpus):
    tracks = corpora.read(f"folder:{corpus}")
    assert len(tracks) == 16
    assert all(t.synthetic and t.corpus == "synthetic-mine" for t in tracks)
    assert {t.side for t in tracks} == {(1, 1), (-1, 1), (-1, -1), (1, -1)}
    assert min(Counter(t.group for t in tracks).values()) >= 2
    assert len({t.group for t in tracks}) == 4
    for track in tracks:
        info = soundfile.info(track.path)
        assert (info.frames, info.samplerate, info.channels) == (3 * RATE, RATE, 1)


def test_every_text_says_synthetic(corpus):
    about = yaml.safe_load((corpus / "corpus.yaml").read_text())
    assert about["synthetic"] is True
    assert about["scale"] == [-1, 1]
    assert about["licence"] == "CC0-1.0"
    readme = (corpus / "README.md").read_text()
    for said in ("synthetic", "formula", "No result may be reported", "rated by nobody"):
        assert said in readme
    assert sorted(p.name for p in corpus.iterdir()) == ["README.md", "audio", "corpus.yaml", "labels.csv"]


def test_labels_are_the_documented_formula(corpus):
    for row in table(corpus):
        for axis in ("valence", "arousal"):
            expected = float(row[f"{axis}_effect"])
            for name, cue in CUES.items():
                value = {"minor": -1.0, "major": 1.0}[row[name]] if name == "mode" else float(row[name])
                assert cue.low <= value <= cue.high
                expected += getattr(cue, axis) * (value - (cue.low + cue.high) / 2) / ((cue.high - cue.low) / 2)
            assert abs(expected) < 1
            assert float(row[axis]) == pytest.approx(expected, abs=6e-4)


def test_directions_are_those_of_the_literature():
    signs = {name: (np.sign(cue.valence), np.sign(cue.arousal)) for name, cue in CUES.items()}
    assert signs == {
        "tempo_bpm": (1, 1),
        "mode": (1, 0),
        "register": (1, 0),
        "loudness_db": (-1, 1),
        "articulation": (0, -1),  # the sounding share: staccato is small
        "timbre": (-1, 1),
    }
    # Eerola, Friberg & Bresin (2013) rank mode, tempo and register first.
    assert [*sorted(CUES, key=lambda name: -abs(CUES[name].valence))][:3] == ["mode", "tempo_bpm", "register"]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**40), number=st.integers(0, 3999))
def test_any_song_lies_in_its_quadrant(seed, number):
    song = compose_song(seed, number)
    assert (song.valence, song.arousal) == formula(song.cues, song.effect)
    for value in (song.valence, song.arousal):
        assert LEAST <= abs(value) < 1
    first = number // VERSIONS * VERSIONS
    versions = [compose_song(seed, i) for i in range(first, first + VERSIONS)]
    assert len({(np.sign(s.valence), np.sign(s.arousal)) for s in versions}) == 4
    assert len({s.group for s in versions}) == len({s.theme for s in versions}) == 1
    assert len({s.cues for s in versions}) == 4


@settings(deadline=None, max_examples=60)
@given(cues=st.builds(lambda seed: draw_cues(np.random.default_rng(seed)), st.integers(0, 10**6)))
def test_formula_follows_each_cue_alone(cues):
    for name, cue in CUES.items():
        ends = ("minor", "major") if name == "mode" else (cue.low, cue.high)
        (v0, a0), (v1, a1) = (formula(replace(cues, **{name: end})) for end in ends)
        if abs(v0) < 1 and abs(v1) < 1:
            assert v1 - v0 == pytest.approx(2 * cue.valence, abs=2e-3)
        if abs(a0) < 1 and abs(a1) < 1:
            assert a1 - a0 == pytest.approx(2 * cue.arousal, abs=2e-3)


def test_no_cue_decides_a_quadrant():
    songs = [compose_song(0, i) for i in range(400)]
    agree = np.mean([(s.cues.mode == "major") == (s.valence > 0) for s in songs])
    assert 0.6 < agree < 0.97
    for name in ("tempo_bpm", "loudness_db"):
        middle = (CUES[name].low + CUES[name].high) / 2
        assert 0.6 < np.mean([(getattr(s.cues, name) > middle) == (s.arousal > 0) for s in songs]) < 0.97
    labels = np.array([(s.valence, s.arousal) for s in songs])
    assert abs(np.corrcoef(labels.T)[0, 1]) < 0.2
    assert (labels.std(axis=0) > 0.3).all()


# -- Determinism ----------------------------------------------------------------------------------


def test_same_seed_same_bytes(corpus, tmp_path):
    again = demo.compose(tmp_path / "again", songs=16, seconds=3, seed=0)
    assert [p.name for p in again] == [Path(row["path"]).name for row in table(corpus)]
    for file in again:
        assert file.read_bytes() == (corpus / "audio" / file.name).read_bytes()
    for name in ("labels.csv", "corpus.yaml", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (corpus / name).read_bytes()


def test_a_song_depends_on_seed_and_number_only(corpus, tmp_path):
    few = demo.compose(tmp_path / "few", songs=9, seconds=3, seed=0)
    assert len(few) == 9
    for file in few:
        assert file.read_bytes() == (corpus / "audio" / file.name).read_bytes()
    assert table(tmp_path / "few") == table(corpus)[:9]
    late = compose_song(0, 15)
    x, _ = soundfile.read(corpus / "audio" / f"{late.track_id}.flac", dtype="float32")
    np.testing.assert_allclose(synthesize(late, 3), x, atol=2**-15)


def test_another_seed_is_other_music(corpus):
    for number in (0, 5, 9):
        one, other = (compose_song(seed, number) for seed in (0, 1))
        assert one.cues != other.cues
        assert one.theme.melody != other.theme.melody
        assert not np.array_equal(synthesize(one, 1), synthesize(other, 1))


# -- Cues in the sound ----------------------------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES[:6], ids=lambda t: str(t.key[1]))
def test_loudness_is_real(theme):
    soft, loud = (rms_db(play(theme, replace(CALM, loudness_db=level))) for level in (-32, -24))
    assert loud - soft == pytest.approx(8, abs=0.3)


def test_loudness_is_about_nominal():
    songs = [compose_song(0, i) for i in range(24)]
    measured = np.array([rms_db(synthesize(song, 8)) for song in songs])
    nominal = np.array([song.cues.loudness_db for song in songs])
    assert abs(np.mean(measured - nominal)) < 1
    assert np.abs(measured - nominal).max() < 6
    assert np.corrcoef(measured, nominal)[0, 1] > 0.9


def test_onsets_come_faster_with_tempo():
    rates = []
    for bpm in (65, 105, 155):
        cues = replace(CALM, tempo_bpm=bpm, loudness_db=-32, articulation=0.5)
        found = [len(librosa.onset.onset_detect(y=play(t, cues, 8), sr=RATE)) / 8 for t in THEMES[:6]]
        rates.append(found)
    medians = np.median(rates, axis=1)
    assert (np.diff(medians) > 0).all()
    assert medians[-1] / medians[0] > 1.6
    assert (np.array(rates[-1]) > np.array(rates[0])).all()


@pytest.mark.parametrize("theme", THEMES[:6], ids=lambda t: str(t.key[1]))
def test_register_is_a_transposition(theme):
    low, home, high = (play(theme, replace(CALM, register=r)) for r in (-8, 0, 8))
    assert centroid(low) < centroid(home) < centroid(high)
    for semitones, x in ((-8, low), (8, high)):
        likeness = [np.corrcoef(np.roll(chroma(home), k), chroma(x))[0, 1] for k in range(12)]
        assert np.argmax(likeness) == semitones % 12


@pytest.mark.parametrize("theme", THEMES[:6], ids=lambda t: str(t.key[1]))
def test_timbre_is_brighter_not_louder(theme):
    dull, middle, bright = (play(theme, replace(CALM, timbre=slope)) for slope in (-6, -1, 4))
    assert centroid(dull) < centroid(middle) < centroid(bright)
    assert abs(rms_db(bright) - rms_db(dull)) < 3


@pytest.mark.parametrize("theme", THEMES[:6], ids=lambda t: str(t.key[1]))
def test_staccato_leaves_gaps(theme):
    def quiet(articulation: float) -> float:
        """Share of frames 15 dB or more below the loudest tenth."""
        envelope = librosa.feature.rms(
            y=play(theme, replace(CALM, articulation=articulation)), frame_length=512, hop_length=256
        )[0]
        return float(np.mean(envelope < np.quantile(envelope, 0.9) * 10 ** (-15 / 20)))

    assert quiet(0.25) > quiet(0.6) - 0.01
    assert quiet(0.25) > quiet(1.05) + 0.1


@pytest.mark.parametrize("theme", THEMES, ids=lambda t: str(t.key[1]))
def test_mode_is_the_third_above_the_tonic(theme):
    tonic = 62 + theme.tonic
    major_over_minor_db = []
    for mode in ("minor", "major"):
        heard = chroma(play(theme, replace(CALM, mode=mode, timbre=-6, tempo_bpm=168, loudness_db=-32), 10))
        major_over_minor_db.append(10 * np.log10(heard[(tonic + 4) % 12] / heard[(tonic + 3) % 12]))
    minor, major = major_over_minor_db
    assert minor < -1 < 1 < major
    assert major - minor > 10


# -- Composition ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(0, 999))
def test_a_theme_is_eight_whole_bars(seed, number):
    theme = compose_theme(seed, number)
    assert len(theme.melody) == len(theme.chords) == 8
    for bar, chord in zip(theme.melody, theme.chords, strict=True):
        assert [at for at, _, _ in bar] == [0, *itertools.accumulate(length for _, length, _ in bar)][:-1]
        assert sum(length for _, length, _ in bar) == theme.beats
        assert (bar[0][2] - chord) % 7 in (0, 2, 4), "a bar begins on its chord"
        assert all(-1 <= degree <= 10 for _, _, degree in bar)
    assert (theme.chords[0], theme.chords[-1]) == (0, 0)


def test_a_score_stays_in_its_key_and_compass():
    allowed = {"major": {0, 2, 4, 5, 7, 9, 11}, "minor": {0, 2, 3, 5, 7, 8, 10, 11}}
    for theme, mode, register in itertools.product(THEMES, allowed, (-10, 0, 10)):
        cues = replace(CALM, mode=mode, register=register)
        for note in score(theme, cues, 64):
            assert 28 <= note.pitch <= 96
            if note.part != "low":  # the fifth of a diminished chord is not in the scale
                assert (note.pitch - 62 - theme.tonic - register) % 12 in allowed[mode]


def test_drums_come_with_energy():
    theme = next(t for t in THEMES if t.drums)
    for energetic, cues in ((False, CALM), (True, Cues(tempo_bpm=150, loudness_db=-16))):
        assert any(note.part == "kick" for note in score(theme, cues, 8)) == energetic
    assert not all(t.drums for t in THEMES)


@pytest.mark.parametrize("seconds", [1, 2.5])
@pytest.mark.parametrize("seed", [0, 7])
def test_sound_is_sound(seed, seconds):
    for number in range(24):
        x = synthesize(compose_song(seed, number), seconds)
        assert x.dtype == np.float32
        assert len(x) == int(seconds * RATE)
        assert np.isfinite(x).all()
        assert np.abs(x).max() < 0.99, "clipped"
        assert abs(x.mean(dtype=np.float64)) < 1e-6, "DC"
        assert rms_db(x) > -45, "silent"


@pytest.mark.parametrize("extreme", [min, max])
def test_the_loudest_and_softest_cues_neither_clip_nor_vanish(extreme):
    for theme in THEMES:
        ends = {name: extreme(c.low, c.high) for name, c in CUES.items() if name != "mode"}
        cues = Cues(**ends | {"register": int(ends["register"])})
        x = play(theme, cues, 4)
        assert np.abs(x).max() < 0.99
        assert all(rms_db(part) > -50 for part in np.array_split(x, 4))


# -- What can be learnt ---------------------------------------------------------------------------


def test_a_ridge_on_mel_statistics_learns_across_themes():
    """Arousal well; valence less, because the mode, its largest cue, is hardly in the statistics."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = []
    for number in range(64):
        song = compose_song(0, number)
        power = librosa.feature.melspectrogram(y=synthesize(song, 5), sr=RATE, n_mels=32, fmin=20, fmax=8000)
        level = librosa.power_to_db(power)
        step = np.abs(np.diff(level, axis=1)).mean(axis=1)
        rows.append([*level.mean(axis=1), *level.std(axis=1), *step, song.cues.mode == "major"])
    songs = [compose_song(0, number) for number in range(64)]
    features, groups = np.array(rows, float), [s.group for s in songs]
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 5, 13)))

    def r(columns: slice, labels: list[float]) -> float:
        guess = cross_val_predict(model, features[:, columns], labels, groups=groups, cv=GroupKFold(4))
        return float(np.corrcoef(guess, labels)[0, 1])

    sound, with_mode = slice(None, -1), slice(None)
    arousal, valence = ([getattr(s, axis) for s in songs] for axis in ("arousal", "valence"))
    assert r(sound, arousal) > 0.6
    assert 0.1 < r(sound, valence) < r(with_mode, valence) - 0.1
    assert r(with_mode, valence) > 0.6
    # Shuffled labels are not predicted: the split leaks nothing.
    assert abs(r(sound, list(np.random.default_rng(0).permutation(arousal)))) < 0.4


# -- Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["flac", "mp3", "wav", "ogg"])
def test_every_form_decodes_to_the_same_music(form, tmp_path):
    files = demo.compose(tmp_path / "d", songs=8, seconds=1, form=form)
    assert {p.suffix for p in files} == {f".{form}"}
    assert len(corpora.read(f"folder:{tmp_path / 'd'}")) == 8
    for number, file in enumerate(files):
        x, rate = soundfile.read(file)
        made = synthesize(compose_song(0, number), 1)
        assert rate == RATE
        assert abs(len(x) - len(made)) < 0.1 * rate
        assert abs(rms_db(x) - rms_db(made)) < 1


def test_interrupted_and_continued(corpus, tmp_path):
    root = tmp_path / "d"

    def stop(step, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo.compose(root, songs=16, seconds=3, progress=stop)
    assert not (root / "labels.csv").exists()
    with pytest.raises(DataError, match="no such label file"):
        corpora.read(f"folder:{root}")
    done = {p: p.stat().st_mtime_ns for p in (root / "audio").iterdir()}
    assert len(done) == 3
    seen = []
    files = demo.compose(root, songs=16, seconds=3, progress=lambda *step: seen.append(step))
    assert seen == [("compose", i, 16) for i in range(1, 17)]
    assert {p: p.stat().st_mtime_ns for p in done} == done
    assert all(p.read_bytes() == (corpus / "audio" / p.name).read_bytes() for p in files)


def test_an_older_demo_is_replaced(tmp_path):
    root = tmp_path / "d"
    old = demo.compose(root, songs=12, seconds=1, form="wav")
    (root / "audio" / "mine.wav").write_bytes(b"mine")
    demo.compose(root, songs=8, seconds=1, form="wav")
    assert [p.exists() for p in old] == [True] * 8 + [False] * 4
    before = old[0].read_bytes()
    demo.compose(root, songs=8, seconds=1, form="wav", seed=3)
    assert old[0].read_bytes() != before
    new = demo.compose(root, songs=8, seconds=1, form="flac", seed=3)
    assert not any(p.exists() for p in old)
    assert {p.name for p in (root / "audio").iterdir()} == {p.name for p in new} | {"mine.wav"}
    assert len(corpora.read(f"folder:{root}")) == 8


def users_corpus(root: Path) -> None:
    root.mkdir()
    (root / "labels.csv").write_text("path,valence,arousal\na.wav,0,0\n")


def users_labels_in_our_folder(root: Path) -> None:
    demo.compose(root, songs=8, seconds=1)
    users = (root / "labels.csv").read_text().replace("track_id,", "id,")
    (root / "labels.csv").write_text(users)


def users_parquet_in_our_folder(root: Path) -> None:
    demo.compose(root, songs=8, seconds=1)
    (root / "labels.parquet").touch()


def users_files(root: Path) -> None:
    root.mkdir()
    (root / "README.md").write_text("mine")


def users_synthetic_corpus(root: Path) -> None:
    users_corpus(root)
    (root / "corpus.yaml").write_text("name: other\nsynthetic: true\n")


def broken_yaml(root: Path) -> None:
    users_corpus(root)
    (root / "corpus.yaml").write_text("{")


def a_file(root: Path) -> None:
    root.write_text("mine")


@pytest.mark.parametrize(
    "make",
    [
        users_corpus,
        users_labels_in_our_folder,
        users_parquet_in_our_folder,
        users_files,
        users_synthetic_corpus,
        broken_yaml,
        a_file,
    ],
)
def test_anything_else_is_left_alone(make, tmp_path):
    root = tmp_path / "d"
    make(root)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match="name another folder") as error:
        demo.compose(root, songs=8, seconds=1, seed=5)
    assert "\n" not in str(error.value)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_no_space_is_one_line(tmp_path, monkeypatch):
    written = []

    def full(path, data):
        written.append(path)
        if path.suffixes[-2:] == [".flac", ".part"] and len(written) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        with path.open("wb") as file:
            return file.write(data)

    monkeypatch.setattr(Path, "write_bytes", full)
    root = tmp_path / "d"
    with pytest.raises(DataError, match=r"No space left on device; free space") as error:
        demo.compose(root, songs=8, seconds=1)
    assert "\n" not in str(error.value)
    assert not list(root.rglob("*.part"))
    assert not (root / "labels.csv").exists()
    monkeypatch.undo()
    assert len(demo.compose(root, songs=8, seconds=1)) == 8
    assert len(corpora.read(f"folder:{root}")) == 8


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file.*expected a place to write"):
        demo.compose(tmp_path / "file" / "d", songs=8, seconds=1)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"songs": 7}, "songs in 8..4000, received 7"),
        ({"songs": 4001}, "songs in 8..4000"),
        ({"songs": 8.5}, "songs in 8..4000"),
        ({"seconds": 0.99}, "seconds in 1..600, received 0.99"),
        ({"seconds": float("nan")}, "seconds in 1..600, received nan"),
        ({"seconds": float("inf")}, "seconds in 1..600"),
        ({"seed": -1}, "seed of 0 or more, received -1"),
        ({"form": "aiff"}, "form one of flac, mp3, wav, ogg, received 'aiff'"),
    ],
)
def test_settings_out_of_range(bad, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        demo.compose(tmp_path / "d", **bad)
    assert not (tmp_path / "d").exists()


def test_tone_has_its_frequency_and_no_alias():
    x = tone(81, 1.0, partials=[(1, 1.0), (2, 0.5), (20, 1.0)], decay=0.0, attack=0.01)
    spectrum = np.abs(np.fft.rfft(x * np.hanning(len(x)))) / len(x) * 4
    assert spectrum[880] == pytest.approx(1, abs=0.05)
    assert spectrum[1760] == pytest.approx(0.5, abs=0.03)
    spectrum[[*range(860, 900), *range(1740, 1780)]] = 0
    assert spectrum.max() < 0.01  # the 20th partial, at 17.6 kHz, would fold down


def test_tilt_keeps_the_power():
    for patch in PATCHES.values():
        for slope in (-6, 0, 4):
            tilted = patch.tilted(slope)
            assert sum(a**2 for _, a in tilted) / 2 == pytest.approx(1)
            ratios = dict(tilted)
            plain = dict(patch.tilted(0))
            (low, *_, high) = sorted(ratios)
            change = 20 * np.log10(ratios[high] / plain[high] / (ratios[low] / plain[low]))
            assert change == pytest.approx(slope * np.log2(high / low), abs=1e-6)


def test_cues_default_to_the_middle():
    for name, value in asdict(Cues()).items():
        if name != "mode":
            assert value == pytest.approx((CUES[name].low + CUES[name].high) / 2)
