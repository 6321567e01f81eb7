"""Warm start for a small encoder and decoder: learn from the features and pictures of a large pair.

    python -m training.distill --content DIR --style DIR --teacher-encoder FILE --teacher-decoder FILE --out FILE

Three losses, all without a loss network in the backward pass: the two deep encoder taps, through 1x1 heads that exist
only here, predict the teacher's taps (relative squared error); the decoder inverts the encoder (L1); and AdaIN of the
pair gives the teacher's AdaIN picture (L1). A decoder that can already invert its encoder does not collapse to a few
colors when training.fit switches on the style loss.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, load_model, load_weights, resolve, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import DEEPEST_TAP, STYLE_TAPS, Encoder
from adain_core.networks.normalization import adaptive_instance_norm, mean_std
from adain_core.pipeline.analyzer import laid_out

from .command import TrainingError, crop_side, four_widths, positive_float, positive_int, run_command
from .data import CropNumbers, CropPairs, RandomCrops, default_workers
from .networks import initialize, take_over

DISTILLED = STYLE_TAPS[2:]
_WEIGHTS = {"inversion": 5.0, "imitation": 5.0, **dict.fromkeys(DISTILLED, 0.5)}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.distill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, required=True, help="folder of photographs, searched recursively")
    parser.add_argument("--style", type=Path, required=True, help="folder of artworks, searched recursively")
    parser.add_argument("--teacher-encoder", required=True, help="a name or a file")
    parser.add_argument("--teacher-decoder", required=True, help="an embedded model or a file with a plain decoder")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    encoder = parser.add_mutually_exclusive_group()
    encoder.add_argument("--widths", type=four_widths, default=(32, 64, 112, 192), help="default: 32,64,112,192")
    encoder.add_argument("--keep-encoder", action="store_true", help="learn a decoder for the teacher's own encoder")
    parser.add_argument("--start", help="model to begin with, as far as its tensors fit (default: random weights)")
    parser.add_argument("--steps", type=positive_int, default=2000, help="default: 2000")
    parser.add_argument("--batch", type=positive_int, default=8, help="crops of each kind in a step (default: 8)")
    parser.add_argument("--crop", type=crop_side, default=128, help="side of the crops, a multiple of 8 (default: 128)")
    parser.add_argument("--lr", type=positive_float, default=1e-3, help="highest learning rate (default: 1e-3)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and crops (default: 0)")
    parser.add_argument("--workers", type=int, default=default_workers(), help="processes that decode images")
    return parser.parse_args(argv)


def stylize(decoder: Decoder, features: Tensor) -> Tensor:
    """The decoded AdaIN of the two halves of a batch of features: first the contents, then the styles."""
    content, style = features.chunk(2)
    return decoder(adaptive_instance_norm(content, *mean_std(style)))


def crops(args: argparse.Namespace) -> DataLoader:
    """As many batches of content and style crops as there are steps."""
    sizes = (args.crop * 5 // 4, args.crop * 9 // 4)
    content = RandomCrops(args.content, args.crop, sizes, seed=args.seed, cache_bytes=2**30)
    style = RandomCrops(args.style, args.crop, sizes, seed=args.seed + 1, cache_bytes=2**30)
    numbers = CropNumbers(0, args.steps * args.batch, args.batch)
    return DataLoader(CropPairs(content, style), args.batch, sampler=numbers, num_workers=args.workers)


class Student(nn.Module):
    """The small pair that learns, with the heads from its features to the teacher's.

    Args:
        widths: of encoder and decoder; None for a decoder alone, which reads the teacher's features.
        teacher_widths: of the teacher's encoder.
    """

    def __init__(self, widths: Sequence[int] | None, teacher_widths: Sequence[int]) -> None:
        super().__init__()
        self.encoder = Encoder(widths) if widths else None
        self.decoder = Decoder(widths or teacher_widths)
        self.heads = nn.ModuleDict()
        initialize(self.decoder)
        if self.encoder:
            initialize(self.encoder)
            width_pairs = dict(zip(STYLE_TAPS, zip(self.encoder.widths, teacher_widths, strict=True), strict=True))
            self.heads.update({tap: nn.Conv2d(*width_pairs[tap], kernel_size=1) for tap in DISTILLED})
        laid_out(self)

    def losses(self, images: Tensor, targets: dict[str, Tensor], picture: Tensor) -> dict[str, Tensor]:
        """The losses by name: inversion, imitation and the distance at each of the deep taps.

        Args:
            images: [2 B, 3, H, W] in 0..1: the contents, then the styles.
            targets: the teacher's features of them.
            picture: the teacher's AdaIN picture of each pair, [B, 3, H, W] in 0..1.
        """
        contents = images.chunk(2)[0]
        with torch.autocast("cpu", torch.bfloat16):
            features = self.encoder(images, DISTILLED) if self.encoder else targets
            inverted = self.decoder(features[DEEPEST_TAP].chunk(2)[0])
            styled = stylize(self.decoder, features[DEEPEST_TAP])
            predicted = {tap: head(features[tap]) for tap, head in self.heads.items()}
        inversion = (inverted.float() - contents).abs().mean()
        imitation = (styled.float() - picture).abs().mean()
        distances = {
            tap: (predicted[tap].float() - targets[tap].float()).square().mean() / targets[tap].float().var()
            for tap in self.heads
        }
        return {"inversion": inversion, "imitation": imitation, **distances}


def distill(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    teacher = load_model(args.teacher_encoder, args.teacher_decoder)
    if teacher.decoder.skips.taps or teacher.decoder.style_inside:
        raise TrainingError(
            f"{args.teacher_decoder} has skips or its style inside; name a plain decoder as the teacher."
        )
    teacher_encoder = laid_out(teacher.encoder).to(torch.bfloat16)
    teacher_decoder = laid_out(teacher.decoder).to(torch.bfloat16)

    student = Student(None if args.keep_encoder else args.widths, teacher_encoder.widths)
    if args.start:
        start = load_weights(resolve(args.start))
        for network, known in ((student.encoder, start.encoder), (student.decoder, start.decoder)):
            if network and known:
                take_over(network, known)
    optimizer = torch.optim.Adam(student.parameters(), lr=args.lr)
    rounds = args.steps + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.lr, total_steps=rounds, pct_start=max(2, 0.05 * rounds) / rounds
    )

    began = time.monotonic()
    for step, ((content_crops, *_), (style_crops, *_)) in enumerate(crops(args), start=1):
        images = torch.cat([content_crops, style_crops]).float().div(255).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            targets = teacher_encoder(images, DISTILLED)
            picture = stylize(teacher_decoder, targets[DEEPEST_TAP]).float().clamp(0, 1)
        losses = student.losses(images, targets, picture)
        loss = sum((_WEIGHTS[name] * value for name, value in losses.items()), torch.zeros(()))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if not math.isfinite(loss.item()):
            raise TrainingError(f"The loss is {loss.item()} at step {step}; try a smaller --lr.")
        if step % 50 == 0 or step == args.steps:
            parts = " ".join(f"{name} {value.item():.4f}" for name, value in losses.items())
            print(f"step {step} {parts} {(time.monotonic() - began) / step:.2f} s/step", flush=True)
        if step % 200 == 0 or step == args.steps:
            space = space_of(args.out.stem, student.encoder) if student.encoder else teacher.space
            save_weights(Weights(space, student.encoder, student.decoder), args.out)


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(distill, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
