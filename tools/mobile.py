"""The same songs through Python, the JVM, Swift and Chromium: answers side by side, and a window's time in each.

    python tools/mobile.py [SONG...] [--only NAME...] [--runs 20]

Songs are decoded to wav first (16 bits, their own rate and channels), so that all begin with the same samples; by
default the bundled tune and the golden tone.  Every language runs the model that ships, on LiteRT with one thread,
resamples by the card and cuts windows by itself.  Latencies of one run: the languages take turns, `--turns` times each.
Writes results/mobile.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from sentio_tf import __version__
from sentio_tf.audio import windows as cutting
from sentio_tf.audio.resample import resample
from sentio_tf.config import cache_root
from sentio_tf.runtime.bench import times
from sentio_tf.runtime.engine import Engine
from sentio_tf.runtime.golden import golden_waveform
from sentio_tf.runtime.predictor import Predictor, find_model

HERE = Path(__file__).parents[1]
MOBILE = HERE / "mobile"
Found = dict[str, Any]  # answers: {file name: [valence, arousal]}, median_ms, p95_ms, runs


def to_wav(song: Path, folder: Path) -> Path:
    """The song's own samples as 16-bit wav."""
    samples, rate = soundfile.read(song, dtype="int16", always_2d=True)
    path = folder / f"{song.stem}.wav"
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def predict(songs: list[Path], runs: int) -> Found:
    """`sentio-tf predict`: soxr's resampler instead of the card's."""
    predictor = Predictor(Engine(find_model(live=True), threads=1))
    answers = {s.name: [p.valence, p.arousal] for s in songs for p in [predictor.predict(s)]}
    return {"answers": answers}


def python(songs: list[Path], runs: int) -> Found:
    """The package with the card's resampler: what the other languages are to give."""
    engine = Engine(find_model(live=True), threads=1)
    card = engine.card
    answers = {}
    for song in songs:
        samples, rate = soundfile.read(song, dtype="float32", always_2d=True)
        mono = np.clip(resample(samples.mean(axis=1, dtype=np.float32), rate, card.audio.sample_rate), -1, 1)
        cuts = cutting.windows(
            [mono],
            size=card.audio.samples,
            hop_s=card.windows.hop_s,
            sample_rate=card.audio.sample_rate,
        )
        found = [engine(w.samples) for w in cuts if np.abs(w.samples).max() >= card.windows.silence_peak]
        answers[song.name] = [float(np.mean([getattr(a, axis) for a in found])) for axis in ("valence", "arousal")]
    waveform = golden_waveform(card.audio.samples, card.audio.sample_rate)
    engine(waveform)
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        engine(waveform)
        seconds.append(time.perf_counter() - began)
    return {"answers": answers, **times(seconds)}


def lines(command: list[str], **options: Any) -> list[dict]:
    """What a program prints, a JSON object a line."""
    environment = {**os.environ, "SENTIO_LITERT": str(litert())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **options)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def litert() -> Path:
    import ai_edge_litert

    return Path(str(ai_edge_litert.__file__)).parent / "libLiteRt.so"


def answers_of(found: list[dict]) -> dict[str, list[float]]:
    return {Path(line["path"]).name: [line["valence"], line["arousal"]] for line in found if "valence" in line}


def jvm(songs: list[Path], runs: int) -> Found:
    """Kotlin on the JVM, LiteRT through JNA."""
    jar = MOBILE / "android" / "jvm" / "target" / "sentio-jvm.jar"
    if not jar.exists():
        subprocess.run(["mvn", "-q", "-f", str(MOBILE / "android"), "package", "-DskipTests"], check=True)
    found = lines(["java", "-jar", str(jar), "--benchmark", str(runs), str(find_model(live=True)), *map(str, songs)])
    return {"answers": answers_of(found)} | {key: found[0][key] for key in ("median_ms", "p95_ms", "runs")}


def swift(songs: list[Path], runs: int) -> Found:
    """Swift on Linux, LiteRT through its C API."""
    kit = MOBILE / "ios" / "SentioKit"
    inside = kit / ".build" / "songs"  # the toolchain's root sees the repository only
    inside.mkdir(parents=True, exist_ok=True)
    copies = [Path(shutil.copy(song, inside / song.name)) for song in songs]
    command = [str(MOBILE / "ios" / "tools" / "swift.sh"), "swift", "run", "--configuration", "release", "analyze"]
    found = lines([*command, str(find_model(live=True)), *map(str, copies), "--benchmark", str(runs)], cwd=kit)
    shutil.rmtree(inside)
    latency = next(line for line in found if "median_ms" in line)
    return {"answers": answers_of(found)} | {key: latency[key] for key in ("median_ms", "p95_ms", "runs")}


def chromium(songs: list[Path], runs: int) -> Found:
    """The page in headless Chromium, LiteRT in WebAssembly."""
    from playwright.sync_api import sync_playwright

    from sentio_tf.web import write_page
    from sentio_tf.web.server import serve

    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        page = Path(place) / "page"
        write_page(page, cache=cache_root())
        with serve(page, 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            tab = browser.new_page()
            tab.goto(f"http://127.0.0.1:{server.server_port}/?threads=1&runs={runs}")
            tab.wait_for_selector("body[data-ready]", timeout=300_000)
            answers = {}
            for song in songs:
                tab.set_input_files("#files", str(song))
                tab.wait_for_selector(
                    f"#songs li:has(.name:text-is('{song.name}')) .state:has-text('·')", timeout=300_000
                )
                with tab.expect_download() as download:
                    tab.click("#save")
                saved = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
                answers[song.name] = [saved["valence"], saved["arousal"]]
                tab.click("#songs .drop-it")
            tab.click("#benchmark summary")
            tab.click("#measure")
            tab.wait_for_selector("#latency[data-times]", timeout=600_000)
            measured = json.loads(tab.get_attribute("#latency", "data-times") or "")
            version = browser.version
            browser.close()
            server.shutdown()
    return {"answers": answers, "chromium": version, **measured}


LANGUAGES = {"predict": predict, "python": python, "jvm": jvm, "swift": swift, "chromium": chromium}
TITLES = {
    "predict": "sentio-tf predict",
    "python": "Python, the card's resampler",
    "jvm": "Kotlin on the JVM",
    "swift": "Swift on Linux",
    "chromium": "Chromium",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", nargs="*", type=Path)
    parser.add_argument("--only", nargs="+", choices=LANGUAGES, default=list(LANGUAGES))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    given = options.songs or [HERE / "sentio_tf" / "assets" / "two_moods.mp3", MOBILE / "golden" / "tone.wav"]
    found: dict[str, Found] = {}
    medians: dict[str, list[float]] = {}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as place:
        songs = [to_wav(song, Path(place)) for song in given]
        for turn in range(options.turns):
            for name in options.only:
                found[name] = LANGUAGES[name](songs, options.runs)
                if "median_ms" in found[name]:
                    medians.setdefault(name, []).append(found[name]["median_ms"])
                print(f"turn {turn}: {name} {found[name]}", flush=True)
    for name, values in medians.items():
        found[name]["median_ms"] = statistics.median(values)
        found[name]["medians_ms"] = values
    reference = found["python"]
    for entry in found.values():
        differences = [
            abs(a - b)
            for song, pair in entry["answers"].items()
            for a, b in zip(pair, reference["answers"][song], strict=True)
        ]
        entry["largest_difference"] = max(differences)
        if "median_ms" in entry:
            entry["ratio"] = entry["median_ms"] / reference["median_ms"]
    result = {
        "experiment": "mobile",
        "kind": "mobile",
        "command": "python tools/mobile.py",
        "version": __version__,
        "git_commit": subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=HERE, text=True).strip()[:12],
        "model": find_model(live=True).stem,
        "threads": 1,
        "load_before": round(load, 2),
        "songs": [song.name for song in songs],
        "languages": [{"language": name, "title": TITLES[name], **found[name]} for name in options.only],
    }
    (HERE / "results" / "mobile.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
