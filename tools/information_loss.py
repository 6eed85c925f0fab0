"""What a log-mel loses of music: phases, bands, the floor, the range of a GAN: results/information-loss.json.

    python tools/information_loss.py ROOT [--clips 20] [--json FILE]

ROOT holds the folders emomusic, music and panda4q.  Of every recording ten seconds are turned into a representation and
back into sound: magnitudes by the pseudo-inverse of the filter bank, phases by Griffin-Lim.  The first row keeps all
magnitudes, so that what it loses is the phases' part; the other rows are to be read against it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

HERE = Path(__file__).parents[1]
SECONDS, SEGMENT_S = 10, 2.5
RANGE_DB = 60.0  # below the loudest bin of a recording: what is compared of a spectrum
BANDS = (256, 128, 96, 64, 40, 20)
TONES, LOWEST = 84, "C1"  # of the constant-Q transform: seven octaves


def recordings(root: Path, clips: int) -> list[np.ndarray]:
    """Ten seconds from the middle of each, `(samples,)` at 22 050 Hz."""
    from sentio_tf import corpora
    from sentio_tf.audio import decode

    files = sorted((root / "emomusic" / "clips_45seconds").glob("*.mp3")) + sorted((root / "music").glob("*.ogg"))
    panda = sorted(corpora.read(f"panda4q:{root / 'panda4q'}"), key=lambda t: t.key)
    chosen = np.random.default_rng(0).choice(len(panda), clips, replace=False)
    found = []
    for path in [*files, *(panda[i].path for i in chosen)]:
        y = decode.load(path)
        start = max(0, (len(y) - SECONDS * 22_050) // 2)
        if len(part := y[start : start + SECONDS * 22_050]) == SECONDS * 22_050:
            found.append(part)
    return found


def ways(scale) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Name of a representation -> sound to the magnitudes `(1025, frames)` that can be had back from it."""
    import librosa

    from sentio_tf.audio.mel import log_mel, power_mel
    from sentio_tf.contract import MEL
    from sentio_tf.gan.listen import magnitude

    def whole(y):
        return np.abs(librosa.stft(y, n_fft=MEL.n_fft, hop_length=MEL.hop_length, pad_mode="constant"))

    def limited(y):
        """What lies beyond the edges of the filter bank is lost to every mel, however many bands it has."""
        return whole(y) * within()[:, None]

    def mel(bands: int):
        spec = replace(MEL, n_mels=bands)
        return lambda y: magnitude(10 * np.log10(np.maximum(power_mel(y, spec=spec).T, 1e-30)), spec)

    def clipped(y):
        return magnitude(np.asarray(scale(scale.scaled(log_mel(y)[None, :, :, None])))[0, :, :, 0])

    edges = f"{MEL.fmin:g} to {MEL.fmax:g} Hz"
    found: dict[str, Callable] = {"all magnitudes, new phases": whole, f"magnitudes from {edges}": limited}
    found |= {f"mel power, {bands} bands": mel(bands) for bands in BANDS}
    found["log-mel, 128 bands, floor 80 dB"] = lambda y: magnitude(log_mel(y))
    found["the same within 3 sd of each band (GAN)"] = clipped
    return found


def within() -> np.ndarray:
    """Which of the 1025 bins lie between the edges of the mel."""
    from sentio_tf.contract import MEL

    frequencies = np.fft.rfftfreq(MEL.n_fft, 1 / MEL.sample_rate)
    return (frequencies >= MEL.fmin) & (frequencies <= MEL.fmax)


def spectrum(y: np.ndarray) -> np.ndarray:
    import librosa

    return np.abs(librosa.stft(y, n_fft=2048, hop_length=512))


def tones(y: np.ndarray) -> np.ndarray:
    """Constant-Q magnitudes in dB `(84, frames)`, at most `RANGE_DB` below the loudest: a spectrum that is no mel."""
    import librosa

    found = np.abs(librosa.cqt(y, sr=22_050, n_bins=TONES, fmin=librosa.note_to_hz(LOWEST)))
    return np.maximum(librosa.amplitude_to_db(found, ref=1.0), 20 * np.log10(found.max() + 1e-9) - RANGE_DB)


def timbre(cqt: np.ndarray) -> np.ndarray:
    """Mean and sd over time of each tone, relative to the segment's level, a row a segment, `(segments, 168)`."""
    frames = int(cqt.shape[1] * SEGMENT_S / SECONDS)
    parts = [cqt[:, i : i + frames] for i in range(0, cqt.shape[1] - frames + 1, frames)]
    return np.stack([np.concatenate([p.mean(1) - p.mean(), p.std(1)]) for p in parts])


def measure(sounds: list[np.ndarray], back: list[np.ndarray]) -> list[float]:
    """Spectral convergence, error [dB], correlation of tones, and share of segments that are taken for another's."""
    convergence, error, correlation = [], [], []
    before, after, owner = [], [], []
    for i, (y, z) in enumerate(zip(sounds, back, strict=True)):
        z = np.resize(z, len(y)) if len(z) < len(y) else z[: len(y)]
        a, b = spectrum(y), spectrum(z)
        convergence.append(np.linalg.norm(a - b) / np.linalg.norm(a))
        heard = (a > a.max() * 10 ** (-RANGE_DB / 20)) & within()[:, None]
        error.append(np.abs(20 * np.log10(np.maximum(b[heard], 1e-7) / a[heard])).mean())
        first, second = tones(y), tones(z)
        correlation.append(np.corrcoef(first.ravel(), second.ravel())[0, 1])
        before.append(timbre(first))
        after.append(timbre(second))
        owner += [i] * len(before[-1])
    known, asked = np.concatenate(before), np.concatenate(after)
    spread = known.std(0) + 1e-6
    between = np.linalg.norm((asked[:, None] - known[None]) / spread, axis=-1)
    taken = np.array(owner)[between.argmin(1)]
    return [float(np.mean(v)) for v in (convergence, error, correlation)] + [float((taken != owner).mean())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--clips", type=int, default=20, help="of panda4q")
    parser.add_argument("--json", type=Path, default=HERE / "results" / "information-loss.json")
    arguments = parser.parse_args()

    import librosa

    from sentio_tf.audio.mel import log_mel
    from sentio_tf.gan.scale import BandScale

    sounds = recordings(arguments.root.resolve(), arguments.clips)
    mels = np.concatenate([log_mel(y) for y in sounds], axis=1)
    scale = BandScale(mels.mean(1), mels.std(1))
    rows = []
    for name, way in ways(scale).items():
        back = [librosa.griffinlim(way(y), n_iter=32, hop_length=512, n_fft=2048, random_state=0) for y in sounds]
        values = measure(sounds, back)
        rows.append([name, *(f"{v:.3f}" for v in values[:1]), f"{values[1]:.1f}", *(f"{v:.3f}" for v in values[2:])])
        print(" | ".join(rows[-1]), flush=True)
    result = {
        "kind": "notes",
        "experiment": "information-loss",
        "title": "What a log-mel loses",
        "command": f"python tools/information_loss.py ROOT --clips {arguments.clips}",
        "note": f"{len(sounds)} real recordings (EmoMusic, music, Panda 4Q), {SECONDS} s of each, turned into the "
        "representation and back: pseudo-inverse of the filter bank, 32 rounds of Griffin-Lim. Spectral convergence: "
        "norm of the difference of magnitudes as a share of theirs. Error: mean over the bins of the original between "
        f"the edges of the mel and within {RANGE_DB:.0f} dB of its loudest; beyond the edges nothing is left. Tones: "
        f"correlation of constant-Q levels, seven octaves. Confused: share of segments of {SEGMENT_S} s whose nearest "
        "original segment, by mean and deviation of each tone, is of another recording. The first "
        "row is what new phases cost alone, the second what the band's edges cost; what a mel loses by its bands is "
        "the difference from that, with what its pseudo-inverse adds.",
        "head": ["what is kept", "spectral convergence", "error, dB", "tones", "confused"],
        "table": rows,
    }
    arguments.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
