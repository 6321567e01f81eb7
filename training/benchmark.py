"""Time per image and peak memory of networks of some widths, split by step.

    python -m training.benchmark [--sizes 256 512 1024 2048] [--widths 32,64,112,192 64,128,256,512]

The weights are random, which costs the same as trained ones. Content and style are squares of the same size; times are
medians over the repeats, in milliseconds, MiB is the peak beyond the weights.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

import torch

from adain_core.decoder import Decoder
from adain_core.device import resolve_device, resolve_dtype
from adain_core.encoder import VGG19_WIDTHS, Encoder
from adain_core.pipeline import StyleTransfer
from adain_core.skips import Skips

from .command import run_command
from .networks import initialise
from .recipe import load_recipe
from .resources import peak_mebibytes, timed

STEPS = ("encode", "style", "blend", "decode")


def widths(text: str) -> tuple[int, ...]:
    """An argparse type: the channels of the four blocks, with commas between them."""
    values = tuple(int(part) for part in text.split(","))
    if len(values) != 4 or min(values) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': expected four numbers such as 64,128,256,512")
    return values


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048], help="sides in pixels")
    parser.add_argument("--widths", type=widths, nargs="+", default=[load_recipe("lite", []).widths, VGG19_WIDTHS])
    parser.add_argument("--decoder", default="plain", help="plain, add-content, concat-both, ... (default: plain)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    return parser.parse_args(argv)


def random_model(channels: Sequence[int], decoder: str, device: torch.device, dtype: torch.dtype) -> StyleTransfer:
    """A pipeline of these widths with random weights."""
    networks = Encoder(channels), Decoder(channels, Skips.parse(decoder))
    for network in networks:
        network.eval().requires_grad_(False)
        initialise(network)
    return StyleTransfer(*networks, "random", device, dtype)


def measure_size(model: StyleTransfer, size: int, repeats: int) -> tuple[dict[str, float], float]:
    """Median seconds of each step and peak MiB for a content and a style of ``size`` x ``size`` pixels."""
    content, style = torch.rand(2, 1, 3, size, size, device=model.device)
    peak = peak_mebibytes(model.device, lambda: model(content, style))
    seconds: dict[str, list[float]] = {step: [] for step in STEPS}
    for _ in range(repeats):
        features, encode = timed(model.device, lambda: model.encode(content))
        stats, measure = timed(model.device, lambda: model.compute_style_stats(style))
        blended, blend = timed(model.device, lambda: model.blend(features, stats))  # noqa: B023
        _, decode = timed(model.device, lambda: model.decode(blended))  # noqa: B023
        for step, value in zip(STEPS, (encode, measure, blend, decode), strict=True):
            seconds[step].append(value)
    return {step: statistics.median(values) for step, values in seconds.items()}, peak


def benchmark(args: argparse.Namespace) -> None:
    device = resolve_device(args.device)
    dtype = resolve_dtype(args.dtype, device)
    print(f"{args.decoder} decoder, {dtype}, {device}, {torch.get_num_threads()} threads, {args.repeats} repeats, ms\n")
    print(f"| widths | size | {' | '.join(STEPS)} | all | MiB |")
    print("| --- " * (len(STEPS) + 4) + "|")
    for channels in args.widths:
        model = random_model(channels, args.decoder, device, dtype)
        for size in args.sizes:
            seconds, peak = measure_size(model, size, args.repeats)
            times = " | ".join(f"{1000 * value:.1f}" for value in (*seconds.values(), sum(seconds.values())))
            print(f"| {','.join(map(str, channels))} | {size} | {times} | {peak:.0f} |", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(benchmark, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
