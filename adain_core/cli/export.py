"""``export``: a model for programs without PyTorch."""

from __future__ import annotations

import argparse

from ..models.presets import PRESETS
from ..models.weights import ModelWeights, load_model
from ..options import ExportOptions, ModelOptions
from ..pipeline.export import PAINT_FILE, STYLE_FILE, export_onnx
from ..pipeline.transfer import StyleTransfer
from .options import add_options, add_output, check_output, progress_bar
from .output import say


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "export",
        help="a model as two ONNX files, for other programs, phones and browsers",
        description=f"Writes {STYLE_FILE}, which measures a style, and {PAINT_FILE}, which paints a content in it,"
        " after onnxruntime has painted what PyTorch does.",
    )
    parser.add_argument("model", help="The name of a model, a .safetensors file, a folder, or an hf:// address")
    add_output(parser, "Folder for the two files")
    add_options(parser, ModelOptions, "decoder")
    add_options(parser, ExportOptions, "format", "dtype")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    for name in (STYLE_FILE, PAINT_FILE):
        check_output(args.out / name, args.overwrite)
    weights = load_model(args.model, args.decoder)
    model = StyleTransfer(weights.encoder, weights.decoder, weights.space)
    with progress_bar("export") as progress:
        paths = export_onnx(model, args.out, info_of(weights), args.dtype == "float16", progress)
    for path in paths:
        say(f"Wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")
    return 0


def info_of(weights: ModelWeights) -> dict[str, str]:
    """License and origin of the networks; those of an encoder from the Hub come besides."""
    info = {key: weights.info.get(key, "not stated") for key in ("license", "origin")}
    encoder = PRESETS.get(weights.space)
    if encoder is None:
        return info
    return {
        "license": f"decoder: {info['license']}; encoder: {encoder.license}",
        "origin": f"decoder: {info['origin']}; encoder: {encoder.origin}",
    }
