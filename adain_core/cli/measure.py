"""``measure``: numbers for a result."""

from __future__ import annotations

import argparse

from ..images.files import read_picture
from ..measure.losses import measure_result
from ..options import ModelOptions
from .options import add_options, chosen_encoder, path_name
from .output import add_json, report


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("measure", help="content loss, style loss and SSIM of a result, in a model's features")
    parser.add_argument("result", type=path_name, help="The stylized picture")
    parser.add_argument("content", type=path_name, help="What it was made from")
    parser.add_argument("style", type=path_name, help="The style picture")
    add_options(parser, ModelOptions, "model", "device")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    result, content, style = (read_picture(path).rgb for path in (args.result, args.content, args.style))
    encoder, space = chosen_encoder(args)
    measures = measure_result(encoder, result, content, style)
    values = {
        "space": space,
        "content_loss": measures.content,
        "style_loss": measures.total_style,
        "style_loss_of": measures.style,
        "ssim": measures.ssim,
    }
    report(
        args,
        values,
        f"measured in  {space}",
        f"content loss {measures.content:.4f}",
        f"style loss   {measures.total_style:.4f}",
        *(f"  {tap}    {loss:.4f}" for tap, loss in measures.style.items()),
        f"SSIM         {measures.ssim:.4f}",
    )
    return 0
