"""What users see of the nodes before they run them: names, tooltips, help and translations."""

import dataclasses
import inspect
import json
import re
import subprocess
import sys
from itertools import groupby

import pytest

from tests.helpers import ROOT
from tests.nodes.api_forms import WIDGETS
from tests.nodes.documents import ADVICE, LANGUAGES, documents, help_page
from tests.nodes.fake import FAKE
from tests.nodes.models import save_model

IDS = [
    "AdaINModelLoader",
    "AdaINEncode",
    "AdaINComputeStyleStats",
    "AdaINMixStyles",
    "AdaINBlend",
    "AdaINDecode",
    "AdaINStylize",
    "AdaINRegion",
    "AdaINSaveStyle",
    "AdaINLoadStyle",
    "AdaINPreserveColor",
    "AdaINStylizeFilm",
    "AdaINStylizeVideo",
    "AdaINGatys",
    "AdaINTextureSynthesis",
    "AdaINStyleGrid",
    "AdaINMeasure",
]


@pytest.fixture(params=IDS)
def schema(comfy, request):
    return comfy.nodes[request.param].define_schema()


def locale(language):
    return json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))


def test_all_nodes_are_there_under_names_of_their_own(comfy):
    own = [node.define_schema() for id, node in comfy.nodes.items() if id.startswith("AdaIN")]
    assert [schema.node_id for schema in own] == IDS
    assert len({schema.display_name for schema in own}) == len(IDS)


def test_every_node_has_the_pack_in_its_name_and_stands_in_its_category(schema):
    assert "AdaIN" in schema.display_name and schema.category == "AdaIN"


def test_each_version_of_comfyui_gets_the_fields_that_it_knows(comfy):
    """Both versions' facts; one that a version lacks is a TypeError there, and no node of the pack would load."""
    from comfy_api import latest

    said = {}
    try:
        for version, facts in latest.FACTS.items():
            latest.use(version)
            assert {field.name for field in dataclasses.fields(latest.io.Schema)} == set(facts["schema"])
            said[version] = [comfy.nodes[id].define_schema() for id in IDS]
    finally:
        latest.use(latest.OLDEST)
    assert not any(hasattr(schema, "search_aliases") for schema in said[latest.OLDEST])
    assert not any(i.as_dict().get("advanced") for schema in said[latest.OLDEST] for i in schema.inputs)
    for schema in said[latest.NEWEST]:
        shown = [i for i in schema.inputs if i.io_type in WIDGETS and not i.as_dict().get("advanced")]
        assert len(shown) <= 4 or schema.node_id == "AdaINMixStyles"
        assert len(schema.search_aliases) == len(set(schema.search_aliases)) > 0
        assert all(alias == alias.lower() for alias in schema.search_aliases)
    with pytest.raises(TypeError, match="search_aliases"):
        latest.io.Schema("AdaINStylize", search_aliases=["style transfer"])


def test_every_node_and_socket_is_described(schema):
    assert schema.description.endswith(".")
    for i in schema.inputs:
        assert i.options["tooltip"].endswith("."), i.id
    for output in schema.outputs:
        assert output.display_name and output.tooltip.endswith("."), output


def test_every_number_has_a_default_within_its_range(schema):
    for i in schema.inputs:
        if i.io_type in ("INT", "FLOAT"):
            assert i.options["min"] <= i.options["default"] <= i.options["max"], i.id
            assert i.io_type == "INT" or i.options["step"] > 0, i.id
        elif i.io_type in ("STRING", "BOOLEAN"):
            assert "default" in i.options, i.id
        elif i.io_type == "COMBO":
            assert i.options.get("default", i.options["options"][0]) in i.options["options"], i.id


def test_a_choice_that_no_combo_has_is_refused_by_name(comfy, schema):
    """The node alone, before it looks at anything else."""
    node = comfy.nodes[schema.node_id]
    for i in (i for i in schema.inputs if i.io_type == "COMBO"):
        if hasattr(node, "validate_inputs") and i.id in inspect.signature(node.validate_inputs).parameters:
            answer = node.call("validate_inputs", "1", {i.id: "nonsense"})
            assert f"'{i.id}' is 'nonsense'" in answer and i.options["options"][0] in answer
            assert all(node.call("validate_inputs", "1", {i.id: choice}) is True for choice in i.options["options"])
            continue
        arguments = {name: None for name in inspect.signature(node.execute).parameters if name != "inputs"}
        with pytest.raises(ValueError, match=f"'{i.id}' is 'nonsense'; expected one of") as refusal:
            node.call("execute", "1", arguments | {i.id: "nonsense"})
        assert all(choice in str(refusal.value) for choice in i.options["options"])


def test_no_node_names_several_inputs_in_its_validation(comfy, schema):
    """ComfyUI would blame each of them for what is wrong with one."""
    validate = getattr(comfy.nodes[schema.node_id], "validate_inputs", None)
    assert validate is None or len(inspect.signature(validate).parameters) == 1


def test_the_loader_lists_what_people_want_first(comfy):
    save_model("own.safetensors")
    names = comfy.nodes["AdaINModelLoader"].define_schema().inputs[0].options["options"]
    assert names[:2] == ["lite", "lite-large"]
    kinds = [re.split(r"[-.]", name)[0] for name in names]
    assert [kind for kind, _ in groupby(kinds)] == ["lite", "vgg19", "own", "vgg19", "study"]


def test_the_english_locale_and_the_help_pages_are_those_made_from_the_nodes(comfy):
    made = dict(documents(comfy.nodes))
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run python -m tests.nodes.documents"
        # ComfyUI looks for a help page's pictures from docs on.
        for picture in re.findall(r"!\[.+\]\((.+)\)", text):
            assert (ROOT / "web" / "docs" / picture).is_file(), picture
    assert set((ROOT / "web").rglob("*.md")) | {ROOT / "locales" / "en" / "nodeDefs.json"} == made.keys()
    prose = {f"{id}.{language}.md" for id in IDS for language in LANGUAGES}
    assert {path.name for path in (ROOT / "docs" / "nodes").iterdir()} == prose


@pytest.mark.parametrize("language", ["fr", "zh"])
def test_translations_are_complete_and_differ_from_the_english(schema, language):
    english, said = locale("en")[schema.node_id], locale(language)[schema.node_id]
    for part in ("inputs", "outputs"):
        assert said[part].keys() == english[part].keys()
        for key, entry in said[part].items():
            assert entry["name"] and entry["tooltip"] != english[part][key]["tooltip"], (part, key)
    assert said["description"] != english["description"]


def test_a_help_page_names_inputs_as_workflows_do_and_says_what_the_locale_says():
    said = {
        "display_name": "Mélanger",
        "description": "Mélange.",
        "inputs": {"style_1": {"name": "style 1", "tooltip": "Un style."}, "size": {"name": "size", "tooltip": "n."}},
        "outputs": {"0": {"name": "résultat", "tooltip": "Le résultat."}},
    }
    page = help_page(said, {"0": {"name": "image"}}, "Deux.\n\nTrois.\n", "fr")
    inputs = "- **style_1** (style 1) : Un style.\n- **size** : n."
    outputs = "- **image** (résultat) : Le résultat."
    head = "# Mélanger\n\nMélange.\n\nDeux.\n\nTrois."
    advice = f"[Le résultat ne va pas : que régler ? (en anglais)]({ADVICE})"
    assert page == f"{head}\n\n## Entrées\n\n{inputs}\n\n## Sorties\n\n{outputs}\n\n{advice}\n"


def test_the_advice_that_help_pages_end_with_is_a_page_of_the_repository():
    assert (ROOT / ADVICE.partition("/blob/main/")[2]).is_file()


def test_the_styles_that_come_with_the_pack_fit_the_embedded_model(comfy):
    (model,) = comfy.call("AdaINModelLoader", model="lite")
    names = comfy.nodes["AdaINLoadStyle"].info()["input"]["required"]["style"][1]["options"]
    assert {"flow.safetensors", "woodcut-and-ink/wadsworth-rotterdam.safetensors"} <= {*names}
    for name in (name for name in names if not name.startswith("study-")):
        (style,) = comfy.call("AdaINLoadStyle", style=name)
        assert style.space == model.space, "run python workflows/examples/make_library.py"


def test_requirements_leave_torch_to_comfyui():
    lines = (ROOT / "requirements.txt").read_text().split()
    assert lines and not any(line.startswith(("torch", "numpy", "pillow")) for line in lines)


def test_importing_takes_less_than_a_second_beyond_torch_and_opens_no_connection():
    program = f"""
import asyncio, importlib.util, socket, sys, tempfile, time
from pathlib import Path
sys.path.insert(0, {str(FAKE)!r})
import numpy, torch, folder_paths
folder_paths.use(Path(tempfile.mkdtemp()))
def refuse(*_):
    raise OSError("no network here")
socket.socket.connect = refuse
name = "/ComfyUI/custom_nodes/another_x_folder-1"
start = time.process_time()
spec = importlib.util.spec_from_file_location(name, {str(ROOT / "__init__.py")!r})
pack = importlib.util.module_from_spec(spec)
sys.modules[name] = pack
spec.loader.exec_module(pack)
nodes = asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())
for node in nodes:
    node.define_schema()
print(len(nodes), time.process_time() - start)
"""
    command = [sys.executable, "-c", program]
    count, seconds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(count) == len(IDS) and float(seconds) < 1


def test_importing_outside_comfyui_offers_nothing_and_does_not_fail():
    program = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('pack', {str(ROOT / '__init__.py')!r})\n"
        "pack = importlib.util.module_from_spec(spec)\n"
        "sys.modules['pack'] = pack\n"
        "spec.loader.exec_module(pack)\n"
        "assert not hasattr(pack, 'comfy_entrypoint') and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT.parent)
