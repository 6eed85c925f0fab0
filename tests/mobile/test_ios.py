"""mobile/ios: what holds without Swift, and, behind the marker `slow`, its own tests with Swift on Linux."""

import json
import os
import plistlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
IOS = ROOT / "mobile" / "ios"
MODELS = ROOT / "sentio_tf" / "models"
SWIFT = sorted(p for folder in ("App", "SentioKit") for p in (IOS / folder).rglob("*.swift") if ".build" not in p.parts)
APP = [p for p in SWIFT if p.is_relative_to(IOS / "App")]


@pytest.fixture(scope="module")
def project() -> dict:
    return yaml.safe_load((IOS / "project.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def target(project) -> dict:
    return project["targets"]["sentio"]


def test_every_source_of_the_app_is_in_the_project(target):
    listed = [IOS / source["path"] for source in target["sources"]]
    assert all(place.exists() for place in listed)
    assert APP
    for source in APP:
        assert any(source.is_relative_to(place) for place in listed), source


def test_packages_and_products_exist(project, target):
    manifest = (IOS / "SentioKit" / "Package.swift").read_text(encoding="utf-8")
    products = set(re.findall(r'\.library\(name: "(\w+)"', manifest))
    wanted = {d["product"] for d in target["dependencies"] if d["package"] == "SentioKit"}
    assert wanted == products
    assert {d["package"] for d in target["dependencies"]} == set(project["packages"])
    assert (IOS / project["packages"]["SentioKit"]["path"] / "Package.swift").is_file()
    # What is imported is linked.
    imported = {name for p in APP for name in re.findall(r"^import (Sentio\w+)", p.read_text(encoding="utf-8"), re.M)}
    assert imported == wanted


def test_the_app_says_why_it_wants_the_microphone(target):
    properties = target["info"]["properties"]
    assert "music" in properties["NSMicrophoneUsageDescription"]
    assert {"CFBundleDisplayName", "UILaunchScreen", "UISupportedInterfaceOrientations"} <= set(properties)
    assert not [key for key in properties if "Transport" in key or "LocalNetwork" in key or "Background" in key]


def test_the_oldest_systems_agree(project):
    manifest = (IOS / "SentioKit" / "Package.swift").read_text(encoding="utf-8")
    oldest = int(float(project["options"]["deploymentTarget"]["iOS"]))
    assert f".iOS(.v{oldest})" in manifest


def test_nothing_collected_and_nothing_sent():
    privacy = plistlib.loads((IOS / "App" / "PrivacyInfo.xcprivacy").read_bytes())
    assert privacy["NSPrivacyTracking"] is False
    assert privacy["NSPrivacyCollectedDataTypes"] == []
    network = re.compile(r"URLSession|URLRequest|NWConnection|import (Network|WebKit)|https?://|CFStream|Socket")
    for source in SWIFT:
        assert not network.search(source.read_text(encoding="utf-8")), source


def test_constants_of_the_model_stand_in_its_card_alone():
    kit = [p for p in SWIFT if p.is_relative_to(IOS / "SentioKit" / "Sources")] + APP
    for source in kit:
        text = source.read_text(encoding="utf-8")
        assert not re.search(r"\b(22_?050|661_?500|16_?000)\b", text), source
    assert json.loads((MODELS / "registry.json").read_text(encoding="utf-8"))["live"] not in "".join(
        p.read_text(encoding="utf-8") for p in SWIFT
    )


def test_sources_are_short():
    for source in SWIFT:
        assert len(source.read_text(encoding="utf-8").splitlines()) < 500, source


def test_words_of_the_axes_stand_in_one_place():
    words = re.compile(r'"(unpleasant|pleasant|calm|energetic)"')
    holders = {p.name for p in SWIFT if "Tests" not in p.parts and words.search(p.read_text(encoding="utf-8"))}
    assert holders == {"Circumplex.swift"}
    assert 'navigationTitle("sentio")' in (IOS / "App" / "Sources" / "ContentView.swift").read_text(encoding="utf-8")


def test_the_model_is_copied_into_the_app(target, tmp_path):
    (phase,) = target["postCompileScripts"]
    assert "tools/copy-model.sh" in phase["script"]
    assert phase["outputFiles"][0].endswith("/sentio.tflite")
    assert 'forResource: "sentio", withExtension: "tflite"' in (IOS / "App" / "Sources" / "ModelStore.swift").read_text(
        encoding="utf-8"
    )
    copy = IOS / "tools" / "copy-model.sh"
    made = tmp_path / "app" / "sentio.tflite"
    subprocess.run([copy, made], check=True, env={**os.environ, "SENTIO_MODEL": ""})
    registry = json.loads((MODELS / "registry.json").read_text(encoding="utf-8"))
    shipped = next(m for m in registry["models"] if m["name"] == registry["live"])
    assert made.read_bytes() == (MODELS / shipped["file"]).read_bytes()
    failed = subprocess.run(
        [copy, made], env={**os.environ, "SENTIO_MODEL": str(tmp_path / "none.tflite")}, capture_output=True, text=True
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: expected a model at ")
    assert subprocess.run([copy], capture_output=True).returncode == 2


@pytest.mark.parametrize("script", sorted((IOS / "tools").glob("*.sh")), ids=lambda p: p.name)
def test_scripts_parse(script):
    assert os.access(script, os.X_OK)
    shell = script.read_text(encoding="utf-8").splitlines()[0].split()[-1].split("/")[-1]
    assert shutil.which(shell)
    subprocess.run([shell, "-n", script], check=True)


def litert() -> str:
    """Path of the library that the package itself runs on."""
    ai_edge_litert = pytest.importorskip("ai_edge_litert")
    (library,) = Path(ai_edge_litert.__path__[0]).glob("libLiteRt.*")
    return str(library)


def test_without_the_library_one_line_says_what_to_do(tmp_path):
    done = subprocess.run(
        [IOS / "tools" / "test.sh"],
        env={**os.environ, "SENTIO_LITERT": str(tmp_path / "none.so")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.fullmatch(
        r"expected LiteRT's library at .*none\.so, received none; pip install ai-edge-litert and set SENTIO_LITERT\n",
        done.stderr,
    )


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "SENTIO_LITERT": os.environ.get("SENTIO_LITERT") or litert()}


@pytest.mark.slow
def test_swift(environment):
    done = subprocess.run(
        [IOS / "tools" / "test.sh"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    said = done.stdout[-4000:] + done.stderr[-4000:]
    assert done.returncode == 0, said
    count, failures = map(int, re.findall(r"Executed (\d+) tests, with (\d+) failures", said)[-1])
    assert failures == 0
    assert count >= 40


@pytest.mark.slow
def test_analyze(environment):
    golden = ROOT / "mobile" / "golden"
    registry = json.loads((MODELS / "registry.json").read_text(encoding="utf-8"))
    model = MODELS / next(m["file"] for m in registry["models"] if m["name"] == registry["live"])

    def analyze(*arguments) -> subprocess.CompletedProcess:
        command = [IOS / "tools" / "swift.sh", "swift", "run", "--quiet", "--configuration", "release", "analyze"]
        return subprocess.run(
            [*command, *map(str, arguments)],
            cwd=IOS / "SentioKit",
            env=environment,
            capture_output=True,
            text=True,
            timeout=1800,
        )

    done = analyze(model, golden / "tone.wav", golden / "tone.mp3", "--benchmark", 2)
    assert done.returncode == 1, done.stderr
    answer, failure, latency = (json.loads(line) for line in done.stdout.splitlines())
    expected = json.loads((golden / "answers.json").read_text(encoding="utf-8"))["files"]
    tone = next(case for case in expected["cases"] if case["file"] == "tone.wav")
    assert answer["valence"] == pytest.approx(tone["valence"], abs=expected["tolerance"])
    assert answer["arousal"] == pytest.approx(tone["arousal"], abs=expected["tolerance"])
    assert answer["windows"] == 1
    assert failure == {
        "path": str(golden / "tone.mp3"),
        "error": "expected a WAV file, received another one; convert it",
    }
    assert (latency["runs"], latency["threads"]) == (2, 1)
    assert 0 < latency["median_ms"] <= latency["p95_ms"]
    wrong = analyze(model, "--benchmark", "many")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1] == "expected a number above 0 behind --benchmark, received many"
