"""The page of a report in headless Chromium: it fits the window, says nothing on the console, and its script works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest

from sentio_tf.evaluation import report

from .test_report import ABOUT, NETWORK, an_evaluation, songs

CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome")) if p), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium installed"),
    pytest.mark.skipif(os.name == "nt", reason="Chromium's pipe needs file descriptors 3 and 4"),
]


class Browser:
    """Chromium's DevTools protocol over its pipe: JSON ended by a zero byte on descriptors 3 (in) and 4 (out)."""

    def __init__(self, profile, *options: str) -> None:
        here, self.write = os.pipe()
        self.read, there = os.pipe()

        def connect() -> None:  # in the child; first out of the way of 3 and 4, then onto them
            high = [os.dup2(fd, 100 + fd) for fd in (here, there)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             f"--user-data-dir={profile}", *options, "about:blank"],
            close_fds=False, preexec_fn=connect, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(here)
        os.close(there)
        self.buffer, self.number, self.events = b"", 0, []
        self.session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def message(self) -> dict:
        while b"\0" not in self.buffer:
            block = os.read(self.read, 1 << 16)
            assert block, "Chromium has ended"
            self.buffer += block
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def call(self, method: str, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def run(self, script: str):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def open(self, path) -> None:
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        for _ in range(200):
            if self.run("document.readyState") == "complete" and self.run("location.href") == path.as_uri():
                return
            time.sleep(0.05)
        raise AssertionError("the page does not load")

    def complaints(self) -> list:
        """What the console and the network had to say."""
        bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled", "Network.loadingFailed")
        return [e for e in self.events if e["method"] in bad]

    def requests(self) -> list[str]:
        found = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in found if not url.startswith("data:")]

    def close(self) -> None:
        self.session = ""
        self.call("Browser.close")
        self.process.wait(20)
        os.close(self.read)
        os.close(self.write)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    predictions = songs()
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report.render(an_evaluation(predictions), predictions, NETWORK, ABOUT), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [320, 390, 768, 910, 1280])
def test_nothing_is_wider_than_the_window(browser, page, width):
    browser.size(width, 800)
    browser.open(page)
    assert browser.run("innerWidth") == width
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = !d.closest('header'); })")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("document.querySelectorAll('main svg.chart').length") > 10
    # What is wider than its place scrolls there.
    assert browser.run(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg, .sr, thead') &&"
        " e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"
    ) == []  # fmt: skip


def test_on_paper(browser, page):
    browser.size(720, 1000)  # A4 within its margins
    browser.open(page)
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    gone = "[...document.querySelectorAll('{}')].filter(e => !e.checkVisibility()).length"
    assert browser.run(gone.format("main svg *:not(title)")) == 0
    assert browser.run(gone.format("main details p")) == 0
    assert browser.run(gone.format("header")) == 1
    browser.call("Emulation.setEmulatedMedia", media="", features=[])


def test_the_console_is_silent_and_nothing_is_loaded(browser, page):
    browser.size(1280, 800)
    browser.open(page)
    browser.run("document.querySelectorAll('svg[data-songs]').forEach(s => s.dispatchEvent(new PointerEvent("
                "'pointermove', {clientX: 1, clientY: 1})))")  # fmt: skip
    assert browser.complaints() == []
    assert browser.requests() == [page.as_uri()]


def place(browser, mark: int) -> tuple[float, float]:
    """Where on the window a song of the first plane is."""
    browser.run("document.querySelector('#songs svg').scrollIntoView({block: 'center'})")
    # What scrolls hides the read-out, a frame later.
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    x, y = browser.run(
        f"(() => {{ const svg = document.querySelector('#songs svg');"
        f" const mark = svg.querySelectorAll('[data-marks]')[1].children[{mark}];"
        f" const [x, y] = mark.getAttribute('d').match(/-?[\\d.]+/g).map(Number);"
        f" const p = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM()); return [p.x, p.y]; }})()"
    )
    return x, y


def test_a_song_is_read_out_under_the_pointer(browser, page, tmp_path):
    predictions = songs(3, kinds=(("rated", "rating"),))
    predictions.estimated[:] = [[0.5, 0.5], [-0.5, 0.5], [0.0, -0.75]]
    predictions.track_id[0] = "<b>first</b>"
    path = tmp_path / "three.html"
    path.write_text(report.render(an_evaluation(predictions), predictions, [], {}), encoding="utf-8")
    browser.size(1280, 800)
    browser.open(path)
    x, y = place(browser, 0)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 3, y=y)
    shown = browser.run("document.getElementById('tip').innerText")
    assert "<b>first</b>" in shown
    assert "model (0.50, 0.50)" in shown
    assert browser.run("document.querySelectorAll('.hot').length") == 2 + 2 + 2  # wedge, dot; two axes, two charts
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 90, y=y)
    assert browser.run("document.getElementById('tip').hidden")
    # By keyboard, from left to right.
    read = []
    browser.run("document.querySelector('#songs svg').focus()")
    for _ in range(3):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
        read.append(browser.run("document.getElementById('tip').innerText.split('model ')[1]"))
    assert read == ["(−0.50, 0.50)", "(0.00, −0.75)", "(0.50, 0.50)"]
    assert browser.complaints() == []


def test_filters(browser, page):
    browser.size(1280, 800)
    browser.open(page)
    choose = "(() => {{ const s = document.querySelector('[data-filter={}]'); s.value = '{}'; "
    choose += "s.dispatchEvent(new Event('change')); }})()"
    drawn = "[...document.querySelectorAll('#songs svg [data-marks] > :not(.off)')].length"
    whole = browser.run(drawn)
    browser.run(choose.format("fold", "2"))
    expected = sum(f == "2" for f in songs().fold)
    assert browser.run("document.getElementById('shown').textContent") == f"{expected} songs are shown."
    assert browser.run("[...document.querySelectorAll('.worst tbody tr:not([hidden])')].every("
                       "r => r.dataset.fold === '2')")  # fmt: skip
    browser.run(choose.format("corpus", "1"))
    assert browser.run("[...document.querySelectorAll('#songs figure')].map(f => f.hidden)") == [True, False]
    browser.run(choose.format("quadrant", "Q1"))
    predictions = songs()
    kept = [
        f == "2" and c == "signs" and (r > 0).all()
        for f, c, r in zip(predictions.fold, predictions.corpus, predictions.reference, strict=True)
    ]
    assert browser.run("document.getElementById('shown').textContent") == f"{sum(kept)} songs are shown."
    for name in ("fold", "corpus", "quadrant"):
        browser.run(choose.format(name, ""))
    assert browser.run(drawn) == whole
    assert browser.complaints() == []


def test_tables_sort(browser, page):
    browser.size(1280, 800)
    browser.open(page)
    errors = "[...document.querySelector('.worst').tBodies[0].rows].map(r => +r.cells[r.cells.length - 1].dataset.v)"
    button = "[...document.querySelector('.worst').querySelectorAll('th button')].pop().click()"
    before = browser.run(errors)
    browser.run(button)
    assert browser.run(errors) == sorted(before)
    browser.run(button)
    assert browser.run(errors) == sorted(before, reverse=True)


def test_without_script_everything_can_be_read(browser, page):
    browser.size(390, 800)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.call("Page.navigate", url=page.as_uri())
        time.sleep(1)
        tree = browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        filters = browser.call(
            "DOM.querySelectorAll", nodeId=tree, selector=".filter:not([hidden]), button:not([hidden])"
        )
        charts = browser.call("DOM.querySelectorAll", nodeId=tree, selector="svg.chart")
        assert filters["nodeIds"] == []
        assert len(charts["nodeIds"]) > 10
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_have_contrast(browser, page, scheme):
    """4.5 for text and 3 for what is drawn, against what is behind it (WCAG 2.1, AA)."""
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(page)
    found = browser.run(
        "Object.fromEntries(['paper', 'raised', 'ink', 'muted', 'valence', 'arousal', 'other', 'q1', 'q2', 'q3', 'q4']"
        ".map(n => [n, getComputedStyle(document.documentElement).getPropertyValue('--' + n).trim()]))"
    )

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a: str, b: str) -> float:
        high, low = sorted((light(found[a]), light(found[b])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for ground in ("paper", "raised", "q1", "q2", "q3", "q4"):
        for text in ("ink", "muted"):
            assert contrast(text, ground) >= 4.5, (text, ground)
        assert contrast("other", ground) >= 3, ground
    for axis in ("valence", "arousal"):
        assert contrast(axis, "paper") >= 3
    assert (light(found["paper"]) > 0.5) == (scheme == "light")
    browser.call("Emulation.setEmulatedMedia", features=[])
