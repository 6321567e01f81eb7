"""A library of styles: small files to keep and to share."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths
from comfy.model_management import intermediate_device
from comfy_api.latest import io

from ..adain_core.models.weights import EMBEDDED_STYLES
from ..adain_core.options import StyleOptions
from ..adain_core.styles.stats import StyleStats
from .inputs import option_input
from .models import file_digest, register_folder
from .schema import node_schema
from .types import AdaINStyle

FOLDER = "adain_styles"


def register_styles() -> None:
    """List the styles in ``models/adain_styles`` and those that come with the pack."""
    register_folder(FOLDER)
    folder_paths.add_model_folder_path(FOLDER, str(EMBEDDED_STYLES))


def style_path(name: str) -> Path:
    """The file of a style that Load Style lists; nothing else is ever opened.

    Raises:
        ValueError: the name is not listed.
    """
    # Windows lists subfolders with backslashes, a workflow from elsewhere names them with slashes.
    names = {listed.replace("\\", "/"): listed for listed in folder_paths.get_filename_list(FOLDER)}
    listed = names.get(name.replace("\\", "/"))
    if listed is None:
        raise ValueError(
            f"'style' is '{name}', which is not there. Expected one of: {', '.join(names)}. Files belong into"
            f" {folder_paths.get_folder_paths(FOLDER)[0]}; press R to see new ones."
        )
    return Path(folder_paths.get_full_path_or_raise(FOLDER, listed))


class AdaINSaveStyle(io.ComfyNode):
    """A style to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINSaveStyle",
            "AdaIN Save Style",
            aliases=["export style", "style file", "style library"],
            description="Saves a style to models/adain_styles as a file of a few kilobytes, with a thumbnail. Load"
            " Style lists it after a press of R. Nothing is ever overwritten.",
            is_output_node=True,
            inputs=[
                AdaINStyle.Input("style", tooltip="From Compute Style Stats or Mix Styles; a batch gives several."),
                option_input(StyleOptions, "filename_prefix"),
            ],
            outputs=[io.String.Output(display_name="filename", tooltip="The name that Load Style will list.")],
        )

    @classmethod
    def execute(cls, style: StyleStats, filename_prefix: str) -> io.NodeOutput:
        root = os.path.abspath(folder_paths.get_folder_paths(FOLDER)[0])
        Path(root).mkdir(parents=True, exist_ok=True)
        # ComfyUI counts the files of a prefix that ends in a slash, or of an empty one, as none.
        wanted = os.path.normpath(filename_prefix.strip() or ".")
        folder, prefix, counter, _, _ = folder_paths.get_save_image_path("style" if wanted == "." else wanted, root)
        names = []
        for i in range(style.count):
            while (path := Path(folder) / f"{prefix}_{counter:05}_.safetensors").exists():
                counter += 1
            style.part(slice(i, i + 1)).save(path, name=prefix)
            names.append(path.relative_to(root).as_posix())
        return io.NodeOutput("\n".join(names))


class AdaINLoadStyle(io.ComfyNode):
    """A file to a style."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return node_schema(
            "AdaINLoadStyle",
            "AdaIN Load Style",
            aliases=["style library", "style file", "style preset", "ready-made style"],
            description="Loads one of the styles that come with the pack, or one that was saved with Save Style. It"
            " fits the model that it was measured with.",
            inputs=[
                io.Combo.Input(
                    "style",
                    options=folder_paths.get_filename_list(FOLDER),
                    tooltip="A style that comes with the pack, or a file in models/adain_styles. Press R after saving.",
                )
            ],
            outputs=[AdaINStyle.Output(display_name="style", tooltip="For AdaIN Blend and Mix Styles.")],
        )

    @classmethod
    def validate_inputs(cls, style: str | None = None) -> bool | str:
        try:
            return style is None or bool(style_path(style))
        except ValueError as error:
            return str(error)

    @classmethod
    def fingerprint_inputs(cls, style: str | None = None) -> str:
        return "" if style is None else file_digest(style_path(style))

    @classmethod
    def execute(cls, style: str) -> io.NodeOutput:
        return io.NodeOutput(StyleStats.load(style_path(style)).to(intermediate_device()))
