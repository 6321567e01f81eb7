"""``info``: the models at hand, and the licenses of everything."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..models.errors import WeightsError
from ..models.presets import PRESETS, describe_preset
from ..models.weights import EMBEDDED, embedded_models, load_weights
from ..runtime.environment import models_folder

LICENSES = Path(__file__).parent.parent / "LICENSES.md"


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("info", help="list the models with their spaces, sizes, licenses and origins")
    parser.add_argument("--licenses", action="store_true", help="Licenses and origins of every weight and picture")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.licenses:
        print(LICENSES.read_text(encoding="utf-8"), end="")
        return 0
    for name in embedded_models():
        describe(name, EMBEDDED / f"{name}.safetensors", "embedded")
    folder = models_folder()
    for path in sorted(folder.glob("*.safetensors")) if folder else []:
        describe(path.stem, path, str(folder))
    for name, preset in PRESETS.items():
        print(f"{name}: encoder, fetched from the Hub when it is needed")
        print(f"  space    {preset.space}")
        print(f"  license  {preset.license}")
        print(f"  origin   {preset.origin}; {describe_preset(name)}")
    return 0


def describe(name: str, path: Path, place: str) -> None:
    """Print what a weights file says of itself."""
    try:
        weights = load_weights(path)
    except WeightsError as error:
        print(f"{name}: {error}")
        return
    modules = [module for module in (weights.encoder, weights.decoder) if module]
    parameters = sum(p.numel() for module in modules for p in module.parameters())
    decoder = str(weights.decoder.skips) if weights.decoder else "no decoder"
    if weights.decoder and weights.decoder.style_inside:
        decoder += " with its one style inside (for alpha 0)"
    print(f"{name}: {weights.kind}, {place}")
    print(f"  space    {weights.space}")
    print(f"  widths   {', '.join(map(str, modules[0].widths))}; {decoder}")
    print(f"  size     {parameters / 1e6:.2f} M parameters, {path.stat().st_size / 2**20:.1f} MiB")
    print(f"  license  {weights.info.get('license', 'not stated')}")
    print(f"  origin   {weights.info.get('origin', 'not stated')}")
