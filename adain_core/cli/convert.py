"""``convert``: other people's checkpoints, and files of the Hub, as weights files of this package."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import torch

from ..models.checkpoint import read_checkpoint
from ..models.convert import find_networks
from ..models.errors import WeightsError
from ..models.presets import PRESETS
from ..models.spaces import HASHED_SPACE
from ..models.weights import ModelWeights, Weights, from_checkpoint, load_weights, resolve, save_weights
from ..networks.encoder import DEEPEST_TAP, Encoder
from ..networks.skips import Skips
from ..options import ConvertOptions
from ..pipeline.transfer import StyleTransfer
from .options import add_options, add_output, as_type, check_output
from .output import say

_SUFFIXES = re.compile(r"(\.pth\.tar|\.[A-Za-z]+)$")
_SIDE = 32


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "convert",
        help="checkpoints of pytorch-AdaIN, of torchvision's VGG-19 and of the study's repository",
        description="Recognizes networks by keys and shapes, writes each file's as .safetensors, and runs them once to"
        " see that they work. Nothing in a checkpoint is executed.",
    )
    parser.add_argument("source", nargs="+", help=".pth, .pth.tar, .pt or .safetensors; a preset; an hf:// address")
    add_output(parser, "Folder for the results")
    add_options(parser, ConvertOptions, "space", type=as_type(space_name))
    add_options(parser, ConvertOptions, "skips", "skip_strength", "license")
    parser.set_defaults(run=run)


def space_name(text: str) -> str:
    """The name of a space, which is not that of a model.

    Raises:
        ValueError: it is none.
    """
    known = sorted({preset.space for preset in PRESETS.values()})
    if text not in known and not HASHED_SPACE.fullmatch(text):
        raise ValueError(
            f"'{text}' is not a space; expected {', '.join(known)} or <name>-<8 hex digits>, such as 'adain info' lists"
            " for each model"
        )
    return text


def run(args: argparse.Namespace) -> int:
    paths = [Path(source) if Path(source).is_file() else resolve(source) for source in args.source]
    targets = [args.out / f"{_SUFFIXES.sub('', path.name)}.safetensors" for path in paths]
    for target in targets:
        check_output(target, args.overwrite)
    if len(set(targets)) < len(targets):
        raise WeightsError(f"Several sources would become {max(targets, key=targets.count)}; convert one at a time.")
    skips = Skips.parse(args.skips, args.skip_strength) if args.skips else None
    results = [read(path, args.space, skips) for path in paths]
    encoders = {weights.space: weights.encoder for weights in results if weights.encoder}
    if len(encoders) == 1 and not args.space:
        space = next(iter(encoders))
        results = [weights if weights.encoder or weights.info else replace(weights, space=space) for weights in results]
    summaries = [verify(weights, encoders.get(weights.space)) for weights in results]
    for weights, target, summary in zip(results, targets, summaries, strict=True):
        info = weights.info | ({"license": args.license} if args.license else {})
        save_weights(replace(weights, info=info), target, torch.float32)
        say(f"Wrote {target}: {weights.kind}, space {weights.space}; {summary}.")
    return 0


def read(path: Path, space: str | None, skips: Skips | None) -> Weights:
    """A weights file of this package, or a checkpoint in another layout.

    Raises:
        WeightsError: it is neither.
    """
    tensors = read_checkpoint(path)
    if path.suffix == ".safetensors" and not find_networks(tensors):
        return load_weights(path)
    return from_checkpoint(tensors, path, space, skips)


def verify(weights: Weights, encoder: Encoder | None) -> str:
    """Run the networks on a small picture and say what came out.

    Args:
        weights: to be checked.
        encoder: of the same space, if one is at hand; a decoder without one gets the features of an untrained one.

    Raises:
        WeightsError: the two have other widths, or numbers in the result are not finite.
    """
    torch.manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 5, 5), size=(_SIDE, _SIDE), mode="bicubic").clamp(0, 1)
    if weights.decoder:
        model = ModelWeights(
            weights.space, encoder or Encoder(weights.decoder.widths), weights.decoder, path=weights.path
        )
        transfer = StyleTransfer(model.encoder, model.decoder, model.space, torch.device("cpu"))
        result = transfer(picture, picture, alpha=0)
        error = (result - picture).abs().mean()
        summary = f"a test picture comes back with a mean error of {error:.3g}" if encoder else "a test picture decodes"
    elif weights.encoder:
        with torch.inference_mode():
            result = weights.encoder(picture)[DEEPEST_TAP]
        summary = f"{DEEPEST_TAP} of a test picture has a mean of {result.mean():.3g}"
    if not result.isfinite().all():
        raise WeightsError(f"{weights.path} is damaged: it makes numbers that are not finite.")
    return summary
