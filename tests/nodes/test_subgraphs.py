"""The blueprints that ComfyUI's search for nodes offers: sound, and runnable with pictures at their sockets."""

import json

import pytest
from PIL import Image

from tests.helpers import ROOT
from tests.nodes.api_forms import WORKFLOWS, widget_values

FILES = sorted((ROOT / "subgraphs").glob("*.json"))
OUTSIDE = (-10, -20)


def test_their_names_are_what_people_search_for():
    assert {path.stem for path in FILES} == {"Mix Two Styles", "Style Transfer", "Style Transfer Video"}


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_blueprint_is_one_node_that_runs(comfy, tmp_path, path):
    blueprint = json.loads(path.read_text())
    (outer,), (graph,) = blueprint["nodes"], blueprint["definitions"]["subgraphs"]
    assert outer["type"] == graph["id"] and outer["title"] == graph["name"] == path.stem
    assert [i["name"] for i in outer["inputs"]] == [i["name"] for i in graph["inputs"]]
    assert all(outside not in [node["id"] for node in graph["nodes"]] for outside in OUTSIDE)

    form = {}
    for node in graph["nodes"]:
        kind = comfy.nodes[node["type"]]
        known = {i.id: i.io_type for i in kind.define_schema().inputs}
        assert {i["name"]: i["type"] for i in node["inputs"]}.items() <= known.items()
        assert [o["type"] for o in node["outputs"]] == [o.io_type for o in kind.define_schema().outputs]
        form[str(node["id"])] = {"class_type": node["type"], "inputs": widget_values(node, kind)}
    values = dict(zip((i["name"] for i in outer["inputs"] if "widget" in i), outer["widgets_values"], strict=True))
    assert outer["properties"]["proxyWidgets"] == [["-1", name] for name in values]

    with Image.open(WORKFLOWS / "examples" / "style_flow.jpg") as picture:
        picture.resize((48, 40)).save(tmp_path / "input" / "picture.png")
    form["picture"] = {"class_type": "LoadImage", "inputs": {"image": "picture.png"}}
    form["film"] = {"class_type": "CreateVideo", "inputs": {"images": ["picture", 0], "fps": 25}}
    for link in graph["links"]:
        source, target = link["origin_id"], link["target_id"]
        if target == OUTSIDE[1]:
            (output,) = graph["outputs"]
            assert link["id"] in output["linkIds"] and output["type"] == link["type"]
            result = [str(source), link["origin_slot"]]
            if output["type"] == "VIDEO":
                form["frames"] = {"class_type": "GetVideoComponents", "inputs": {"video": result}}
                result = ["frames", 0]
            form["result"] = {"class_type": "PreviewImage", "inputs": {"images": result}}
            continue
        (node,) = (node for node in graph["nodes"] if node["id"] == target)
        socket = node["inputs"][link["target_slot"]]
        assert socket["link"] == link["id"]
        value = [str(source), link["origin_slot"]]
        if source == OUTSIDE[0]:
            given = graph["inputs"][link["origin_slot"]]
            assert link["id"] in given["linkIds"] and given["type"] == socket["type"]
            value = values.get(given["name"], ["film" if given["type"] == "VIDEO" else "picture", 0])
            if given["name"] in values:
                assert form[str(target)]["inputs"][socket["name"]] == value
        form[str(target)]["inputs"][socket["name"]] = value
    image = comfy.run(form)["result"].ui.image
    assert image.shape == (1, 40, 48, 3) and image.std() > 0.01
