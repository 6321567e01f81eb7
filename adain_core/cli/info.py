"""``info``: the models at hand, and the licenses of everything."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..models.errors import WeightsError
from ..models.presets import PRESETS, describe_preset
from ..models.weights import EMBEDDED, embedded_models, load_weights
from ..runtime.environment import models_folder
from .output import add_json, report

LICENSES = Path(__file__).parent.parent / "LICENSES.md"


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("info", help="list the models with their spaces, sizes, licenses and origins")
    parser.add_argument("--licenses", action="store_true", help="Licenses and origins of every weight and picture")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.licenses:
        text = LICENSES.read_text(encoding="utf-8")
        report(args, {"licenses": text}, *text.splitlines())
        return 0
    folder = models_folder()
    own = sorted(folder.glob("*.safetensors")) if folder else []
    models = [
        *(describe(name, EMBEDDED / f"{name}.safetensors", "embedded") for name in embedded_models()),
        *(describe(path.stem, path, str(folder)) for path in own),
        *(describe_from_hub(name) for name in PRESETS),
    ]
    report(args, models, *(line for model in models for line in lines_of(model)))
    return 0


def describe(name: str, path: Path, place: str) -> dict[str, Any]:
    """What a weights file says of itself, or why it cannot be read."""
    try:
        weights = load_weights(path)
    except WeightsError as error:
        return {"name": name, "place": place, "error": str(error)}
    modules = [module for module in (weights.encoder, weights.decoder) if module]
    decoder = str(weights.decoder.skips) if weights.decoder else "no decoder"
    if weights.decoder and weights.decoder.style_inside:
        decoder += " with its one style inside (for alpha 0)"
    return {
        "name": name,
        "kind": weights.kind,
        "place": place,
        "space": weights.space,
        "widths": list(modules[0].widths),
        "decoder": decoder,
        "parameters": sum(p.numel() for module in modules for p in module.parameters()),
        "bytes": path.stat().st_size,
        "license": weights.info.get("license", "not stated"),
        "origin": weights.info.get("origin", "not stated"),
    }


def describe_from_hub(name: str) -> dict[str, Any]:
    """What is known of a preset before it is fetched."""
    preset = PRESETS[name]
    return {
        "name": name,
        "kind": "encoder",
        "place": "fetched from the Hub when it is needed",
        "space": preset.space,
        "license": preset.license,
        "origin": f"{preset.origin}; {describe_preset(name)}",
    }


def lines_of(model: dict[str, Any]) -> Iterator[str]:
    """A model's description for people."""
    if "error" in model:
        yield f"{model['name']}: {model['error']}"
        return
    yield f"{model['name']}: {model['kind']}, {model['place']}"
    yield f"  space    {model['space']}"
    if "widths" in model:
        yield f"  widths   {', '.join(map(str, model['widths']))}; {model['decoder']}"
        yield f"  size     {model['parameters'] / 1e6:.2f} M parameters, {model['bytes'] / 2**20:.1f} MiB"
    yield f"  license  {model['license']}"
    yield f"  origin   {model['origin']}"
