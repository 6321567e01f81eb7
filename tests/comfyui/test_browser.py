"""The workflows in ComfyUI's browser front end: needs COMFYUI_PATH, playwright, and Chromium at CHROMIUM_PATH."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.comfyui.server import Server
from tests.helpers import ROOT

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
CHROMIUM = os.environ.get("CHROMIUM_PATH", "/usr/bin/chromium")
# What front ends, old and new, add of their own to an output widget.
_ADDED_BY_BROWSER = {"preview", "previewMode"}

pytestmark = [
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI folder"),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"there is no browser at {CHROMIUM}"),
]

LOAD = """async ([workflow, name]) => {
    await window.app.loadGraphData(workflow, true, true, name)
    const prompt = await window.app.graphToPrompt()
    return prompt.output
}"""
MISSING = """() => window.app.graph._nodes.map(node => node.type).filter(
    type => !(type in window.LiteGraph.registered_node_types))"""
READY = "() => window.app?.graph && window.LiteGraph?.registered_node_types['AdaINStylize']"
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    sync_api = pytest.importorskip("playwright.sync_api")
    server = Server(Path(os.environ["COMFYUI_PATH"]), tmp_path_factory.mktemp("comfyui") / "base", "adain")
    with ExitStack() as stack:
        stack.callback(server.stop)
        playwright = stack.enter_context(sync_api.sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = stack.enter_context(browser).new_page()
        page.goto(server.url, wait_until="domcontentloaded", timeout=PATIENCE_MS)
        page.wait_for_function(READY, timeout=PATIENCE_MS)
        yield page


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_the_browser_reads_a_workflow_as_its_api_form_says(page, path):
    sent = page.evaluate(LOAD, [json.loads(path.read_text()), path.stem])
    assert page.evaluate(MISSING) == []
    assert page.query_selector_all(".p-toast-message") == []
    stored = json.loads((ROOT / "workflows" / "api" / path.name).read_text())
    assert sent.keys() == stored.keys()
    for id, node in stored.items():
        inputs = {name: value for name, value in sent[id]["inputs"].items() if name not in _ADDED_BY_BROWSER}
        assert (sent[id]["class_type"], inputs) == (node["class_type"], node["inputs"])
