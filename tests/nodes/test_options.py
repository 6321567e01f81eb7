"""The command line, Python and the nodes have the same options under the same names."""

import inspect

from adain_core.cli import make_parser
from adain_core.films.smoothing import stylize_frames
from adain_core.pipeline.transfer import StyleTransfer

FILES = {"help", "content", "style", "out", "overwrite"}
# The nodes have these in Load AdaIN Model; ComfyUI itself chooses the device.
LOADING = {"model", "decoder", "device", "dtype", "tile_memory"}
# A film's style is made before: by compute_style_stats, mix and StyleTimeline, by Compute Style Stats and Mix Styles.
MAKING_A_STYLE = {"style_mask", "style_size", "style_scale", "weights", "keyframe"}


def at_the_command_line(command):
    (commands,) = make_parser()._subparsers._group_actions
    names = {action.dest for action in commands.choices[command]._actions} - FILES
    return {"regions" if name == "region" else name for name in names}


def in_python(*functions):
    names = {name for function in functions for name in inspect.signature(function).parameters}
    return names - {"self", "content", "style", "frames", "progress"}


def in_the_node(comfy, name):
    return {i.id for i in comfy.nodes[name].define_schema().inputs} - {"model", "content", "frames", "style"}


def test_pictures(comfy):
    options = at_the_command_line("stylize")
    assert in_python(StyleTransfer.__call__, StyleTransfer.from_pretrained) == options
    assert in_the_node(comfy, "AdaINStylize") - {"batch"} == options - LOADING - {"weights"}


def test_films(comfy):
    options = at_the_command_line("video") - LOADING - MAKING_A_STYLE
    assert in_python(stylize_frames) - {"model"} == options
    assert in_the_node(comfy, "AdaINStylizeVideo") - {"style_end"} == options
    assert in_python(StyleTransfer.compute_style_stats) >= {"mask", "style_size", "style_scale"}


def test_loading(comfy):
    options = LOADING & at_the_command_line("stylize")
    assert in_python(StyleTransfer.from_pretrained) == options == LOADING
    assert in_the_node(comfy, "AdaINModelLoader") == {"decoder", "precision", "hub_address"}
