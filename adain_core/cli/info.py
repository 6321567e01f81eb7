"""``info``: the models at hand."""

from __future__ import annotations

import argparse

from ..weights import EMBEDDED, embedded_models, load_weights


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("info", help="list the models with their spaces, sizes, licences and origins")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    for name in embedded_models():
        weights = load_weights(EMBEDDED / f"{name}.safetensors")
        modules = [module for module in (weights.encoder, weights.decoder) if module]
        parameters = sum(p.numel() for module in modules for p in module.parameters())
        size = weights.path.stat().st_size
        print(f"{name}: {weights.kind}, embedded")
        print(f"  space    {weights.space}")
        print(f"  widths   {', '.join(map(str, modules[0].widths))}; {weights.info.get('decoder', 'no decoder')}")
        print(f"  size     {parameters / 1e6:.2f} M parameters, {size / 2**20:.1f} MiB")
        print(f"  licence  {weights.info.get('license', 'not stated')}")
        print(f"  origin   {weights.info.get('origin', 'not stated')}")
    return 0
