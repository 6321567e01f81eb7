"""The command line, Python and the nodes have the same options under the same names."""

import inspect
from dataclasses import is_dataclass
from importlib import import_module

import pytest

from adain_core import options
from adain_core.cli import make_parser
from adain_core.options import FilmOptions, Options
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.runtime.tables import Table, options_of
from tests.nodes.api_forms import widgets_of
from tests.nodes.models import image

FILES = {"help", "content", "style", "out", "overwrite", "skip_existing", "json"}
# The nodes have these in Load AdaIN Model; ComfyUI itself chooses the device.
LOADING = {"model", "decoder", "device", "dtype", "tile_memory"}
# A film's style is made before: by compute_style_stats, mix and StyleTimeline, by Compute Style Stats and Mix Styles.
MAKING_A_STYLE = {"style_mask", "style_size", "style_scale", "weights", "keyframe"}

# What lists files on the user's disk is in no table.
LISTED = {("AdaINLoadStyle", "style")}
TABLES = [table for _, table in inspect.getmembers(options, is_dataclass) if issubclass(table, Table)]
OPTIONS = [option for table in TABLES for option in options_of(table).values()]


def at_the_command_line(command):
    (commands,) = make_parser()._subparsers._group_actions
    names = {action.dest for action in commands.choices[command]._actions} - FILES
    return {"regions" if name == "region" else name for name in names}


def in_python(*functions):
    names = {name for function in functions for name in inspect.signature(function).parameters}
    return names - {"self", "content", "style", "frames", "progress"}


def in_the_node(comfy, name):
    return {i.id for i in comfy.nodes[name].define_schema().inputs} - {"model", "content", "frames", "video", "style"}


def test_pictures(comfy):
    options = at_the_command_line("stylize")
    given = in_python(StyleTransfer.stylize, StyleTransfer.from_pretrained) - {"options"}
    assert given | options_of(Options).keys() == options
    assert in_the_node(comfy, "AdaINStylize") - {"batch"} == options - LOADING - {"weights"}


def test_films(comfy):
    options = at_the_command_line("video") - LOADING - MAKING_A_STYLE
    assert {"mask", "regions"} | (options_of(Options).keys() - MAKING_A_STYLE) | options_of(
        FilmOptions
    ).keys() == options
    for node in ("AdaINStylizeVideo", "AdaINStylizeFilm"):
        assert in_the_node(comfy, node) - {"style_end"} == options
    assert in_python(StyleTransfer.compute_style_stats) >= {"mask", "style_size", "style_scale"}


def test_loading(comfy):
    options = LOADING & at_the_command_line("stylize")
    assert in_python(StyleTransfer.from_pretrained) == options == LOADING
    assert in_the_node(comfy, "AdaINModelLoader") == {"decoder", "precision", "hub_address"}


def test_every_widget_says_and_takes_what_the_table_says(comfy):
    widgets = [(id, i) for id, node in comfy.nodes.items() if id.startswith("AdaIN") for i in widgets_of(node)]
    assert len(widgets) > 40
    for widget in (widget for id, widget in widgets if (id, widget.id) not in LISTED):
        said = widget.options
        (option,) = [option for option in OPTIONS if said["tooltip"].startswith(option.sentence)]
        if widget.io_type in ("INT", "FLOAT"):
            low = 0 if option.unset and not option.many else option.low
            assert (said["min"], said["max"], said.get("step")) == (low, option.high, option.step), widget.id
        if widget.io_type in ("INT", "FLOAT", "BOOLEAN") and not option.many:
            assert said["default"] == (option.default or 0), widget.id
        if widget.io_type == "COMBO":
            assert set(option.choices) <= set(said["options"]), widget.id
            assert said["default"] == option.default or (
                option.default is None and said["default"] in ("off", option.unset)
            )
        assert said.get("display") == ("slider" if widget.id == "alpha" else None)


def test_what_stands_for_nothing_in_a_node_is_none_and_texts_become_numbers(pack):
    inputs = import_module(f"{pack.__name__}.nodes.inputs")
    table = import_module(f"{pack.__name__}.adain_core.options")
    chosen = inputs.from_inputs(table.Options, alpha=0, size=0, work_size=64, keep_colors="off", tile="256")
    assert chosen == table.Options(alpha=0, size=None, work_size=64, keep_colors=None, tile=256)
    assert inputs.from_inputs(table.Options, tile="off", keep_colors="luminance").tile == "off"


def test_a_connected_number_out_of_range_is_refused_in_the_words_of_the_table(comfy, tiny):
    options = {"alpha": 1.0, "transform": "adain", "size": 0, "work_size": -8, "style_scale": 1.0, "tile": "auto"}
    with pytest.raises(ValueError, match="work_size is -8; expected a whole number from 1 to 16384"):
        call = {"content": image(), "style": image(), "keep_colors": "off", "batch": "one style"}
        comfy.nodes["AdaINStylize"].call("execute", "1", {"model": tiny} | call | options)
