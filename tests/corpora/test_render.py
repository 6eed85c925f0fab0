"""MIDI to audio with the real FluidSynth."""

import shutil

import numpy as np
import pytest
import soundfile

from sentio_tf.corpora import render
from sentio_tf.errors import DataError


def available() -> bool:
    try:
        render.find_soundfont()
    except DataError:
        return False
    return shutil.which("fluidsynth") is not None


needs_fluidsynth = pytest.mark.skipif(not available(), reason="fluidsynth or its soundfont is not installed")


@needs_fluidsynth
def test_renders_the_notes_and_trims_the_tail(tmp_path, make_midi):
    midi = tmp_path / "a.mid"
    make_midi(midi, notes=(69,), seconds=2)
    path = render.render(midi, tmp_path / "cache")
    audio, rate = soundfile.read(path)
    assert (rate, audio.shape[1]) == (44_100, 2)
    assert len(audio) / rate == pytest.approx(2.5, abs=0.01)
    spectrum = np.abs(np.fft.rfft(audio[:rate].mean(axis=1)))
    assert np.argmax(spectrum) == pytest.approx(440, abs=3)
    assert 0.01 < np.abs(audio).max() < 0.99


@needs_fluidsynth
def test_rendered_once_and_never_half(tmp_path, make_midi, monkeypatch):
    cache = tmp_path / "cache"
    midis = [tmp_path / f"{i}.mid" for i in range(3)]
    for i, midi in enumerate(midis):
        make_midi(midi, notes=(60 + i,), seconds=0.5)
    seen = []
    done, failed = render.render_all(midis, cache, progress=lambda d, n: seen.append((d, n)))
    assert not failed
    assert seen[-1] == (3, 3)
    stamps = {p: p.stat().st_mtime_ns for p in done.values()}
    monkeypatch.setattr(render.subprocess, "run", lambda *a, **k: pytest.fail("rendered again"))
    again, _ = render.render_all(midis, cache)
    assert again == done
    assert {p: p.stat().st_mtime_ns for p in again.values()} == stamps
    assert [p.suffix for p in cache.iterdir()] == [".flac"] * 3


@needs_fluidsynth
def test_one_broken_midi_does_not_lose_the_others(tmp_path, make_midi):
    good, text, empty = (tmp_path / n for n in ("good.mid", "text.mid", "empty.mid"))
    make_midi(good, seconds=0.5)
    text.write_text("no midi")
    make_midi(empty, notes=(60,), seconds=0.5)
    empty.write_bytes(empty.read_bytes()[:30])
    done, failed = render.render_all([good, text, empty], tmp_path / "cache")
    assert list(done) == [good]
    assert set(failed) == {text, empty}
    assert all(str(p) in reason and "\n" not in reason for p, reason in failed.items())


@needs_fluidsynth
def test_other_settings_render_anew(tmp_path, make_midi):
    midi = tmp_path / "a.mid"
    make_midi(midi, seconds=0.5)
    soft = render.render(midi, tmp_path / "c", render.RenderSpec(gain=0.2))
    loud = render.render(midi, tmp_path / "c", render.RenderSpec(gain=0.8))
    assert soft != loud
    ratio = np.abs(soundfile.read(loud)[0]).max() / np.abs(soundfile.read(soft)[0]).max()
    assert ratio == pytest.approx(4, rel=0.1)


def test_missing_soundfont(monkeypatch, tmp_path):
    monkeypatch.setenv("SENTIO_SOUNDFONT", str(tmp_path / "none.sf2"))
    with pytest.raises(DataError, match=r"none\.sf2.*install fluid-soundfont-gm"):
        render.find_soundfont()


def test_missing_program(monkeypatch, tmp_path, make_midi):
    font = tmp_path / "a.sf2"
    font.touch()
    make_midi(tmp_path / "a.mid")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="needs the program fluidsynth"):
        render.render(tmp_path / "a.mid", tmp_path, soundfont=font)
