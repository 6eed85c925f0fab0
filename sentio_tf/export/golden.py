"""Files that every language is tested on: what a model answers, and each step on the way there.

A phone's or browser's code reads the card, mixes to mono, resamples, cuts windows, runs the model, joins the answers,
names the mood and sums up latencies.  For each of these there is a small file of inputs and results; an implementation
is right when it gives the same.  Nothing in them is random, so that writing them again gives the same files.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import decode
from ..audio.resample import KaiserSinc, resample
from ..audio.windows import windows
from ..contract import AXES, MIN_TAIL_S, RESAMPLER, Prediction
from ..errors import ModelError
from ..runtime import mood
from ..runtime.bench import times
from ..runtime.engine import Engine
from ..runtime.golden import golden_waveform, sha256
from ..runtime.predictor import Predictor

SCHEMA = "sentio-golden/1"
TIMELINE_S = 47.3  # of the golden waveform: two windows and a tail
TONE_S, TONE_RATE = 1.5, 44_100
RATES = ((44_100, 22_050), (48_000, 22_050), (16_000, 22_050), (44_100, 16_000))
SECONDS = 0.2  # of sound that is resampled
# What an answer may differ by: of the same samples, and of a file that another decoder and resampler have read.
SAME, DECODED = 1e-4, 0.02
CODECS = {"wav": ("wav", "pcm_s16le"), "mp3": ("mp3", "libmp3lame"), "m4a": ("ipod", "aac"), "ogg": ("ogg", "libopus")}


def write_golden(model: Path, out: Path) -> list[Path]:
    """Write the files for a `.tflite` into the folder `out`; returns them.

    Raises: ModelError as `Engine`, or if `out` cannot be written.
    """
    predictor = Predictor(Engine(model, threads=1))
    card = predictor.card
    rate = card.audio.sample_rate
    files: dict[str, bytes] = {"card.json": (card.to_json() + "\n").encode()}
    resampling, sounds = resampled()
    tones = {f"tone.{end}": tone(container, codec) for end, (container, codec) in CODECS.items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in tones.items():
            (out / name).write_bytes(content)
        documents: dict[str, Any] = {
            "downmix": downmixes(),
            "resampler": resampling,
            "windows": window_cases(rate, card.audio.samples, card.windows.hop_s),
            "circumplex": circumplex(),
            "benchmark": latencies(),
            "answers": answers(predictor, model, [out / name for name in tones]),
        }
        files |= {f"{name}.json": _text({"schema": SCHEMA, **found}) for name, found in documents.items()}
        files |= {name: np.asarray(samples, "<f4").tobytes() for name, samples in sounds.items()}
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise ModelError(
            f"{out}: expected a folder that can be written, received none ({error.strerror}); choose another --out"
        ) from None
    return sorted(out / name for name in [*files, *tones])


def _text(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()


def tone(container: str, codec: str) -> bytes:
    """The golden waveform in stereo, the right channel half as loud, as a file."""
    import av

    left = golden_waveform(round(TONE_S * TONE_RATE), TONE_RATE)
    rate = 48_000 if codec == "libopus" else TONE_RATE  # the only one it takes
    stereo = np.stack([left, left / 2])
    if rate != TONE_RATE:
        stereo = np.stack([resample(channel, TONE_RATE, rate) for channel in stereo])
    sound = io.BytesIO()
    with av.open(sound, "w", format=container, options={"fflags": "+bitexact"}) as file:
        stream: Any = file.add_stream(codec, rate=rate, layout="stereo")
        stream.codec_context.flags |= 1 << 23  # AV_CODEC_FLAG_BITEXACT: no version of the encoder in the file
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(stereo, np.float32), format="fltp", layout="stereo")
        frame.sample_rate = rate
        shaped = av.AudioResampler(stream.codec_context.format, "stereo", rate)
        for part in shaped.resample(frame):
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return sound.getvalue()


def downmixes() -> dict[str, Any]:
    """Channels -> mono: their mean."""
    rows = [[[0.5, -0.25, 0.0]], [[0.5, -1.0, 0.25], [0.25, 1.0, -0.75]], [[0.3, 0.6], [0.0, 0.0], [-0.9, 0.3]]]
    return {
        "rule": "mean of the channels",
        "cases": [{"channels": rows_, "mono": [float(v) for v in np.mean(rows_, axis=0)]} for rows_ in rows],
    }


def resampled() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Kernel and cases; and the sounds of the cases by file name, float32 `(samples,)`."""
    kernel = KaiserSinc(RESAMPLER["taps"], RESAMPLER["beta"], RESAMPLER["cutoff"])
    cases, sounds = [], {}
    for rate_in, rate_out in RATES:
        before, behind = (f"resampler_{rate_in}_{rate_out}_{end}.f32" for end in ("in", "out"))
        sounds[before] = golden_waveform(round(SECONDS * rate_in), rate_in)
        sounds[behind] = resample(sounds[before], rate_in, rate_out, kernel)
        cases.append({"rate_in": rate_in, "rate_out": rate_out, "in": before, "out": behind})
    return {"resampler": RESAMPLER, "tolerance": 1e-6, "cases": cases}, sounds


def window_cases(rate: int, size: int, hop_s: float) -> dict[str, Any]:
    """Lengths of files around every edge of the rule -> windows [first sample, behind the last]."""
    hop, tail = round(hop_s * rate), round(MIN_TAIL_S * rate)
    lengths = [1, rate, size - 1, size, size + 1, size + tail, size + tail + 1, size + hop - 1, size + hop]
    lengths += [size + hop + tail, size + hop + tail + 1, 2 * size, 3 * size + 12_345]
    cases = []
    for length in lengths:
        silence = (np.zeros(min(rate, length - start), np.float32) for start in range(0, length, rate))
        found = list(windows(silence, size=size, hop_s=hop_s, sample_rate=rate))
        cases.append(
            {
                "samples": length,
                "windows": [[round(w.start_s * rate), round(w.end_s * rate)] for w in found],
                "repeated": found[0].repeated,
            }
        )
    return {"rate": rate, "size": size, "hop_s": hop_s, "min_tail_s": MIN_TAIL_S, "cases": cases}


def circumplex() -> dict[str, Any]:
    """Points [valence, arousal], none on the edge of a sector, -> quadrant and mood."""
    points = [(0.0, 0.0), (0.05, -0.05), (0.0, 0.5), (0.5, 0.0), (0.0, -0.5), (-0.5, 0.0)]
    for radius in (0.2, 0.34, 0.36, 0.9):
        for degrees in range(5, 365, 15):
            turned = math.radians(degrees)
            points.append((round(radius * math.cos(turned), 4), round(radius * math.sin(turned), 4)))
    return {
        "neutral_radius": mood.NEUTRAL_RADIUS,
        "strong_radius": mood.STRONG_RADIUS,
        "sectors": [list(words) for words in mood.SECTORS],
        "cases": [[v, a, mood.quadrant(v, a), mood.mood(v, a)] for v, a in points],
    }


def latencies() -> dict[str, Any]:
    """Times of windows [ms] -> what a benchmark screen says of them."""
    series = [[12.0], [30.0, 10.0, 20.0], [float(v) for v in range(40, 0, -1)], [5.0] * 19 + [95.0]]
    return {"cases": [{"ms": ms, **(times([v / 1e3 for v in ms]) or {})} for ms in series]}


def answers(predictor: Predictor, model: Path, tones: Sequence[Path]) -> dict[str, Any]:
    """What the model says to the golden waveform, to a longer one window by window, and to files."""
    card = predictor.card
    rate, size = card.audio.sample_rate, card.audio.samples
    one = predictor.engine(golden_waveform(size, rate))
    length = round(TIMELINE_S * rate)
    sound = golden_waveform(length, rate)
    cut = list(windows([sound], size=size, hop_s=card.windows.hop_s, sample_rate=rate))
    found = [predictor.engine(w.samples) for w in cut]
    files = [{"file": path.name, **_format(path), **_song(predictor.predict(path))} for path in tones]
    return {
        "model": {"name": card.name, "content_sha256": card.content_sha256, "bytes": model.stat().st_size},
        "tolerance": SAME,
        "waveform": {
            "samples": size,
            "sample_rate": rate,
            "sha256": sha256(golden_waveform(size, rate)),
            "valence": one.valence,
            "arousal": one.arousal,
            "std": one.std and list(one.std),
            "distance": one.distance,
        },
        "timeline": {
            "samples": length,
            "segments": [
                {"start_s": w.start_s, "end_s": w.end_s, "valence": a.valence, "arousal": a.arousal}
                for w, a in zip(cut, found, strict=True)
            ],
            "valence": float(np.mean([a.valence for a in found])),
            "arousal": float(np.mean([a.arousal for a in found])),
        },
        "files": {
            "tolerance": DECODED,
            "cases": files,
        },
    }


def _format(path: Path) -> dict[str, Any]:
    seen: list[decode.Format] = []
    for _ in decode.blocks(path, on_format=seen.append):
        pass
    return {"sample_rate": seen[0].sample_rate, "channels": seen[0].channels}


def _song(song: Prediction) -> dict[str, Any]:
    return {axis: getattr(song, axis) for axis in AXES} | {"quadrant": song.quadrant, "mood": song.mood}
