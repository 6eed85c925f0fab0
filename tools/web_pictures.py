"""docs/web.png: the page at a desktop's and a phone's width, with the bundled tune and composed songs.

python tools/web_pictures.py
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from sentio_tf.config import cache_root
from sentio_tf.web import write_page
from sentio_tf.web.server import serve

HERE = Path(__file__).parents[1]
GAP = 36


def picture(browser: Browser, url: str, songs: list[Path], size: tuple[int, int], scheme: str) -> Image.Image:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2,
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("body[data-ready]", timeout=300_000)
    page.set_input_files("#files", [str(s) for s in songs])
    for song in songs:
        done = f"#songs li:has(.name:text-is('{song.name}')) .state:text-matches('^[a-z]+ · ')"
        page.wait_for_selector(done, timeout=600_000)
    page.click(f"#songs .pick:has(.name:text-is('{songs[0].name}'))")
    page.locator("[role=slider]").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.evaluate("document.activeElement.blur()")
    page.evaluate("window.scrollTo(0, innerWidth < 500 ? document.querySelector('#result').offsetTop - 16 : 0)")
    page.wait_for_timeout(500)
    found = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    return found.convert("RGB")


def main() -> None:
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        folder = Path(place)
        command = [sys.executable, "-m", "sentio_tf", "data", "demo", str(folder / "demo"), "--songs", "8"]
        subprocess.run([*command, "--seconds", "75"], check=True, stdout=subprocess.DEVNULL)
        songs = [HERE / "sentio_tf" / "assets" / "two_moods.mp3", *sorted((folder / "demo" / "audio").iterdir())[:3]]
        write_page(folder / "page", cache=cache_root())
        with serve(folder / "page", 0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}/"
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            desk = picture(browser, url, songs, (1180, 860), "light")
            phone = picture(browser, url, songs[:1], (400, 860), "dark")
            browser.close()
            server.shutdown()
    whole = Image.new("RGB", (desk.width + phone.width + GAP, desk.height), "white")
    whole.paste(desk, (0, 0))
    whole.paste(phone, (desk.width + GAP, 0))
    whole = whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.LANCZOS)
    whole.save(HERE / "docs" / "web.png", optimize=True)


if __name__ == "__main__":
    main()
