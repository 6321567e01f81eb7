"""What people read about the nodes: the English locale and the help pages, made from the nodes' own words.

    python -m tests.nodes.documents

writes ``locales/en`` and ``web/docs`` anew, after a text has changed: that of a node in its schema, that of an option
in ``adain_core/options.py``, a translation in ``locales``, or what a help page says beside, in ``docs/nodes``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.helpers import ROOT
from tests.nodes.fake import FAKE, import_pack, start

# How a help page calls inputs and outputs, what stands between a name and its description, and what it ends with.
LANGUAGES = {
    "en": ("Inputs", "Outputs", ": ", "It looks wrong: what do I turn?"),
    "fr": ("Entrées", "Sorties", " : ", "Le résultat ne va pas : que régler ? (en anglais)"),
    "zh": ("输入", "输出", "：", "效果不对，该调什么？（英文）"),
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ADVICE = f"{PROJECT['urls']['Repository']}/blob/main/docs/looks-wrong.md"


def english(schema: Any) -> dict[str, Any]:
    """What the locale says of a node."""
    outputs = {str(i): {"name": o.display_name, "tooltip": o.tooltip} for i, o in enumerate(schema.outputs)}
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {i.id: {"name": i.id, "tooltip": i.options["tooltip"]} for i in schema.inputs},
        "outputs": outputs,
    }


def help_page(texts: Mapping[str, Any], outputs: Mapping[str, Any], prose: str, language: str) -> str:
    """The help page of a node.

    Args:
        texts: what the locale says of it.
        outputs: what the English locale says of its outputs, whose names are those in workflows.
        prose: what the page says beside.
        language: of all of them.
    """
    inputs_title, outputs_title, colon, advice = LANGUAGES[language]

    def line(name: str, said: Mapping[str, str]) -> str:
        translation = "" if said["name"] == name else f" ({said['name']})"
        return f"- **{name}**{translation}{colon}{said['tooltip']}"

    inputs = [line(name, said) for name, said in texts["inputs"].items()]
    results = [line(outputs[key]["name"], said) for key, said in texts["outputs"].items()]
    head = (f"# {texts['display_name']}", texts["description"], prose.strip())
    lists = (f"## {inputs_title}", "\n".join(inputs), f"## {outputs_title}", "\n".join(results))
    return "\n\n".join((*head, *lists, f"[{advice}]({ADVICE})")) + "\n"


def documents(nodes: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Every file that is made here, with its text."""
    texts = {id: english(node.define_schema()) for id, node in nodes.items() if id.startswith("AdaIN")}
    locale = ROOT / "locales" / "en" / "nodeDefs.json"
    yield locale, json.dumps(texts, indent=2, ensure_ascii=False) + "\n"
    for language in LANGUAGES:
        translated = locale.parents[1] / language / locale.name
        said = texts if language == "en" else json.loads(translated.read_text("utf-8"))
        for id, own in texts.items():
            prose = (ROOT / "docs" / "nodes" / f"{id}.{language}.md").read_text("utf-8")
            page = help_page(said[id], own["outputs"], prose, language)
            yield ROOT / "web" / "docs" / id / f"{language}.md", page


def main() -> None:
    sys.path.insert(0, str(FAKE))
    with tempfile.TemporaryDirectory() as base:
        for path, text in documents(start(import_pack(), Path(base)).nodes):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="\n")


if __name__ == "__main__":
    main()
