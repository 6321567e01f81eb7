"""The pack in a real ComfyUI: set COMFYUI_PATH to its folder, and COMFYUI_PYTHON to its interpreter where that is
another one than that of the tests."""

import io
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
from pathlib import Path

import av
import pytest
from PIL import Image, ImageStat

from tests.comfyui.server import Server
from tests.helpers import ROOT
from tests.nodes.fake import FAKE

WORKFLOWS = sorted((ROOT / "workflows" / "api").glob("*.json"))
NAME = "some-folder.name"

pytestmark = pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI folder")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(Path(os.environ["COMFYUI_PATH"]), tmp_path_factory.mktemp("comfyui") / "base", NAME)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def object_info(server):
    return server.get("/object_info")


def fake_info(version):
    """What the fake of a version, or of the newest on record, says of all nodes, from a process of its own."""
    program = f"""
import json, sys, tempfile
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(FAKE)!r}]
from tests.nodes.fake import import_pack, start
from comfy_api import latest
latest.use({version!r} if {version!r} in latest.FACTS else latest.NEWEST)
nodes = start(import_pack(), Path(tempfile.mkdtemp())).nodes
print(json.dumps({{name: node.info() for name, node in nodes.items()}}))
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def sockets(info):
    """Name, type and, for the pack's own, whether it is required and every option of each input."""
    own = info["name"].startswith("AdaIN")
    found = {}
    for part in ("required", "optional"):
        for name, (kind, *options) in info["input"].get(part, {}).items():
            settings = dict(options[0]) if options and own else {}
            # Lists of files differ, and so do values that the server adds of its own accord.
            settings = {k: v for k, v in settings.items() if k not in ("options", "multiselect", "multiline")}
            # A choice may bring further inputs in newer versions.
            choice = isinstance(kind, list) or kind.startswith("COMFY_DYNAMICCOMBO")
            found[part if own else "", name] = ("COMBO" if choice else kind, settings)
    return found


def test_the_nodes_are_those_of_the_fake(server, object_info):
    for name, fake in fake_info(server.get("/system_stats")["system"]["comfyui_version"]).items():
        real = object_info[name]
        assert sockets(fake).items() <= sockets(real).items(), name
        assert list(real["output"])[: len(fake["output"])] == fake["output"], name
        # Newer servers give core nodes more inputs and outputs; the pack's own are the same everywhere.
        if name.startswith("AdaIN"):
            assert len(sockets(real)) == len(sockets(fake)) and len(real["output"]) == len(fake["output"]), name
            for key in ("output_name", "output_tooltips", "display_name", "description", "category", "output_node"):
                assert real[key] == fake[key], (name, key)


def test_its_api_is_the_recorded_one():
    recorder, folder = ROOT / "tests" / "comfyui" / "record_api.py", Path(os.environ["COMFYUI_PATH"])
    command = [os.environ.get("COMFYUI_PYTHON", sys.executable), str(recorder), str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    ((version, facts),) = json.loads(answer.stdout.splitlines()[-1]).items()
    recorded = json.loads((FAKE / "api.json").read_text())
    if version not in recorded:
        pytest.skip(f"there is no record of ComfyUI {version}")
    assert facts == recorded[version]


def test_templates_help_and_locales_are_served(server, object_info):
    templates = server.get("/workflow_templates")[NAME]
    assert sorted(templates) == [path.stem for path in WORKFLOWS]
    folder = f"/api/workflow_templates/{NAME}"
    picture = Image.open(io.BytesIO(server.get(f"{folder}/{urllib.parse.quote(templates[0])}.jpg")))
    assert picture.format == "JPEG"
    for node in (name for name in object_info if name.startswith("AdaIN")):
        for language in ("en", "fr", "zh"):
            assert server.get(f"/extensions/{NAME}/docs/{node}/{language}.md").startswith(b"# ")
            assert node in server.get("/i18n")[language]["nodeDefs"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_every_workflow_runs_and_shows_pictures(server, path):
    run = server.wait(server.queue(json.loads(path.read_text())))
    assert run["status"]["status_str"] == "success", run["status"]
    images = [image for output in run["outputs"].values() for image in output.get("images", [])]
    assert images
    for image in images:
        data = io.BytesIO(server.get("/view?" + urllib.parse.urlencode(image)))
        if image["filename"].endswith(".mp4"):
            with av.open(data) as film:
                shown = next(film.decode(video=0)).to_image()
        else:
            shown = Image.open(data)
        assert min(ImageStat.Stat(shown.convert("L")).stddev) > 3


def test_the_browser_gets_the_thumbnails_of_the_styles_that_are_listed_and_of_nothing_else(server, object_info):
    route = "/adain/thumbnail?style="
    for style in ("flow.safetensors", "cubism/delaunay-eiffel-tower.safetensors"):
        picture = Image.open(io.BytesIO(server.get(route + urllib.parse.quote(style))))
        assert picture.format == "JPEG" and max(picture.size) == 96
    for name in ("", "nothing.safetensors", "../adain/lite.safetensors"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            server.get(route + urllib.parse.quote(name))


@pytest.mark.parametrize(
    ("node", "name", "value"),
    [("AdaINModelLoader", "model", "../../secret.safetensors"), ("AdaINStylize", "transform", "nonsense")],
)
def test_a_bad_choice_is_one_error_at_its_input(server, node, name, value):
    texts = [path.read_text() for path in WORKFLOWS]
    workflow = json.loads(next(text for text in texts if "AdaINModelLoader" in text and "AdaINStylize" in text))
    next(n for n in workflow.values() if n["class_type"] == node)["inputs"][name] = value
    answer = server.post("/prompt", {"prompt": workflow})
    if answer["node_errors"]:
        ((wrong,),) = [refused["errors"] for refused in answer["node_errors"].values()]
        assert wrong["extra_info"]["input_name"] == name and value in wrong["details"]
    else:  # versions that do not look at such choices before the run
        (refusal,) = [
            said["exception_message"]
            for kind, said in server.wait(answer["prompt_id"])["status"]["messages"]
            if kind == "execution_error"
        ]
        assert f"'{name}' is '{value}'" in refusal


def test_stop_ends_a_run_within_a_second_or_so(server):
    workflow = {
        "1": {
            "class_type": "AdaINModelLoader",
            "inputs": {"model": "lite", "decoder": "the model's own", "precision": "float32"},
        },
        "2": {"class_type": "LoadImage", "inputs": {"image": "photo_astronaut.jpg"}},
        "3": {"class_type": "LoadImage", "inputs": {"image": "style_flow.jpg"}},
        "4": {
            "class_type": "AdaINGatys",
            "inputs": {
                "model": ["1", 0],
                "content": ["2", 0],
                "style": ["3", 0],
                "size": 512,
                "style_weight": 1.0,
                "init": "content",
                "preset": "gatys",
                "iterations": 10000,
                "optimizer": "adam",
                "seed": 0,
            },
        },
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
    }
    run = server.queue(workflow)
    time.sleep(6)
    server.post("/interrupt", {})
    start = time.monotonic()
    status = server.wait(run, 30)["status"]
    assert any(kind == "execution_interrupted" for kind, _ in status["messages"]), status
    assert time.monotonic() - start < 3
