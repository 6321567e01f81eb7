"""Inputs from the table of options, with widgets that ComfyUI has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from comfy_api.latest import io

from ..adain_core.options import Batch, Options
from ..adain_core.runtime.tables import Option, Table, options_of

MERGE, EACH = get_args(Batch)
OFF = "off"
Chosen = TypeVar("Chosen", bound=Table)

_TILES = ("256", "512", "1024", "2048")


def connected(inputs: Mapping[str, Any], name: str, most: int) -> dict[int, Any]:
    """What is connected to the inputs ``name_1``, ``name_2``, ..., by their numbers."""
    values = {i: inputs.get(f"{name}_{i}") for i in range(1, most + 1)}
    return {i: value for i, value in values.items() if value is not None}


def check_choices(node: type[io.ComfyNode], **choices: str) -> None:
    """Make sure that a node's combos have these choices. Newer versions of ComfyUI refuse others before the run, at the
    input where they are; of a ``validate_inputs`` with several arguments all would be blamed.

    Raises:
        ValueError: one has not, with what it has.
    """
    for i in node.define_schema().inputs:
        choice = choices.get(i.id)
        if choice is not None and choice not in (known := i.as_dict()["options"]):
            raise ValueError(f"'{i.id}' is '{choice}'; expected one of: {', '.join(known)}.")


def option_input(table: type, name: str, note: str = "", **others: Any) -> io.Input:
    """The input for an option of a table; see :func:`input_for`."""
    return input_for(name, options_of(table)[name], note, **others)


def input_for(name: str, option: Option, note: str = "", **others: Any) -> io.Input:
    """The input for an option.

    Args:
        name: of the input.
        option: whose sentence is the tooltip. For None stands 0 or "off".
        note: what else a user of the node has to know.
        others: go to ComfyUI, in place of what the option says.
    """
    sentences = [option.sentence, note]
    arguments: dict[str, Any] = {"default": option.default}
    if option.many:
        kind, arguments = io.String, {"default": option.shown(option.default)}
    elif option.choices:
        kind, nothing = io.Combo, [OFF] if option.unset else []
        arguments = {"options": [*nothing, *option.choices], "default": option.default or OFF}
    elif option.low is not None:
        kind = io.Int if option.kind is int else io.Float
        low = option.kind(0) if option.unset else option.low
        arguments = {"default": low if option.default is None else option.default, "min": low, "max": option.high}
        arguments |= {"step": option.step} if option.step else {}
    else:
        kind = io.Boolean if option.kind is bool else io.String
    if option.unset:
        sentences.insert(1, f"{OFF if option.choices else 0}: {option.unset}.")
    return kind.Input(name, tooltip=" ".join(filter(None, sentences)), **arguments | others)


def alpha_input() -> io.Input:
    """The strength, as a slider."""
    return option_input(Options, "alpha", display_mode=io.NumberDisplay.slider)


def tile_input(**others: Any) -> io.Input:
    """Both words and a few sizes."""
    return option_input(Options, "tile", options=[*options_of(Options)["tile"].choices, *_TILES], **others)


def from_inputs(table: type[Chosen], **values: Any) -> Chosen:
    """Options from the values of their inputs, in which 0 and "off" stand for None and numbers may be texts.

    Raises:
        ValueError: a text is no such value, or a number that was connected is out of range.
    """
    options = options_of(table)
    return table(**{name: _value_of(name, options[name], value) for name, value in values.items()})


def _value_of(name: str, option: Option, value: Any) -> Any:
    if option.unset and value in (0, OFF):
        return None
    if not isinstance(value, str):
        return value
    try:
        return option.parse(value)
    except ValueError as error:
        raise ValueError(f"'{name}': {error}.") from None
