"""``measure``: numbers for a result."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..encoder import DEEPEST_TAP
from ..images import read_picture, resize
from ..measure import measure
from .options import add_model_options, load_model


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("measure", help="content loss, style loss and SSIM of a result, in a model's features")
    parser.add_argument("result", type=Path, help="the stylised picture")
    parser.add_argument("content", type=Path, help="what it was made from")
    parser.add_argument("style", type=Path, help="the style picture")
    add_model_options(parser)
    parser.set_defaults(run=run, dtype="float32")


def run(args: argparse.Namespace) -> int:
    result, content, style = (read_picture(path).rgb for path in (args.result, args.content, args.style))
    if min(result.shape[-2:]) < 16:
        raise ValueError(f"{args.result} is smaller than 16 pixels; there is too little to measure.")
    model = load_model(args)
    result, content = (resize(picture, result.shape[-2:]).to(model.device) for picture in (result, content))
    with torch.inference_mode():
        features = model.encoder(content)[DEEPEST_TAP]
        measures = measure(model.encoder, result, content, features, model.compute_style_stats(style))
    print(f"measured in  {model.space}")
    print(f"content loss {measures.content:.4f}")
    print(f"style loss   {measures.total_style:.4f}")
    for tap, loss in measures.style.items():
        print(f"  {tap}    {loss:.4f}")
    print(f"SSIM         {measures.ssim:.4f}")
    return 0
