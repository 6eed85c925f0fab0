"""The page of `sentio-tf web` in a real Chromium: every way in, every view, what goes wrong, and what never leaves."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sentio_tf.audio import decode
from sentio_tf.config import cache_root
from sentio_tf.runtime.predictor import find_model, load
from sentio_tf.web import write_page
from sentio_tf.web.server import serve

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome")) if p), None)
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed")]

GOLDEN = Path(__file__).parents[2] / "mobile" / "golden"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream"]  # fmt: skip
READY_S, SONG_S = 180, 240
CLOSE = 0.02  # of an answer, through another decoder and resampler


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("web") / "page"
    write_page(out, cache=cache_root())
    return out


@pytest.fixture(scope="module")
def address(folder):
    with serve(folder, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def microphone(tmp_path_factory, tune):
    """What Chromium's microphone hears, over and over: the first 20 s of the tune."""
    path = tmp_path_factory.mktemp("sound") / "heard.wav"
    samples, rate = soundfile.read(tune, dtype="float32", stop=20 * 44_100)
    soundfile.write(path, samples.mean(axis=1) if samples.ndim > 1 else samples, rate)
    return path


@pytest.fixture(scope="module")
def chromium(microphone):
    with playwright.sync_playwright() as driver:
        options = [*OPTIONS, f"--use-file-for-fake-audio-capture={microphone}"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


class Page:
    """One user: a window of their own, with what the page says and asks for written down."""

    def __init__(self, browser, address, *, width=1280, height=900, ready=True, before=None, **context):
        self.context = browser.new_context(viewport={"width": width, "height": height}, **context)
        self.requests, self.errors = [], []
        self.workers, self.answers = {}, {}
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.tab = self.context.new_page()
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        if before:
            before(self)
        self.tab.goto(address)
        if ready:
            self.tab.wait_for_selector("body[data-ready]", timeout=1000 * READY_S)

    def drop(self, *files):
        """Files let go over the page, as a user does."""
        given = [{"name": f.name, "data": base64.b64encode(f.read_bytes()).decode()} for f in files]
        self.tab.evaluate(
            """(given) => {
              const transfer = new DataTransfer();
              for (const { name, data } of given)
                transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
              const how = { dataTransfer: transfer, bubbles: true, cancelable: true };
              document.body.dispatchEvent(new DragEvent("drop", how));
            }""",
            given,
        )

    def choose(self, *files):
        self.tab.set_input_files("#files", [str(f) for f in files])

    def states(self):
        return self.tab.evaluate("[...document.querySelectorAll('#songs .state')].map((s) => s.textContent)")

    def wait(self, script, seconds=SONG_S):
        """Until a JavaScript expression holds; the page's policy forbids what Playwright would do for it."""
        end = time.time() + seconds
        while not self.tab.evaluate(script):
            assert time.time() < end, (script, self.states(), self.tab.inner_text("body")[-1500:])
            time.sleep(0.1)

    def judged(self, count):
        done = "/^[a-z]+ · [0-9:]+$/"
        self.wait(
            f"[...document.querySelectorAll('#songs li')].filter((l) => l.classList.contains('failed') || "
            f"{done}.test(l.querySelector('.state').textContent)).length === {count}"
        )

    def pick(self, name):
        self.tab.click(f"#songs .pick:has(.name:text-is('{name}'))")

    def saved(self):
        """What the button gives."""
        with self.tab.expect_download() as download:
            self.tab.click("#save")
        return json.loads(Path(download.value.path()).read_text(encoding="utf-8"))

    def heap(self):
        """Bytes of JavaScript's objects and buffers in the page and its worker, behind a collection.

        `performance.measureUserAgentSpecificMemory` would wait a minute for the threads of WebAssembly, which sleep.
        """
        tools = self.tools
        worker = next(session for url, session in self.workers.items() if url.endswith("/worker.js"))
        steps = ("HeapProfiler.enable", "HeapProfiler.collectGarbage", "Runtime.getHeapUsage")
        for method in steps:
            own = tools.send(method)
            last = len(self.answers) + 1
            message = json.dumps({"id": last, "method": method})
            tools.send("Target.sendMessageToTarget", {"sessionId": worker, "message": message})
            end = time.time() + 60
            while last not in self.answers:
                assert time.time() < end, method
                self.wait("true")
        return sum(found["usedSize"] + found["backingStorageSize"] for found in (own, self.answers[last]))

    @cached_property
    def tools(self):
        """Chromium's developer tools on the page; `workers` are its workers', by address, `answers` what they say."""
        tools = self.context.new_cdp_session(self.tab)
        tools.on("Target.attachedToTarget", lambda e: self.workers.update({e["targetInfo"]["url"]: e["sessionId"]}))
        tools.on("Target.receivedMessageFromTarget", lambda e: self.hear(json.loads(e["message"])))
        tools.send("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": False})
        self.wait("true")
        return tools

    def hear(self, message):
        if "id" in message:
            self.answers[message["id"]] = message["result"]

    def resident(self):
        """Bytes of all of the browser's pages in memory: what WebAssembly holds, too."""
        session = self.context.browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        session.detach()
        lines = "".join(Path(f"/proc/{p['id']}/smaps_rollup").read_text() for p in processes if p["type"] == "renderer")
        return sum(1024 * int(found) for found in re.findall(r"^Pss:\s+(\d+) kB", lines, re.M))

    def abroad(self):
        return [u for u in self.requests if not u.startswith(("http://127.0.0.1", "blob:http://127.0.0.1", "data:"))]

    def close(self):
        assert not self.errors
        assert not self.abroad()
        self.context.close()


@pytest.fixture
def page(chromium, address):
    page = Page(chromium, address)
    yield page
    page.close()


@pytest.fixture(scope="module")
def loaded(chromium, address):
    """A page for tests of its modules alone, which leave nothing on it."""
    page = Page(chromium, address)
    yield page
    page.close()


@pytest.fixture(scope="module")
def predictor():
    return load(find_model(live=True), threads=1)


def test_dropped_files_of_every_kind_get_the_answers_of_predict(page, tune, predictor):
    files = [*(GOLDEN / f"tone.{end}" for end in ("wav", "mp3", "m4a", "ogg")), tune]
    page.drop(*files)
    page.judged(len(files))
    for file in files:
        page.pick(file.name)
        found, expected = page.saved(), predictor.predict(file)
        assert found["path"] == file.name
        assert found["model"] == expected.model
        assert found["valence"] == pytest.approx(expected.valence, abs=CLOSE), file.name
        assert found["arousal"] == pytest.approx(expected.arousal, abs=CLOSE), file.name
        assert found["mood"] == expected.mood
        assert found["duration_s"] == pytest.approx(expected.duration_s, abs=0.001)
        assert found["warnings"] == list(expected.warnings)
        assert found["in_domain"] == expected.in_domain
        assert len(found["timeline"]) == len(expected.timeline)
        for mine, theirs in zip(found["timeline"], expected.timeline, strict=True):
            assert (mine["start_s"], mine["end_s"]) == pytest.approx((theirs.start_s, theirs.end_s), abs=0.002)
            assert (mine["valence"], mine["arousal"]) == pytest.approx((theirs.valence, theirs.arousal), abs=CLOSE)


@pytest.mark.parametrize(
    ("end", "options"),
    [
        ("wav", {"subtype": "PCM_24"}),
        ("flac", {}),
        ("mp3", {"format": "MP3", "subtype": "MPEG_LAYER_III"}),
        ("ogg", {"format": "OGG", "subtype": "VORBIS"}),
        ("opus", {"format": "OGG", "subtype": "OPUS"}),
    ],
)
@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_every_sample_is_where_predict_has_it(loaded, tmp_path, make_music, end, options, rate):
    """No run-in of a codec before the sound, no filling behind it: a short file is repeated, and hears its own gaps."""
    if end == "opus" and rate != 48_000:
        pytest.skip("Opus has one rate")
    path = tmp_path / f"sound.{end}"
    sound = make_music(1.3, rate=rate)
    soundfile.write(path, np.stack([sound, 0.5 * sound[::-1]], 1), rate, **options)
    found = loaded.tab.evaluate(
        """async (data) => {
          const { open } = await import("./sentio/decode.js");
          const { downmix } = await import("./sentio/downmix.js");
          const mediabunny = await import("./lib/mediabunny/mediabunny.mjs");
          const file = new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "sound");
          const sound = await open(file, mediabunny);
          const samples = [];
          for await (const channels of sound.blocks()) samples.push(...downmix(channels));
          sound.close();
          return { rate: sound.sampleRate, channels: sound.channels, samples };
        }""",
        base64.b64encode(path.read_bytes()).decode(),
    )
    expected = np.concatenate(list(decode.blocks(path, sample_rate=rate)))
    assert (found["rate"], found["channels"], len(found["samples"])) == (rate, 2, len(expected))
    np.testing.assert_allclose(found["samples"], expected, atol=2e-4)


def test_nothing_is_asked_for_elsewhere_and_all_works_without_a_network(chromium, address, tune):
    page = Page(chromium, address)
    page.choose(tune)
    page.judged(1)
    first = page.saved()
    page.tab.reload()  # now the service worker answers, and has kept the runtime, too
    page.tab.wait_for_selector("body[data-ready]", timeout=1000 * READY_S)
    page.context.set_offline(True)
    page.tab.reload()
    page.tab.wait_for_selector("body[data-ready]", timeout=1000 * READY_S)
    page.choose(tune)
    page.judged(1)
    again = page.saved()
    assert again["valence"] == pytest.approx(first["valence"], abs=1e-4)
    assert {u.split("/")[2] for u in page.requests if u.startswith("http")} == {address.split("/")[2]}
    page.close()


def test_songs_know_nothing_of_each_other_and_leave_no_memory_behind(page, tmp_path, make_music):
    names = ["one.wav", "two.wav"]
    for seed, name in enumerate(names):
        soundfile.write(tmp_path / name, make_music(50, seed=seed), 22_050)
    page.choose(*(tmp_path / n for n in names))
    page.judged(2)
    answers = {}
    for name in names:
        page.pick(name)
        answers[name] = page.saved()
    used, resident = page.heap(), page.resident()
    for round_ in range(3):
        page.choose(*(tmp_path / n for n in reversed(names)))
        page.judged(4)
        for name in names:
            again = page.tab.locator(f"#songs .pick:has(.name:text-is('{name}'))").nth(1)
            again.click()
            found = page.saved()
            assert (found["valence"], found["arousal"]) == (answers[name]["valence"], answers[name]["arousal"]), round_
        for _ in names:
            page.tab.locator("#songs .drop-it").last.click()
        assert len(page.states()) == 2
    grown = (page.heap() - used) / 1e6
    assert grown < 4, f"{grown:.0f} MB more after six songs"  # of one song kept: 4.4 MB of samples
    whole = (page.resident() - resident) / 1e6
    assert whole < 50, f"{whole:.0f} MB more in all after six songs"  # WebAssembly's, too: each song has


def test_a_long_file_takes_no_more_memory_than_a_short_one(page, tmp_path, make_music):
    """An hour of 8 kHz, decoded in blocks: whole it would be 318 MB at the model's rate, as floats.

    Most of it is silence, which the model is not asked about: the way there is the same, and takes a fifth of the time.
    """
    path = tmp_path / "hour.wav"
    minute = make_music(60, rate=8000)
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
        file.write(minute)
        for _ in range(59):
            file.write(0 * minute)
    page.choose(GOLDEN / "tone.wav")
    page.judged(1)
    heap, resident = page.heap(), page.resident()
    page.choose(path)
    page.wait("document.querySelectorAll('#songs progress:not([hidden])').length === 1")
    page.wait("document.querySelectorAll('#songs progress')[1].value > 0.35", 180)
    grown = (page.resident() - resident) / 1e6
    assert grown < 80, f"{grown:.0f} MB more in the midst of an hour"  # what was heard so far: 110 MB
    # And is let go of in its midst.
    page.tab.locator("#songs .drop-it").last.click()
    page.choose(GOLDEN / "tone.mp3")
    page.judged(2)
    grown = (page.heap() - heap) / 1e6
    assert grown < 4, f"{grown:.0f} MB more behind an hour"


# -- what a user sees and reaches


def test_the_head_follows_the_sound_and_the_keys(page, tune):
    page.choose(tune)
    page.judged(1)
    slider = page.tab.locator("[role=slider]")
    assert slider.get_attribute("aria-valuemax") == "47"
    slider.focus()
    for _ in range(3):
        page.tab.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuenow") == "15"
    assert slider.get_attribute("aria-valuetext").startswith("0:15, ")
    page.wait("Math.abs(document.querySelector('#player').currentTime - 15) < 0.5", 10)
    page.tab.keyboard.press("End")
    assert slider.get_attribute("aria-valuenow") == "47"
    box = slider.bounding_box()
    page.tab.mouse.click(box["x"] + 34 + (box["width"] - 46) / 2, box["y"] + 60)  # the middle of its axis
    page.wait("Math.abs(document.querySelector('#player').currentTime - 23.7) < 1", 10)
    words = slider.get_attribute("aria-valuetext")
    page.tab.evaluate("document.querySelector('#player').muted = true; document.querySelector('#player').play()")
    page.wait("document.querySelector('#player').currentTime > 25.5", 20)
    page.wait("+document.querySelector('[role=slider]').getAttribute('aria-valuenow') > 24", 5)
    assert page.tab.locator("svg .head").count() == 1
    assert page.tab.locator("svg circle.now").count() == 1
    assert words
    rows = page.tab.locator("#windows tbody tr")
    page.tab.click("#windows summary")
    assert rows.count() == 3
    assert rows.first.inner_text().split()[:2] == ["0:00", "0:30"]


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_accessible(chromium, address, tune, width, height, scheme):
    page = Page(chromium, address, width=width, height=height, color_scheme=scheme)
    page.choose(tune)
    page.judged(1)
    page.tab.click("#benchmark summary")
    page.tab.click("#windows summary")
    assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dark = page.tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(20, 23, 29)") == (scheme == "dark")
    page.tab.evaluate(axe())
    found = page.tab.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    assert not found, [(v["id"], [n["html"] for n in v["nodes"]]) for v in found]
    page.close()


def axe():
    from sentio_tf.web import npm

    package = npm.Package("axe-core", AXE[0], AXE[1], 708_405, "MPL-2.0", {"axe.min.js": "axe.js"})
    return npm.read(npm.fetch(package, cache_root()), package)["axe.js"].decode()


AXE = ("4.14.1", "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==")


def test_a_chosen_theme_stays(page):
    button = page.tab.locator("#theme")
    button.click()
    button.click()
    assert button.inner_text() == "Theme: dark"
    page.tab.reload()
    page.tab.wait_for_selector("body[data-ready]", timeout=1000 * READY_S)
    assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 29)"
    assert page.tab.locator("#theme").inner_text() == "Theme: dark"


def test_the_benchmark_measures(page):
    page.tab.click("#benchmark summary")
    page.tab.click("#measure")
    page.wait("document.querySelector('#latency').dataset.times")
    times = json.loads(page.tab.get_attribute("#latency", "data-times"))
    assert times["runs"] == 10
    assert 0 < times["median_ms"] <= times["p95_ms"]
    assert "times faster than the music plays" in page.tab.inner_text("#latency")
    assert page.tab.is_enabled("#measure")


# -- the microphone


def test_a_recording_is_judged(chromium, address, microphone, predictor):
    page = Page(chromium, address, permissions=["microphone"])
    page.tab.click("#record")
    page.wait("document.querySelector('#clock').textContent >= '0:06'", 30)
    assert page.tab.evaluate("document.querySelector('#level').value") > 0
    page.tab.click("#stop")
    page.judged(1)
    found = page.saved()
    assert found["path"].startswith("Recording")
    assert 5.5 < found["timeline"][0]["end_s"] < 10
    assert "repeated to fill it" in page.tab.inner_text("#notes")
    assert page.tab.is_visible("#drop")
    # The same sound as a file; where in it the recording began is not known.
    assert found["arousal"] == pytest.approx(predictor.predict(microphone).arousal, abs=0.5)
    page.close()


def test_an_interrupted_recording_is_judged_as_far_as_it_went(chromium, address):
    def before(page):
        page.tab.add_init_script(
            """const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async (what) => (window.stream = await ask(what));"""
        )

    page = Page(chromium, address, permissions=["microphone"], before=before)
    page.tab.click("#record")
    page.wait("document.querySelector('#clock').textContent >= '0:02'", 30)
    page.tab.evaluate("stream.getTracks()[0].dispatchEvent(new Event('ended'))")
    page.judged(1)
    assert "taken away after 0:0" in page.tab.inner_text("#trouble")
    assert page.saved()["windows"] == 1
    page.close()


def test_a_microphone_that_is_not_allowed(page):
    page.tab.evaluate(
        "void (navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError') })"
    )
    page.tab.click("#record")
    page.wait("!document.querySelector('#trouble').hidden", 10)
    assert "the microphone is not allowed" in page.tab.inner_text("#trouble")
    assert page.tab.is_enabled("#record")
    assert page.tab.is_visible("#drop")


# -- what goes wrong


def test_files_that_cannot_be_judged_say_why_and_stop_nobody(page, tmp_path):
    (tmp_path / "letter.txt").write_text("Dear reader, " * 100)
    (tmp_path / "empty.mp3").write_bytes(b"")
    soundfile.write(tmp_path / "silent.wav", np.zeros(44_100), 44_100)
    m4a = (GOLDEN / "tone.m4a").read_bytes()
    assert m4a.count(b"mp4a") == 1
    (tmp_path / "drm.m4a").write_bytes(m4a.replace(b"mp4a", b"drms"))
    (tmp_path / "cut.m4a").write_bytes(m4a[: len(m4a) // 3])
    names = ["letter.txt", "empty.mp3", "silent.wav", "drm.m4a", "cut.m4a"]
    page.choose(*(tmp_path / n for n in names), GOLDEN / "tone.wav")
    page.judged(len(names) + 1)
    said = dict(zip([*names, "tone.wav"], page.states(), strict=True))
    assert "expected a sound file such as wav, mp3" in said["letter.txt"]
    assert "expected a sound file" in said["empty.mp3"]
    assert said["silent.wav"] == "the file is silent throughout; there is nothing to judge"
    assert "is protected, and only its seller" in said["drm.m4a"]
    assert said["cut.m4a"].startswith("cut.m4a: ")
    assert said["tone.wav"].startswith("relaxed · ")
    assert page.tab.locator("#songs .failed").count() == len(names)


def test_damage_in_the_midst_leaves_what_was_heard(page, tmp_path, tune):
    content = tune.read_bytes()
    (tmp_path / "half.mp3").write_bytes(content[: len(content) // 2])
    page.choose(tmp_path / "half.mp3")
    page.judged(1)
    assert page.saved()["timeline"][0]["end_s"] == pytest.approx(29.1, abs=2)  # of 47.3, at a varying bit rate


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: None, "the model model.tflite is missing; write this page again with sentio-tf web"),
        (lambda model: model[:5000], "the TFLite model is cut short or damaged"),
        (lambda model: b"<html>" * 100, "received a file that is none"),
        (lambda model: model.replace(b'"sentio/1"', b'"sentio/9"'), "received sentio/9; update this app"),
        (lambda model: model.replace(b"sentio.json", b"sentio.nosj"), "received one without"),
    ],
)
def test_models_that_cannot_be_used(chromium, address, folder, change, said):
    def before(page):
        body = change((folder / "model.tflite").read_bytes())
        answer = {"status": 404} if body is None else {"body": body}
        page.context.route("**/model.tflite", lambda route: route.fulfill(**answer))

    page = Page(chromium, address, ready=False, before=before, service_workers="block")
    page.wait("!document.querySelector('#trouble').hidden", READY_S)
    assert said in page.tab.inner_text("#trouble")
    assert page.tab.is_disabled("#choose")
    page.close()


@pytest.mark.parametrize("size", ["enough", "too much"])
def test_a_browser_without_webcodecs_decodes_at_once(chromium, address, folder, tune, predictor, size):
    def before(page):
        worker = "self.AudioDecoder = undefined;\n" + (folder / "worker.js").read_text()
        headers = {"Content-Type": "text/javascript", "Cross-Origin-Embedder-Policy": "require-corp"}
        page.context.route("**/worker.js", lambda route: route.fulfill(body=worker, headers=headers))
        if size == "too much":
            script = (folder / "sentio" / "decode.js").read_text().replace("longestBytes = 60e6", "longestBytes = 1e5")
            page.context.route("**/decode.js", lambda route: route.fulfill(body=script, headers=headers))

    page = Page(chromium, address, before=before, service_workers="block")
    page.choose(tune)
    page.judged(1)
    if size == "enough":
        expected = predictor.predict(tune)
        found = page.saved()
        assert (found["valence"], found["arousal"]) == pytest.approx((expected.valence, expected.arousal), abs=CLOSE)
    else:
        assert "this browser decodes a file only as a whole" in page.states()[0]
    page.close()


def test_the_command_serves_what_it_wrote(chromium, tmp_path):
    command = [sys.executable, "-m", "sentio_tf", "web", str(tmp_path / "page"), "--serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline(), process.stdout.readline()]
            page = Page(chromium, lines[1].split()[0])
            assert page.tab.evaluate("crossOriginIsolated")
            assert find_model(live=True).stem in page.tab.inner_text("#status")
            page.close()
        finally:
            process.terminate()
