"""The pack in ComfyUI's browser front end: needs COMFYUI_PATH, playwright, and Chromium at CHROMIUM_PATH."""

import json
import os
import urllib.error
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.comfyui.server import Server
from tests.helpers import ROOT

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
CHROMIUM = os.environ.get("CHROMIUM_PATH", "/usr/bin/chromium")
PACK = "any-name.of_the_pack"
# What front ends, old and new, add of their own to widgets that show or save.
_ADDED_BY_BROWSER = {"preview", "previewMode", "video-preview", "format.codec"}

pytestmark = [
    pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI folder"),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"there is no browser at {CHROMIUM}"),
]

LOAD = """async ([workflow, name]) => {
    await window.app.loadGraphData(workflow, true, true, name)
    const prompt = await window.app.graphToPrompt()
    return prompt.output
}"""
# Nodes that are unknown, marked by the front end, or have a choice that their list lacks.
RED = """() => window.app.graph._nodes.filter(node => !(node.type in window.LiteGraph.registered_node_types)
    || node.has_errors || (node.widgets ?? []).some(
        ({type, options, value}) => type === 'combo' && Array.isArray(options.values) && !options.values.includes(value)
    )).map(node => node.type)"""
OVERLAPS = """() => {
    const boxes = window.app.graph._nodes.map(({pos, size, title}) => ({title, left: pos[0], top: pos[1] - 30,
        right: pos[0] + size[0], bottom: pos[1] + size[1]}))
    return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b => a.left < b.right && b.left < a.right
        && a.top < b.bottom && b.top < a.bottom).map(b => [a.title, b.title]))
}"""
RUN = """() => new Promise((resolve) => {
    const { api } = window.comfyAPI.api
    for (const end of ["execution_success", "execution_error"]) {
        api.addEventListener(end, () => resolve(end), { once: true })
    }
    window.app.extensionManager.command.execute("Comfy.QueuePrompt")
})"""
THUMBNAILS = """async (names) => {
    window.app.graph.clear()
    const node = window.LiteGraph.createNode("AdaINLoadStyle")
    window.app.graph.add(node)
    const [style, { element }] = node.widgets
    const shown = []
    for (const name of names) {
        style.value = name
        style.callback?.(name)
        await element.decode()
        shown.push([element.src, element.naturalWidth])
    }
    return shown
}"""
READY = "() => window.app?.graph && window.LiteGraph?.registered_node_types['AdaINStylize']"
PATIENCE_MS = 120_000
SETTLE_MS = 1_000
NODES_2_SINCE = (1, 49)
SEARCH_BOX = "input[role=combobox]:visible"
EMPTY_SPOT = (1000, 700)

BY_NAME = [
    ("adain", "AdaINBlend"),
    ("style transfer", "AdaINStylize"),
    ("stylize", "AdaINStylize"),
    ("gatys", "AdaINGatys"),
    ("texture", "AdaINTextureSynthesis"),
]
BY_ALIAS = [
    ("neural style", "AdaINStylize"),
    ("artistic", "AdaINStylize"),
    ("van gogh", "AdaINStylize"),
    ("flicker", "AdaINStylizeVideo"),
    ("contact sheet", "AdaINStyleGrid"),
    ("keep colors", "AdaINPreserveColor"),
    ("style library", "AdaINLoadStyle"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(Path(os.environ["COMFYUI_PATH"]), tmp_path_factory.mktemp("comfyui") / "base", PACK, examples=False)
    yield server
    server.stop()


@pytest.fixture(scope="module", params=[False, True], ids=["classic", "nodes-2.0"])
def page(server, request):
    sync_api = pytest.importorskip("playwright.sync_api")
    server.post("/settings", {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": request.param})
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_api.sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = stack.enter_context(browser).new_page(viewport={"width": 1600, "height": 1000})
        for file in server.input.glob("*.*"):
            file.unlink()
        page.goto(server.url, wait_until="domcontentloaded", timeout=PATIENCE_MS)
        page.wait_for_function(READY, timeout=PATIENCE_MS)
        page.wait_for_timeout(SETTLE_MS)
        assert not list(server.input.glob("*.*")), "nothing is copied before a workflow asks for it"
        yield page


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_a_template_opens_without_a_red_node_and_with_what_its_api_form_says(page, server, path):
    sent = page.evaluate(LOAD, [json.loads(path.read_text()), path.stem])
    assert page.evaluate(RED) == []
    assert page.query_selector_all(".p-toast-message") == []
    stored = json.loads((ROOT / "workflows" / "api" / path.name).read_text())
    assert sent.keys() == stored.keys()
    for id, node in stored.items():
        inputs = {name: value for name, value in sent[id]["inputs"].items() if name not in _ADDED_BY_BROWSER}
        assert (sent[id]["class_type"], inputs) == (node["class_type"], node["inputs"])
        for example in [node["inputs"].get(key) for key in ("image", "file") if node["class_type"].startswith("Load")]:
            if example:
                assert (server.input / example).read_bytes() == (ROOT / "workflows/examples" / example).read_bytes()


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_the_nodes_of_a_template_do_not_overlap(page, server, path):
    version = page.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__")
    if server.get("/settings")["Comfy.VueNodes.Enabled"] and tuple(map(int, version.split(".")[:2])) < NODES_2_SINCE:
        pytest.skip(f"Nodes 2.0 of front end {version} is an experiment that gives nodes sizes of its own")
    page.evaluate(LOAD, [json.loads(path.read_text()) | {"extra": {}}, path.stem])
    page.wait_for_timeout(SETTLE_MS)
    assert page.evaluate(OVERLAPS) == []


def test_the_first_template_runs_at_the_first_press_of_run(page):
    page.evaluate(LOAD, [json.loads(WORKFLOWS[0].read_text()), WORKFLOWS[0].stem])
    assert page.evaluate(RUN) == "execution_success"


def test_load_style_shows_the_thumbnail_of_what_is_chosen(page):
    names = ["flow.safetensors", "cubism/delaunay-eiffel-tower.safetensors"]
    shown = page.evaluate(THUMBNAILS, names)
    assert [source.split("=")[-1] for source, _ in shown] == [quote(name, safe="") for name in names]
    assert [width for _, width in shown] == [96, 96]


def test_only_graphs_with_a_node_of_this_pack_ask_for_pictures(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/examples/" in request.url else None)
    loader = {"id": 1, "type": "LoadImage", "pos": [0, 0], "size": [280, 314], "mode": 0}
    loader |= {"inputs": [], "outputs": [], "widgets_values": ["../nowhere.png", "image"]}
    graph = {"nodes": [loader], "links": [], "version": 0.4, "last_node_id": 2, "last_link_id": 0}
    page.evaluate(LOAD, [graph, "another"])
    assert asked == []
    own = {"id": 2, "type": "AdaINEncode", "pos": [400, 0], "size": [280, 78], "mode": 0, "inputs": [], "outputs": []}
    page.evaluate(LOAD, [graph | {"nodes": [loader, own]}, "own"])
    assert len(asked) == 1 and PACK in asked[0]


def test_a_file_of_the_users_own_is_kept(page, server):
    """Even one that the browser does not know of yet."""
    own = server.input / "style_woodcut.jpg"
    own.unlink(missing_ok=True)
    page.evaluate("() => window.app.refreshComboInNodes()")
    own.write_bytes((ROOT / "workflows" / "examples" / "style_mosaic.jpg").read_bytes())
    before = own.read_bytes()
    path = next(path for path in WORKFLOWS if own.name in path.read_text())
    sent = page.evaluate(LOAD, [json.loads(path.read_text()), path.stem])
    assert own.read_bytes() == before and page.evaluate(RED) == []
    chosen = {node["inputs"]["image"] for node in sent.values() if node["class_type"] == "LoadImage"}
    assert "style_woodcut (1).jpg" in chosen


def search(page, query):
    """The first lines of what the search for nodes lists."""
    page.evaluate("() => window.app.graph.clear()")
    page.mouse.dblclick(*EMPTY_SPOT)
    page.wait_for_timeout(SETTLE_MS)
    if not page.locator(SEARCH_BOX).count():  # a click too soon after the last search only ends that
        page.mouse.dblclick(*EMPTY_SPOT)
    page.locator(SEARCH_BOX).fill(query)
    page.get_by_role("option").filter(has_text="AdaIN", visible=True).first.wait_for()
    page.wait_for_timeout(SETTLE_MS)
    found = [option.inner_text().strip() for option in page.query_selector_all("[role=option]") if option.is_visible()]
    page.keyboard.press("Escape")
    page.locator(SEARCH_BOX).wait_for(state="hidden")
    page.wait_for_timeout(SETTLE_MS)
    return [text.splitlines()[0].strip() for text in found if text]


@pytest.mark.parametrize(("query", "wanted"), BY_NAME + BY_ALIAS)
def test_the_search_for_nodes_lists_the_right_one_among_the_first_five(page, server, query, wanted):
    info = server.get(f"/object_info/{wanted}")[wanted]
    if (query, wanted) in BY_ALIAS and "search_aliases" not in info:
        pytest.skip("this ComfyUI searches names alone")
    assert info["display_name"] in search(page, query)[:5]


def test_the_search_offers_the_blueprints(page, server):
    names = [path.stem for path in (ROOT / "subgraphs").glob("*.json")]
    try:
        server.get("/global_subgraphs")
    except urllib.error.HTTPError:
        pytest.skip("this ComfyUI has no blueprints")
    for name in names:
        assert name in search(page, name)[:5]
