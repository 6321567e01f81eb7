"""The part of ``comfy_api.latest`` that the nodes use, as strict as one of the versions in ``api.json``."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field, fields, make_dataclass
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from . import video

FACTS = json.loads((Path(__file__).parents[1] / "api.json").read_text())
"""By version: the fields of ``io.Schema`` and the arguments of inputs, from ``tests/comfyui/record_api.py``."""


class _Input:
    """Takes the options that its type has in ComfyUI, under the names that the server sends to the browser."""

    io_type: ClassVar[str]
    accepted: ClassVar[frozenset[str]]

    def __init__(self, id: str, *, optional: bool = False, **options: Any) -> None:
        unknown = options.keys() - self.accepted
        if unknown:
            raise TypeError(f"{self.io_type}.Input has no argument {', '.join(sorted(unknown))}")
        self.id, self.optional = id, optional
        if "advanced" in self.accepted:
            self.advanced = options.get("advanced")
        self.options = {"display" if key == "display_mode" else key: value for key, value in options.items()}

    def as_dict(self) -> dict[str, Any]:
        return self.options | ({"advanced": True} if getattr(self, "advanced", None) else {})


@dataclass
class _Output:
    id: str | None = None
    display_name: str | None = None
    tooltip: str | None = None


def _type(name: str) -> Any:
    """A type of wires; without a widget it takes what IMAGE takes."""
    return SimpleNamespace(
        Input=type("Input", (_Input,), {"io_type": name}), Output=type("Output", (_Output,), {"io_type": name})
    )


class _MultiType:
    class Input(_Input):
        """Takes what any of several types gives."""

        def __init__(self, id: str, types: list[Any], **options: Any) -> None:
            super().__init__(id, **options)
            self.io_type = ",".join(kind.Output.io_type for kind in types)


class _NumberDisplay(StrEnum):
    number = "number"
    slider = "slider"


class _Hidden(StrEnum):
    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"


@dataclass
class _Schema:
    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[_Input] = field(default_factory=list)
    outputs: list[_Output] = field(default_factory=list)
    hidden: list[_Hidden] = field(default_factory=list)
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False

    def __post_init__(self) -> None:
        names = [i.id for i in self.inputs] + [o.id for o in self.outputs if o.id]
        if len(names) != len(set(names)):
            raise ValueError(f"Ids of inputs and outputs must be unique: {names}")


class _NodeOutput:
    def __init__(
        self, *args: Any, ui: Any = None, expand: dict | None = None, block_execution: str | None = None
    ) -> None:
        self.args, self.ui = args, ui


class _ComfyNode:
    hidden: ClassVar[SimpleNamespace | None] = None

    @classmethod
    def info(cls) -> dict[str, Any]:
        """What ``/object_info`` says of the node."""
        schema = cls.define_schema()
        inputs: dict[str, dict[str, Any]] = {}
        for i in schema.inputs:
            inputs.setdefault("optional" if i.optional else "required", {})[i.id] = [i.io_type, i.as_dict()]
        return {
            "input": inputs,
            "output": [o.io_type for o in schema.outputs],
            "output_name": [o.display_name or o.io_type for o in schema.outputs],
            "output_tooltips": [o.tooltip for o in schema.outputs],
            "name": schema.node_id,
            "display_name": schema.display_name,
            "description": schema.description,
            "category": schema.category,
            "output_node": schema.is_output_node,
        }

    @classmethod
    def call(cls, method: str, node_id: str, arguments: dict[str, Any]) -> Any:
        """Call a class method as ComfyUI does: on a copy of the class that refuses new attributes."""

        def locked(owner: type, name: str, value: Any) -> None:
            raise AttributeError(f"Cannot modify class attribute '{name}' on locked class '{owner.__name__}'")

        meta = type("Locked", (type(cls),), {"__setattr__": locked})
        members = {"hidden": SimpleNamespace(unique_id=node_id, prompt=None, extra_pnginfo=None)}
        return inspect.getattr_static(cls, method).__func__(meta(cls.__name__, (cls,), members), **arguments)


class _PreviewImage:
    def __init__(self, image: Any, animated: bool = False, cls: Any = None) -> None:
        self.image = image


class _PreviewText:
    def __init__(self, value: str) -> None:
        self.value = value


# Classes, not modules: `from comfy_api.latest.io import ...` fails in 0.3.64.
class io:
    Custom = staticmethod(_type)
    MultiType = _MultiType
    Input, Output = _Input, _Output
    Boolean, Int, Float, String, Combo = map(_type, ("BOOLEAN", "INT", "FLOAT", "STRING", "COMBO"))
    Image = _type("IMAGE")
    Mask = _type("MASK")
    Video = _type("VIDEO")
    NumberDisplay, Hidden = _NumberDisplay, _Hidden
    Schema, ComfyNode, NodeOutput = _Schema, _ComfyNode, _NodeOutput


class ui:
    PreviewImage, PreviewText = _PreviewImage, _PreviewText


class Input:
    Video = video.VideoInput


class InputImpl:
    VideoFromFile, VideoFromComponents = video.VideoFromFile, video.VideoFromComponents


class Types:
    VideoComponents = video.VideoComponents


class ComfyExtension:
    async def get_node_list(self) -> list[type[_ComfyNode]]:
        raise NotImplementedError


def use(version: str) -> None:
    """Take what this version of ComfyUI takes."""
    facts = FACTS[version]
    _Input.accepted = frozenset(facts["inputs"]["Image"])
    for name in ("Boolean", "Int", "Float", "String", "Combo"):
        getattr(io, name).Input.accepted = frozenset(facts["inputs"][name])
    later = [(name, Any, field(default=None)) for name in facts["schema"] if name not in _FIELDS]
    io.Schema = make_dataclass("Schema", later, bases=(_Schema,))
    if version == OLDEST:
        InputImpl.VideoFromFile, InputImpl.VideoFromComponents = video.VideoFromFile, video.VideoFromComponents
    else:
        InputImpl.VideoFromFile, InputImpl.VideoFromComponents = video.TrimmableVideo, video.BufferableComponents


_FIELDS = {known.name for known in fields(_Schema)}
OLDEST, NEWEST = FACTS
use(OLDEST)
