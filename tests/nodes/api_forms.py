"""The API forms of the workflows: what ComfyUI's browser sends when such a workflow is queued.

    python -m tests.nodes.api_forms

writes ``workflows/api`` anew, after a workflow or an input of a node has changed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.helpers import ROOT
from tests.nodes.fake import FAKE, import_pack, start

WORKFLOWS = ROOT / "workflows"
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
LOADERS = ("LoadImage", "LoadVideo")
NOTES = ("MarkdownNote", "Note")


def widgets_of(node: Any) -> list[Any]:
    """The inputs of a node class that have widgets, in the order of ``widgets_values``: required ones first."""
    inputs = sorted(node.define_schema().inputs, key=lambda i: i.optional)
    return [i for i in inputs if i.io_type in WIDGETS]


def widget_values(record: dict[str, Any], node: Any) -> dict[str, Any]:
    """The values of a node's widgets by name; a seed is followed by what happens to it after a run, the name of a
    file by the button to choose another."""
    values = list(record["widgets_values"])
    named = {}
    for widget in widgets_of(node):
        named[widget.id] = values.pop(0)
        if widget.options.get("control_after_generate"):
            values.pop(0)
    if record["type"].startswith(LOADERS):
        values.pop(0)
    if values:
        raise ValueError(f"{record['type']} {record['id']} has values without widgets: {values}")
    return named


def api_form(workflow: dict[str, Any], nodes: dict[str, Any]) -> dict[str, Any]:
    """A UI-format workflow in API format."""
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    prompt = {}
    for record in workflow["nodes"]:
        if record["type"] in NOTES:
            continue
        inputs = widget_values(record, nodes[record["type"]])
        inputs |= {i["name"]: sources[i["link"]] for i in record["inputs"] if i["link"] is not None}
        prompt[str(record["id"])] = {"class_type": record["type"], "inputs": inputs}
    return prompt


def main() -> None:
    sys.path.insert(0, str(FAKE))
    with tempfile.TemporaryDirectory() as base:
        nodes = start(import_pack(), Path(base)).nodes
        for path in sorted(WORKFLOWS.glob("*.json")):
            form = api_form(json.loads(path.read_text()), nodes)
            target = WORKFLOWS / "api" / path.name
            target.parent.mkdir(exist_ok=True)
            target.write_text(json.dumps(form, indent=1) + "\n")


if __name__ == "__main__":
    main()
