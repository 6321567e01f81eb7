"""The built site in a browser: needs `make site`, playwright, and Chromium at CHROMIUM_PATH."""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

import adain_core
from adain_core import StyleTransfer
from tests.helpers import ROOT

SITE = ROOT / "out" / "site"
FILES = "https://github.com/comfyui-adain/adain-style-transfer/blob/main/"
CHROMIUM = os.environ.get("CHROMIUM_PATH", "/usr/bin/chromium")
PATIENCE_MS = 120_000
PAGE_LIMIT = 20_000_000
PAINTED = "() => !document.body.classList.contains('busy') && !document.getElementById('save').disabled"
PIXELS = "() => document.getElementById('canvas').toDataURL()"
DROP = """([selector, name, bytes]) => {
    const data = new DataTransfer()
    data.items.add(new File([new Uint8Array(bytes)], name))
    for (const type of ["dragenter", "dragover", "drop"]) {
        document.querySelector(selector).dispatchEvent(
            new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }))
    }
}"""

pytestmark = [
    pytest.mark.skipif(not SITE.is_dir(), reason="the site is not built: make site"),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"there is no browser at {CHROMIUM}"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def requests() -> list[Any]:
    """What the demo's page asked for while it was open."""
    return []


@pytest.fixture(scope="module")
def opened(browser: Any, address: str, requests: list[Any]) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page.set_default_timeout(PATIENCE_MS)
    page.on("request", lambda request: requests.append(request))
    page.goto(f"{address}demo/")
    page.wait_for_function(PAINTED)
    yield page
    page.close()


@pytest.fixture
def demo(opened: Any) -> Any:
    """The demo as it opens: the first photo in the first style."""
    opened.reload()
    opened.wait_for_function(PAINTED)
    return opened


def after(demo: Any, action: Any) -> str:
    """The picture that an action leads to."""
    action()
    demo.wait_for_function(PAINTED)
    return demo.evaluate(PIXELS)


def slide(demo: Any, name: str, value: float) -> str:
    return after(demo, lambda: demo.locator(f"#{name}").fill(str(value)))


def drop(demo: Any, selector: str, path: Path) -> None:
    demo.evaluate(DROP, [selector, path.name, list(path.read_bytes())])


def size_of(demo: Any) -> list[int]:
    return demo.evaluate("() => [canvas.width, canvas.height]")


def test_the_first_picture_needs_nothing_from_elsewhere_and_little(opened, address, requests):
    """One way to the files, nothing sent back, and without a graphics card none of WebGPU's 27 MB."""
    assert all(request.url.startswith((address, "blob:")) and request.method == "GET" for request in requests)
    names = {request.url.rsplit("/", 1)[-1] for request in requests}
    assert {"ort-wasm-simd-threaded.wasm", "style.onnx", "paint.onnx"} <= names
    files = {SITE / request.url.removeprefix(address) for request in requests if request.url.startswith(address)}
    assert sum((path / "index.html" if path.is_dir() else path).stat().st_size for path in files) < PAGE_LIMIT


def test_the_picture_is_what_python_paints(demo, examples, tmp_path):
    model = StyleTransfer.from_pretrained("lite", dtype="float32")
    content, style = (
        Image.open(SITE / "demo" / "pictures" / name) for name in ("photo_astronaut.jpg", "style_flow.jpg")
    )
    expected = np.asarray(model(content, style, alpha=0.5), np.int16)
    slide(demo, "alpha", 0.5)
    with demo.expect_download() as download:
        demo.click("#save")
    assert download.value.suggested_filename == "Astronaut - Flow.png"
    saved = Image.open(download.value.path())
    assert np.abs(np.asarray(saved.convert("RGB"), np.int16) - expected).max() <= 2


def test_sliders_change_the_picture_and_back_is_the_same_picture(demo):
    full = demo.evaluate(PIXELS)
    half = slide(demo, "alpha", 0.5)
    assert half != full and demo.inner_text("output[for=alpha]") == "0.50"
    assert slide(demo, "alpha", 1) == full


def test_the_weight_leads_from_one_style_to_the_other(demo):
    flow = demo.evaluate(PIXELS)
    assert demo.is_disabled("#weight")
    half = after(demo, lambda: demo.get_by_role("group", name="Second style").get_by_label("Mosaic").check(force=True))
    assert half != flow and slide(demo, "weight", 0) == flow
    mosaic = slide(demo, "weight", 1)
    after(demo, lambda: demo.get_by_role("group", name="Second style").get_by_label("None").check(force=True))
    assert mosaic == after(
        demo, lambda: demo.get_by_role("group", name="Style", exact=True).get_by_label("Mosaic").check(force=True)
    )


@pytest.mark.parametrize("selector", ["#content", "header"])
def test_a_photo_of_6000_pixels_that_is_dropped_anywhere_is_made_smaller(demo, tmp_path, selector):
    Image.new("RGB", (6000, 4000), "teal").save(tmp_path / "large.png")
    after(demo, lambda: drop(demo, selector, tmp_path / "large.png"))
    assert size_of(demo) == [576, 384]
    after(demo, lambda: demo.select_option("#size", "256"))
    assert size_of(demo) == [384, 256]


@pytest.mark.parametrize(
    ("sides", "expected"), [((1, 1), [16, 16]), ((2000, 30), [2000, 30]), ((9000, 400), [3643, 162])]
)
def test_pictures_of_odd_shapes_are_painted(demo, tmp_path, sides, expected):
    Image.new("RGB", sides, "teal").save(tmp_path / "odd.png")
    after(demo, lambda: drop(demo, "#content", tmp_path / "odd.png"))
    assert size_of(demo) == expected and demo.is_hidden("#error")


def test_a_picture_of_ones_own_is_a_style_in_both_lists(demo, examples):
    before = demo.evaluate(PIXELS)
    assert after(demo, lambda: drop(demo, "#style", examples / "photo_coffee.jpg")) != before
    assert demo.get_by_label("photo_coffee.jpg").count() == 2
    assert demo.locator("input[name=style]:checked + img").get_attribute("src").startswith("blob:")


@pytest.mark.parametrize("selector", ["#content", "#style"])
def test_a_broken_file_is_refused_in_words_and_changes_nothing(demo, tmp_path, selector):
    before = demo.evaluate(PIXELS)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    drop(demo, selector, tmp_path / "broken.jpg")
    demo.wait_for_selector("#error:visible")
    assert "broken.jpg cannot be read as a picture" in demo.inner_text("#error")
    assert slide(demo, "alpha", 0.5) != before
    assert slide(demo, "alpha", 1) == before


def test_a_file_can_be_chosen_and_sliders_moved_by_keyboard(demo, examples):
    before = demo.evaluate(PIXELS)
    demo.set_input_files("#content input", examples / "photo_rocket.jpg")
    demo.wait_for_function(PAINTED)
    rocket = demo.evaluate(PIXELS)
    assert rocket != before
    demo.focus("#alpha")
    assert after(demo, lambda: demo.keyboard.press("ArrowLeft")) != rocket
    demo.focus("input[name=style]:checked")
    demo.keyboard.press("ArrowRight")
    assert demo.get_by_role("group", name="Style", exact=True).get_by_label("Hatching").is_checked()


def test_on_a_phone_nothing_is_wider_than_the_screen(demo):
    demo.set_viewport_size({"width": 360, "height": 740})
    assert demo.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_without_the_models_the_page_says_so(browser, address):
    page = browser.new_page()
    page.route("**/paint.onnx", lambda route: route.fulfill(status=404))
    page.goto(f"{address}demo/")
    page.wait_for_selector("#error:visible", timeout=PATIENCE_MS)
    assert "model could not be loaded" in page.inner_text("#error")
    page.close()


def test_every_public_name_has_its_place_on_the_python_page():
    page = (SITE / "python" / "index.html").read_text(encoding="utf-8")
    assert not [name for name in adain_core.__all__ if not re.search(rf'id="?adain_core\.{name}["> ]', page)]


def test_every_link_and_picture_of_the_pages_leads_somewhere():
    for page in SITE.rglob("*.html"):
        if page.name == "404.html":
            continue
        for link in re.findall(r'(?:href|src)="?([^"\s>#?]+)', page.read_text(encoding="utf-8")):
            if link.startswith(FILES):
                assert (ROOT / unquote(link.removeprefix(FILES))).exists(), (page, link)
            elif not re.match(r"[a-z]+:", link):
                target = page.parent / unquote(link)
                assert target.is_file() or (target / "index.html").is_file(), (page, link)
