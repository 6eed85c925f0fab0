"""Files that libsndfile or FFmpeg would read wrongly without a word; each was met in a review."""

import os

import av
import numpy as np
import pytest
import soundfile

from sentio_tf.audio import decode
from sentio_tf.errors import AudioError

from .test_decode import RATE, broken, write_av

CUT = {
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "aiff": {"format": "AIFF"},
    "caf": {"format": "CAF"},
    "w64": {"format": "W64"},
    "rf64": {"format": "RF64"},
    "au": {"format": "AU"},
}


@pytest.mark.parametrize("form", CUT)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_cut_files(tmp_path, make_music, form, share):
    path = tmp_path / "song"
    soundfile.write(path, make_music(40, rate=48_000), 48_000, **CUT[form])
    assert len(decode.load(path)) / RATE == pytest.approx(40, abs=0.05)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(AudioError, match=r"song: the file is damaged"):
        decode.load(path)


@pytest.mark.parametrize("how", [{"format": "MP3"}, {"format": "OGG", "subtype": "VORBIS"}], ids=["mp3", "ogg"])
def test_joined_files_are_heard_to_their_end(tmp_path, make_music, how):
    path = tmp_path / "joined"
    parts = []
    for half in np.split(make_music(40), 2):
        soundfile.write(tmp_path / "part", half, RATE, **how)
        parts.append((tmp_path / "part").read_bytes())
    path.write_bytes(b"".join(parts))
    assert len(decode.load(path)) / RATE == pytest.approx(40, abs=0.2)


def first_frame_size(content):
    """Bytes of the first MPEG-1 audio frame (layer III, 44.1 kHz)."""
    table = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
    return 144 * table[content[2] >> 4] * 1000 // 44_100 + (content[2] >> 1 & 1)


@pytest.mark.parametrize("quiet_first", [True, False])
def test_vbr_mp3_without_its_index(tmp_path, rng, quiet_first):
    """libsndfile guesses the length from the first frame: it stops there, or promises far too much."""
    halves = [1e-3 * rng.standard_normal(20 * 44_100), 0.3 * rng.standard_normal(20 * 44_100)]
    path = tmp_path / "a.mp3"
    samples = np.concatenate(halves if quiet_first else halves[::-1])
    soundfile.write(path, samples, 44_100, format="MP3", bitrate_mode="VARIABLE")
    content = path.read_bytes()
    size = first_frame_size(content)
    assert b"Xing" in content[:size] or b"Info" in content[:size]
    path.write_bytes(content[size:])
    assert len(decode.load(path)) / RATE == pytest.approx(40, abs=0.2)


def test_flac_written_to_a_pipe_has_no_length(tmp_path, make_music):
    path = tmp_path / "a.flac"
    soundfile.write(path, make_music(35), RATE, format="FLAC")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # total samples in STREAMINFO: 36 bits from here
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert len(decode.load(path)) / RATE == pytest.approx(35, abs=0.05)


@pytest.mark.parametrize("length", [0, 0x7FFFF024, 0xFFFFFFFF])
def test_wav_written_to_a_pipe_has_no_length(tmp_path, make_music, length):
    path = tmp_path / "a.wav"
    soundfile.write(path, make_music(4), RATE)
    content = bytearray(path.read_bytes())
    content[4:8] = length.to_bytes(4, "little")
    path.write_bytes(content)
    assert len(decode.load(path)) == 4 * RATE


def test_unknown_codec_is_one_line(tmp_path, make_music):
    path = tmp_path / "a.wav"
    soundfile.write(path, make_music(2), RATE)
    content = bytearray(path.read_bytes())
    content[20:22] = (0x1234).to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"a\.wav: expected"):
        decode.load(path)


def test_rate_that_changes_within_the_file_is_named(tmp_path, make_music):
    parts = []
    for rate in (44_100, 32_000):
        write_av(tmp_path / "part", make_music(4, rate=rate), rate, "aac", "adts")
        parts.append((tmp_path / "part").read_bytes())
    path = tmp_path / "a.aac"
    path.write_bytes(b"".join(parts))
    with pytest.raises(AudioError, match="44100 Hz, 1 -> 32000 Hz, 1"):
        decode.load(path)


def test_a_list_of_files_is_not_opened(tmp_path, make_music):
    write_av(tmp_path / "secret.m4a", make_music(3), 44_100, "aac", "ipod")
    path = tmp_path / "list.m4a"
    path.write_text("ffconcat version 1.0\nfile secret.m4a\n")
    with pytest.raises(AudioError, match="list of other files"):
        decode.load(path)


def test_colon_in_a_name_is_no_protocol(tmp_path, make_music, monkeypatch):
    write_av(tmp_path / "m.m4a", make_music(3), 44_100, "aac", "ipod")
    (tmp_path / "m.m4a").rename(tmp_path / "AC: live.m4a")
    monkeypatch.chdir(tmp_path)
    assert len(decode.load("AC: live.m4a")) > RATE


@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero", "fifo"])
def test_devices_and_pipes_do_not_hang(tmp_path, name):
    if name == "fifo":
        name = str(tmp_path / "fifo")
        os.mkfifo(name)
    with pytest.raises(AudioError, match="pipe or device"):
        decode.load(name)


def test_channels_that_cancel_are_named(tmp_path, make_music):
    x = make_music(3)
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([x, -x], axis=1), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="cancel each other"):
        decode.load(path)


def test_nothing_leaves_the_range(tmp_path):
    """soxr overshoots at the edges of a full-scale square wave."""
    path = tmp_path / "square.wav"
    soundfile.write(path, np.sign(np.sin(2 * np.pi * 100 * np.arange(48_000) / 48_000) + 1e-9), 48_000)
    assert np.abs(decode.load(path)).max() <= 1


def test_decoders_keep_quiet(tmp_path, make_music, capfd):
    path = broken("cut mp3", tmp_path, make_music(30))
    with pytest.raises(AudioError):
        decode.load(path)
    assert capfd.readouterr().err == ""


def test_several_audio_streams_are_counted(tmp_path, make_music):
    path = tmp_path / "a.mka"
    with av.open(str(path), "w", format="matroska") as out:
        streams = [out.add_stream("pcm_s16le", rate=RATE) for _ in range(2)]
        for stream in streams:
            stream.layout = "mono"
        for stream in streams:
            samples = (make_music(2)[None] * 32_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.rate = RATE
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    seen = []
    list(decode.blocks(path, on_format=seen.append))
    assert seen[0].streams == 2
