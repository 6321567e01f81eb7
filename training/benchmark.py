"""Time per image and peak memory of networks of some widths, split by step.

    python -m training.benchmark [--sizes 256 512 1024 2048] [--widths 16,48,64,256 64,128,256,512]

The weights are random, which costs the same as trained ones. Content and style are squares of the same size; times are
medians over the repeats, in milliseconds; MiB is the peak beyond the weights.

    python -m training.benchmark --large

stylizes pictures too large for most memories, once each and in a process of its own, in tiles, and smaller ones both in
tiles and as a whole. The style is a square of 512 pixels.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from adain_core.cli.options import add_options
from adain_core.models.weights import EMBEDDED, load_model
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import VGG19_WIDTHS, Encoder
from adain_core.networks.skips import Skips
from adain_core.options import ModelOptions, TileSize
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.runtime.device import resolve_device, resolve_dtype

from .command import four_widths, positive_int, run_command, square_side
from .networks import initialize
from .resources import peak_mebibytes, peak_resident_mebibytes, timed

STEPS = ("encode", "style", "blend", "decode")
LITE, LITE_LARGE = (load_model(EMBEDDED / f"{name}.safetensors").decoder for name in ("lite", "lite-large"))
LARGE: list[tuple[tuple[int, ...], int, TileSize]] = [
    (LITE.widths, 2048, "off"),
    (LITE.widths, 2048, "auto"),
    (LITE.widths, 8192, "auto"),
    (LITE_LARGE.widths, 6000, "auto"),
    (LITE_LARGE.widths, 8192, "auto"),
    (VGG19_WIDTHS, 2048, "off"),
    (VGG19_WIDTHS, 2048, "auto"),
    (VGG19_WIDTHS, 4096, "auto"),
]
"""Widths, side in pixels and tiles of the large cases."""
_STYLE_SIDE = 512


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--large", action="store_true", help="large pictures; sizes, widths and repeats are set")
    parser.add_argument("--sizes", type=square_side, nargs="+", default=[256, 512, 1024, 2048], help="sides in pixels")
    parser.add_argument(
        "--widths",
        type=four_widths,
        nargs="+",
        default=[LITE.widths, LITE_LARGE.widths, VGG19_WIDTHS],
        help="channels of the four blocks (default: those of lite, of lite-large and of VGG-19)",
    )
    parser.add_argument("--decoder", help="plain, add-content, ... (default: that of lite or lite-large, else plain)")
    parser.add_argument("--repeats", type=positive_int, default=5, help="of each step (default: 5)")
    add_options(parser, ModelOptions, "device", "dtype")
    return parser.parse_args(argv)


def usual_decoder(channels: Sequence[int]) -> str:
    """The kind of decoder that the models of these widths have."""
    return {decoder.widths: str(decoder.skips) for decoder in (LITE, LITE_LARGE)}.get(tuple(channels), "plain")


def random_model(channels: Sequence[int], decoder: str, device: torch.device, dtype: torch.dtype) -> StyleTransfer:
    """A pipeline of these widths with random weights."""
    networks = Encoder(channels), Decoder(channels, Skips.parse(decoder))
    for network in networks:
        network.eval().requires_grad_(False)
        initialize(network)
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


def measure_large(args: argparse.Namespace, channels: Sequence[int], size: int, tile: TileSize) -> list[float]:
    """Seconds, peak MiB beyond weights, content and result, and peak MiB of the whole process."""
    device = resolve_device(args.device)
    model = random_model(channels, args.decoder or usual_decoder(channels), device, resolve_dtype(args.dtype, device))
    content, style = (torch.rand(1, 3, side, side, device=device) for side in (size, _STYLE_SIDE))
    seconds: list[float] = []
    peak = peak_mebibytes(device, lambda: seconds.append(timed(device, lambda: model(content, style, tile=tile))[1]))
    return [*seconds, peak - content.nbytes / 2**20, peak_resident_mebibytes()]


def benchmark_large(args: argparse.Namespace) -> None:
    print("| widths | decoder | size | tile | seconds | MiB beyond the pictures | MiB in all |")
    print("| --- " * 7 + "|")
    for channels, size, tile in LARGE:
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            seconds, beyond, in_all = process.submit(measure_large, args, channels, size, tile).result()
        name, decoder = ",".join(map(str, channels)), args.decoder or usual_decoder(channels)
        print(f"| {name} | {decoder} | {size} | {tile} | {seconds:.1f} | {beyond:.0f} | {in_all:.0f} |", flush=True)


def benchmark(args: argparse.Namespace) -> None:
    device = resolve_device(args.device)
    dtype = resolve_dtype(args.dtype, device)
    print(f"{dtype}, {device}, {torch.get_num_threads()} threads\n")
    if args.large:
        return benchmark_large(args)
    print(f"| widths | decoder | size | {' | '.join(STEPS)} | all | MiB |")
    print("| --- " * (len(STEPS) + 5) + "|")
    for channels in args.widths:
        decoder = args.decoder or usual_decoder(channels)
        model = random_model(channels, decoder, device, dtype)
        for size in args.sizes:
            seconds, peak = measure_size(model, size, args.repeats)
            times = " | ".join(f"{1000 * value:.1f}" for value in (*seconds.values(), sum(seconds.values())))
            print(f"| {','.join(map(str, channels))} | {decoder} | {size} | {times} | {peak:.0f} |", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(benchmark, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
