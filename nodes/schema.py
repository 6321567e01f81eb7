"""How the nodes introduce themselves, in terms that every supported version of ComfyUI knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any

from comfy_api.latest import io


def node_schema(
    node_id: str,
    display_name: str,
    inputs: Sequence[io.Input],
    *,
    aliases: Sequence[str],
    advanced: Collection[str] = (),
    **others: Any,
) -> io.Schema:
    """The schema of a node of this pack.

    Args:
        aliases: what else people type into the search for nodes. Versions that do not know aliases look at names alone.
        advanced: ids of the inputs that are rarely set. Versions that know how show them on demand.
        others: fields of ``io.Schema`` that every version since 0.3.64 has.
    """
    for i in inputs:
        if i.id in advanced and hasattr(i, "advanced"):
            i.advanced = True
    if "search_aliases" in {field.name for field in fields(io.Schema)}:
        others["search_aliases"] = list(aliases)
    return io.Schema(node_id, display_name, "AdaIN", list(inputs), **others)
