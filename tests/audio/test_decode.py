"""Real files of every format, and everything that can be wrong with one."""

import os
import shutil
import wave

import av
import numpy as np
import pytest
import soundfile
import soxr

from sentio_tf.audio import decode
from sentio_tf.errors import AudioError

RATE = 22_050


def write_av(path, samples, rate, codec, container=None):
    """Encode mono samples with FFmpeg."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.rate = rate
        graph = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate)
        fifo = av.AudioFifo()
        for part in graph.resample(frame):
            fifo.write(part)
        size = stream.codec_context.frame_size or 1024
        while part := fifo.read(size, partial=True):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))


@pytest.fixture(scope="module")
def tone():
    t = np.arange(48_000 * 6) / 48_000
    return (0.4 * np.sin(2 * np.pi * 440 * t) * np.minimum(1, t)).astype(np.float32)


FORMATS = {
    "wav": lambda p, x: soundfile.write(p, x, 48_000, format="WAV"),
    "flac": lambda p, x: soundfile.write(p, x, 48_000, format="FLAC"),
    "mp3": lambda p, x: soundfile.write(p, x, 48_000, format="MP3"),
    "ogg": lambda p, x: soundfile.write(p, x, 48_000, format="OGG", subtype="VORBIS"),
    "opus": lambda p, x: soundfile.write(p, x, 48_000, format="OGG", subtype="OPUS"),
    "m4a": lambda p, x: write_av(p, x, 48_000, "aac", "ipod"),
    "aac": lambda p, x: write_av(p, x, 48_000, "aac", "adts"),
    "webm": lambda p, x: write_av(p, x, 48_000, "libopus", "webm"),
}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_by_content(tmp_path, tone, form):
    """The extension lies: content decides.  The sound is the one written, in place and level."""
    path = tmp_path / "song.bin"
    FORMATS[form](path, tone)
    y = decode.load(path)
    assert y.dtype == np.float32
    assert len(y) / RATE == pytest.approx(6, abs=0.1)
    middle = y[2 * RATE : 5 * RATE]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(440, abs=1)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.4 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "m4a", "webm"])
def test_only_the_seconds_asked_for(tmp_path, form, rng):
    signal = np.convolve(0.1 * rng.standard_normal(20 * 48_000), np.ones(8) / 8, "same").astype(np.float32)
    path = tmp_path / "song.bin"
    FORMATS[form](path, signal)
    whole = decode.load(path)
    part = decode.load(path, offset_s=8, duration_s=4)
    assert len(part) == 4 * RATE
    expected = whole[8 * RATE : 12 * RATE]
    lag = np.argmax(np.correlate(whole[7 * RATE : 13 * RATE], part[RATE : RATE + 8000], "valid")) - 2 * RATE
    assert abs(lag) <= RATE * 0.06, "the part begins where it was asked to"
    if form in ("wav", "flac"):
        np.testing.assert_allclose(part[200:-200], expected[200:-200], atol=2e-3)


def test_resampling_is_soxr_hq_however_the_file_is_cut(tmp_path, make_music):
    signal = make_music(12, rate=44_100)
    path = tmp_path / "a.wav"
    soundfile.write(path, signal, 44_100, subtype="FLOAT")
    np.testing.assert_allclose(decode.load(path), soxr.resample(signal, 44_100, RATE, "HQ"), atol=1e-5)


def test_an_mp3_is_decoded_in_one_go_however_it_is_cut(tune):
    """soundfile seeks behind every block, and an MP3's decoder then misses what the frames before have kept for it."""
    whole, rate = soundfile.read(tune, dtype="float32", always_2d=True)
    mono = whole.mean(axis=1)
    found = np.concatenate(list(decode.blocks(tune, sample_rate=rate)))
    np.testing.assert_array_equal(found, mono)
    for offset in (0.2, 7.3, 41.0):
        part = np.concatenate(list(decode.blocks(tune, sample_rate=rate, offset_s=offset, duration_s=6)))
        np.testing.assert_allclose(part, mono[round(offset * rate) :][: len(part)], atol=1e-6)
        assert len(part) == min(6 * rate, len(mono) - round(offset * rate))


def test_mono_is_the_mean_of_the_channels(tmp_path, make_music):
    signal = make_music(2)
    six = np.stack([signal * k for k in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)], axis=1)
    path = tmp_path / "surround.wav"
    soundfile.write(path, six, 96_000, subtype="FLOAT")
    mono = tmp_path / "mono.wav"
    soundfile.write(mono, six.mean(axis=1), 96_000, subtype="FLOAT")
    np.testing.assert_allclose(decode.load(path), decode.load(mono), atol=1e-6)


def test_header_is_handed_over(tmp_path, make_music):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([make_music(3)] * 2, axis=1), 8000)
    seen = []
    list(decode.blocks(path, on_format=seen.append))
    assert seen == [decode.Format(8000, 2, pytest.approx(3 * RATE / 8000, abs=1e-3))]


def test_strange_names(tmp_path, make_music):
    for name in ("two words.wav", 'it\'s "quoted".wav', "пісня 歌.wav", "-dash.wav", "percent%20.wav"):
        path = tmp_path / name
        soundfile.write(path, make_music(1), RATE)
        assert len(decode.load(path)) == RATE


def test_overshoot_is_clipped(tmp_path):
    path = tmp_path / "hot.wav"
    soundfile.write(path, np.full(RATE, 1.7, np.float32), RATE, subtype="FLOAT")
    assert decode.load(path).max() == 1


def broken(kind, tmp_path, music):
    """A path with the named defect."""
    path = tmp_path / f"{kind}.mp3"
    if kind == "missing":
        return path
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is not music.\n" * 500)
    elif kind == "binary":
        path.write_bytes(np.random.default_rng(0).bytes(40_000))
    elif kind == "picture":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(3000))
    elif kind == "no samples":
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
    elif kind == "cut flac":
        soundfile.write(path, music, RATE, format="FLAC")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "cut mp3":
        soundfile.write(path, music, RATE, format="MP3", bitrate_mode="VARIABLE")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "cut wav":
        soundfile.write(path, music, RATE, format="WAV")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "cut m4a":
        write_av(path, music, 44_100, "aac", "ipod")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind in ("nan", "inf"):
        bad = music.copy()
        bad[len(bad) // 2] = float(kind)
        soundfile.write(path, bad, RATE, format="WAV", subtype="FLOAT")
    elif kind == "integers as floats":
        soundfile.write(path, music * 32_767, RATE, format="WAV", subtype="FLOAT")
    elif kind == "header only":
        soundfile.write(path, music, RATE, format="FLAC")
        path.write_bytes(path.read_bytes()[:100])
    return path


BROKEN = {
    "missing": "no such file",
    "folder": "received a folder",
    "empty": "empty",
    "text": "no decoder recognises",
    "binary": "no decoder recognises|damaged",
    "picture": "no decoder recognises|without one|damaged",
    "no samples": "without a single sample",
    "cut flac": "damaged",
    "cut mp3": "damaged or cut short",
    "cut wav": "damaged or cut short",
    "cut m4a": "no decoder recognises|damaged",
    "nan": "NaN or inf near",
    "inf": "NaN or inf near",
    "integers as floats": "received 1|received 2|received 3|received 4|received 5|received 6",
    "header only": "damaged|no decoder",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_bad_files_give_one_line_that_names_the_file(tmp_path, make_music, kind):
    path = broken(kind, tmp_path, make_music(30))
    with pytest.raises(AudioError, match=BROKEN[kind]) as caught:
        decode.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert caught.value.__cause__ is None


def test_offset_beyond_the_end(tmp_path, make_music):
    path = tmp_path / "a.wav"
    soundfile.write(path, make_music(2), RATE)
    with pytest.raises(AudioError, match="from 5 s on"):
        decode.load(path, offset_s=5)


@pytest.mark.parametrize(("offset", "duration"), [(-1, None), (0, 0), (0, -2)])
def test_impossible_part(tmp_path, make_music, offset, duration):
    path = tmp_path / "a.wav"
    soundfile.write(path, make_music(1), RATE)
    with pytest.raises(AudioError, match="offset"):
        decode.load(path, offset_s=offset, duration_s=duration)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path, tune):
    path = tmp_path / "a.mp3"
    shutil.copy(tune, path)
    path.chmod(0)
    with pytest.raises(AudioError, match="cannot be read"):
        decode.load(path)


def test_decoding_leaves_no_descriptor_open(tmp_path, tune, make_music):
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        pytest.skip("no /proc")
    m4a = tmp_path / "a.m4a"
    write_av(m4a, make_music(3), 22_050, "aac", "ipod")
    bad = broken("cut mp3", tmp_path, make_music(30))

    def several():
        for path in (tune, m4a, bad):
            stream = decode.blocks(path)
            try:
                next(stream)
                stream.close()  # abandoned half way
                decode.load(path)
            except AudioError:
                pass

    several()
    before = len(os.listdir(folder))
    for _ in range(5):
        several()
    assert len(os.listdir(folder)) == before


@pytest.mark.shared
def test_real_mp3s_have_their_45_seconds(shared):
    for path in sorted((shared / "emomusic").rglob("*.mp3")):
        y = decode.load(path)
        assert len(y) / RATE == pytest.approx(45, abs=0.2)
        assert 0.01 < np.abs(y).mean() < 0.5
