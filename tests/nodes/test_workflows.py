"""The workflows that ship with the pack: sound as the browser reads them, and runnable as the server does."""

import json
import shutil
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image

from tests.nodes.api_forms import LOADERS, NOTES, WORKFLOWS, api_form, widget_values, widgets_of
from tests.nodes.models import image

FILES = sorted(WORKFLOWS.glob("*.json"))
NAMES = [path.stem for path in FILES]
APPS = [name for name in NAMES if name[:2] in ("01", "03", "05", "06")]
TITLE_HEIGHT, GAP = 30, 40
LONG_SIDE = 64
SIDES = ("width", "height", "size", "style_size", "work_size")
FEW = {"iterations": 2, "scale_by": 1.0, "cell": 64} | dict.fromkeys(SIDES, 32)


@pytest.fixture(params=FILES, ids=NAMES)
def file(request):
    return request.param


@pytest.fixture
def workflow(file):
    return json.loads(file.read_text())


@pytest.fixture
def examples(comfy, tmp_path):
    """The examples in ComfyUI's input folder, small enough for a quick run."""
    from comfy_api.latest import InputImpl, Types

    for path in (WORKFLOWS / "examples").iterdir():
        target = tmp_path / "input" / path.name
        if path.suffix in (".jpg", ".png"):
            with Image.open(path) as picture:
                picture.thumbnail((LONG_SIDE, LONG_SIDE))
                picture.save(target)
        elif path.suffix == ".webp":
            with Image.open(path) as film:
                frames = []
                for i in range(3):
                    film.seek(i)
                    frames.append(film.copy().resize((48, 32)))
            frames[0].save(target, save_all=True, append_images=frames[1:])
        elif path.suffix == ".mp4":
            film = Types.VideoComponents(images=image(32, 48, batch=3), frame_rate=Fraction(16))
            InputImpl.VideoFromComponents(film).save_to(str(target))


def test_there_are_at_least_ten():
    assert len(FILES) >= 10


def test_each_has_a_preview_picture_that_browsers_show(file):
    with Image.open(file.with_suffix(".jpg")) as picture:
        assert picture.format == "JPEG" and 256 <= max(picture.size) <= 1024
    assert file.with_suffix(".jpg").stat().st_size < 150_000


def test_each_begins_with_a_short_note(workflow):
    (note,) = (n["widgets_values"][0] for n in workflow["nodes"] if n["type"] in NOTES)
    assert note.startswith("# ") and len(note) < 600


def test_titles_are_numbered_words_that_people_search_for():
    assert [name[:3] for name in NAMES] == [f"{i:02} " for i in range(1, len(NAMES) + 1)]
    for words in ("style transfer", "video", "mix", "colors", "high resolution", "gatys", "texture", "live", "film"):
        assert any(words in name.lower() for name in NAMES), words


def test_nodes_keep_a_distance_in_every_rendering(workflow):
    """The stored sizes are the larger ones of classic nodes and Nodes 2.0."""
    boxes = [(*n["pos"], *n["size"]) for n in workflow["nodes"]]
    for (x, y, width, height), (x2, y2, width2, height2) in combinations(boxes, 2):
        across = max(x - x2 - width2, x2 - x - width)
        below = max(y - y2 - height2, y2 - y - height) - TITLE_HEIGHT
        assert max(across, below) >= GAP, ((x, y), (x2, y2))


def test_some_open_as_an_app_from_pictures_to_results(comfy, file, workflow):
    app = workflow["extra"].get("linearData")
    assert bool(app) == bool(workflow["extra"].get("linearMode")) == (file.stem in APPS)
    if app:
        form = api_form(workflow, comfy.nodes)
        for id, widget in app["inputs"]:
            assert not isinstance(form[str(id)]["inputs"][widget], list), (id, widget)
        assert {form[str(id)]["class_type"] for id, _ in app["inputs"]} >= {"LoadImage"}
        for id in app["outputs"]:
            assert comfy.nodes[form[str(id)]["class_type"]].define_schema().is_output_node


def test_the_ui_form_has_what_the_browser_requires(workflow):
    assert {"last_node_id", "last_link_id", "nodes", "links", "version"} <= workflow.keys()
    ids = [node["id"] for node in workflow["nodes"]]
    assert len(ids) == len(set(ids)) and max(ids) == workflow["last_node_id"]
    for node in workflow["nodes"]:
        assert {"type", "pos", "size", "flags", "order", "mode", "properties", "inputs", "outputs"} <= node.keys()


def test_every_link_joins_an_output_and_an_input_of_its_type(comfy, workflow):
    by_id = {node["id"]: node for node in workflow["nodes"]}
    links = {link[0]: link for link in workflow["links"]}
    for number, source, output, target, slot, kind in workflow["links"]:
        assert number in by_id[source]["outputs"][output]["links"]
        assert by_id[target]["inputs"][slot]["link"] == number
        given = comfy.nodes[by_id[source]["type"]].define_schema().outputs[output].io_type
        wanted = {i.id: i.io_type for i in comfy.nodes[by_id[target]["type"]].define_schema().inputs}
        wish = wanted[by_id[target]["inputs"][slot]["name"]]
        assert given == kind and (kind in wish.split(",") or wish == "*")
    for node in workflow["nodes"]:
        assert all(i["link"] is None or i["link"] in links for i in node["inputs"])
        assert all(number in links for o in node["outputs"] for number in o["links"] or [])


def test_sockets_and_outputs_are_those_of_the_nodes(comfy, workflow):
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        schema = comfy.nodes[node["type"]].define_schema()
        widgets = {i.id for i in widgets_of(comfy.nodes[node["type"]])}
        sockets = {i.id for i in schema.inputs} - widgets
        assert {i["name"] for i in node["inputs"]} <= sockets
        required = {i.id for i in schema.inputs if not i.optional} - widgets
        assert required <= {i["name"] for i in node["inputs"] if i["link"] is not None}
        assert [o["name"] for o in node["outputs"]] == [o.display_name or o.io_type for o in schema.outputs]


def test_every_widget_value_is_one_that_the_widget_takes(comfy, examples, workflow):
    kinds = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool, "COMBO": str}
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        values = widget_values(node, comfy.nodes[node["type"]])
        for widget in widgets_of(comfy.nodes[node["type"]]):
            value = values[widget.id]
            assert isinstance(value, kinds[widget.io_type]), (node["type"], widget.id, value)
            if widget.io_type == "COMBO":
                assert value in widget.options["options"], (node["type"], widget.id, value)
            elif "min" in widget.options:
                assert widget.options["min"] <= value <= widget.options["max"]


def test_they_use_only_the_examples_and_embedded_models(workflow):
    available = {path.name for path in (WORKFLOWS / "examples").iterdir()}
    for node in workflow["nodes"]:
        if node["type"].startswith(LOADERS):
            assert node["widgets_values"][0] in available
        if node["type"] == "AdaINModelLoader":
            assert not node["widgets_values"][0].endswith(".safetensors")


def test_the_api_form_is_that_of_the_ui_form(comfy, file, workflow):
    stored = json.loads((WORKFLOWS / "api" / file.name).read_text())
    assert stored == api_form(workflow, comfy.nodes), "run python -m tests.nodes.api_forms"


def test_the_api_form_runs_and_ends_in_pictures(comfy, examples, file):
    form = json.loads((WORKFLOWS / "api" / file.name).read_text())
    for node in form.values():
        node["inputs"] |= {key: value for key, value in FEW.items() if node["inputs"].get(key)}
    results = comfy.run(form)
    ends = ("PreviewImage", "SaveAnimatedWEBP", "SaveVideo")
    shown = [r.ui.image for id, r in results.items() if form[id]["class_type"] in ends]
    assert shown and all(image.std() > 0.01 and image.isfinite().all() for image in shown)


def test_saved_styles_stay_in_the_servers_folder(comfy, examples, tmp_path):
    comfy.run(json.loads((WORKFLOWS / "api" / "11 Style library - save and load styles.json").read_text()))
    assert [path.name for path in Path(tmp_path).rglob("hatching*")] == ["hatching_00001_.safetensors"]
    shutil.rmtree(tmp_path / "models" / "adain_styles")
