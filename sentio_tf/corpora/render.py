"""MIDI to audio with FluidSynth: cached, resumable, never a half-written file.

The cache's key is the MIDI's content, the soundfont's name and size, and the settings, so that a
changed soundfont or gain renders anew and an interrupted run continues where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import soundfile

from ..errors import DataError

SOUNDFONTS = (
    "/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "/usr/share/soundfonts/FluidR3_GM.sf2",
    "/usr/local/share/sounds/sf2/FluidR3_GM.sf2",
)


@dataclass(frozen=True)
class RenderSpec:
    """How MIDI becomes audio; stereo FLAC of 16 bit."""

    sample_rate: int = 44_100  # Hz
    # FluidSynth's master gain.  Its default .2 leaves solo piano some 12 dB below released music.
    gain: float = 0.8
    release_s: float = 0.5  # kept after the last note


def find_soundfont() -> Path:
    """`$SENTIO_SOUNDFONT` or FluidR3 GM where Debian, Fedora or Homebrew put it.

    Raises: DataError when there is none.
    """
    named = os.environ.get("SENTIO_SOUNDFONT")
    for candidate in [named] if named else SOUNDFONTS:
        if candidate and Path(candidate).is_file():
            return Path(candidate)
    raise DataError(
        f"expected a soundfont to render MIDI, found none at {named or SOUNDFONTS[0]}; "
        "install fluid-soundfont-gm or set SENTIO_SOUNDFONT to a .sf2 file"
    )


def last_note_s(midi: Path) -> float:
    """End of the last sounding note in seconds.

    Raises: DataError if the file is no MIDI or has no note.
    """
    try:
        import mido
    except ImportError:
        raise DataError("rendering MIDI needs mido; install sentio-tf[midi]") from None
    try:
        now, last = 0.0, 0.0
        for message in mido.MidiFile(midi, clip=True):
            now += message.time
            if message.type in ("note_on", "note_off"):
                last = now
    except Exception as error:  # mido raises a dozen kinds for what is no MIDI
        raise DataError(f"{midi}: expected a standard MIDI file, received one that does not parse ({error})") from None
    if last == 0.0:
        raise DataError(f"{midi}: expected a MIDI file with notes, received one without; remove it from the corpus")
    return last


def rendered_path(midi: Path, cache: Path, spec: RenderSpec, soundfont: Path) -> Path:
    """Where the rendering of this content lies."""
    key = hashlib.sha256()
    key.update(midi.read_bytes())
    key.update(f"{soundfont.name}:{soundfont.stat().st_size}:{sorted(asdict(spec).items())}".encode())
    return cache / f"{key.hexdigest()[:24]}.flac"


def render(midi: Path, cache: Path, spec: RenderSpec = RenderSpec(), soundfont: Path | None = None) -> Path:
    """Render one file unless the cache has it; returns the FLAC's path.

    Raises: DataError if FluidSynth is missing or fails, or the MIDI cannot be read.
    """
    soundfont = soundfont or find_soundfont()
    target = rendered_path(midi, cache, spec, soundfont)
    if target.exists():
        return target
    program = shutil.which("fluidsynth")
    if program is None:
        raise DataError("rendering MIDI needs the program fluidsynth; install it (Debian: apt-get install fluidsynth)")
    seconds = last_note_s(midi) + spec.release_s
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        wav = Path(folder) / "out.wav"
        command = [program, "-ni", "-q", "-g", str(spec.gain), "-r", str(spec.sample_rate)]
        # fmt: off
        command += ["-T", "wav", "-O", "s16", "-F", str(wav), str(soundfont), str(midi)]
        # fmt: on
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not wav.exists():
            raise DataError(f"{midi}: fluidsynth failed ({done.stderr.strip().splitlines()[-1:] or done.returncode})")
        audio, rate = soundfile.read(wav, frames=int(seconds * spec.sample_rate), dtype="int16")
        part = Path(folder) / "out.flac"
        soundfile.write(part, audio, rate, format="FLAC", subtype="PCM_16")
        os.replace(part, target)  # only whole files ever have the final name
    return target


def render_all(
    midis: Sequence[Path],
    cache: Path,
    spec: RenderSpec = RenderSpec(),
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[Path, Path], dict[Path, str]]:
    """Render many files side by side; `progress(done, total)` is called after each.

    Returns the FLAC of each MIDI and, for those that failed, the one-line reason: one broken MIDI
    does not lose the others.
    """
    soundfont = find_soundfont()
    done: dict[Path, Path] = {}
    failed: dict[Path, str] = {}
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:  # the work is in child processes
        jobs = {pool.submit(render, midi, cache, spec, soundfont): midi for midi in midis}
        for job in as_completed(jobs):
            try:
                done[jobs[job]] = job.result()
            except DataError as error:
                failed[jobs[job]] = str(error)
            if progress:
                progress(len(done) + len(failed), len(midis))
    return done, failed
