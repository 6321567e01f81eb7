"""Train a decoder, and for the lite family an encoder with it.

    python -m training.fit --content DIR --style DIR --out RUN [--recipe NAME|FILE.toml] [--set key=value ...]
    [--resume]

RUN receives checkpoint.pt (to --resume), log.csv, and <RUN's name>.safetensors: the result. training/recipe.py
documents every key. A step costs 4 forward passes of the loss network over a batch ("units"): one over the contents,
one over the styles, one over the results and about one for the gradient; ``pool`` saves the first two.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from adain_core.decoder import Decoder
from adain_core.device import resolve_dtype
from adain_core.encoder import DEEPEST_TAP
from adain_core.measure import content_loss, style_losses, total_variation
from adain_core.normalize import adaptive_instance_norm
from adain_core.skips import Skips
from adain_core.weights import Weights, WeightsError, load_weights, save_weights, space_of

from .checkpoint import Log, load_checkpoint, save_checkpoint
from .command import TrainingError
from .data import Numbers, Pairs, RandomCrops
from .networks import LossNetwork, Stylizer
from .recipe import Recipe, as_dict, load_recipe


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.fit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, required=True, help="folder of photographs, searched recursively")
    parser.add_argument("--style", type=Path, required=True, help="folder of artworks, searched recursively")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--recipe", default="paper", help="a name in training/recipes or a .toml file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe")
    parser.add_argument("--resume", action="store_true", help="go on from RUN/checkpoint.pt")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args(argv)


def learning_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of step n = 0, 1, ...: the report's lr / (1 + lr_decay n), or a cosine to a hundredth of lr."""
    rate = recipe.lr * min(1.0, (step + 1) / max(1, recipe.warmup))
    if not recipe.cosine:
        return rate / (1 + recipe.lr_decay * step)
    return rate * (0.01 + 0.99 * (1 + math.cos(math.pi * step / recipe.steps)) / 2)


def build(recipe: Recipe, device: torch.device) -> tuple[Stylizer, LossNetwork, str]:
    """The network that learns, the loss network, and the name of the encoder's file or preset."""
    loss_encoder = load_weights(recipe.loss_network).encoder
    start = load_weights(recipe.start) if recipe.start else None
    if start and start.encoder:
        encoder = start.encoder
    elif recipe.encoder == recipe.loss_network:
        encoder = loss_encoder
    else:
        encoder = load_weights(recipe.encoder).encoder
    decoder = start.decoder if start and start.decoder else None
    if decoder is None or str(decoder.skips) != recipe.decoder:
        torch.manual_seed(recipe.seed)
        decoder = Decoder(encoder.widths, Skips.parse(recipe.decoder, recipe.skip_strength))
    stylizer = Stylizer(encoder, decoder)
    encoder.requires_grad_(recipe.train_encoder)
    decoder.requires_grad_(True)
    stylizer.to(device, memory_format=torch.channels_last)
    loss_encoder.to(device, memory_format=torch.channels_last)
    return stylizer, LossNetwork(loss_encoder, remember=recipe.pool > 0), recipe.encoder


def losses_of(
    recipe: Recipe,
    stylizer: nn.Module,
    loss_network: LossNetwork,
    content: Tensor,
    style: Tensor,
    numbers: list[list[int]],
) -> dict[str, Tensor]:
    """The weighted total and its terms for crops [B, 3, H, W] in 0..1."""
    shared = stylizer.encoder is loss_network.encoder
    target_features = loss_network.content_features(content, numbers[0])
    stats = loss_network.style_stats(style, numbers[1])
    target = adaptive_instance_norm(target_features, stats.mean[DEEPEST_TAP], stats.std[DEEPEST_TAP])
    pictures = stylizer(content, style, {DEEPEST_TAP: target_features} if shared else {}, {})
    features = loss_network.features(pictures)
    terms = {
        "content": content_loss(features[DEEPEST_TAP], target, recipe.convention),
        "style": sum(style_losses(features, stats, recipe.convention).values()),
    }
    terms["total"] = recipe.content_weight * terms["content"] + recipe.style_weight * terms["style"]
    if recipe.identity_weight:
        terms["identity"] = (stylizer(content, content, {}, {}).float() - content).abs().mean()
        terms["total"] = terms["total"] + recipe.identity_weight * terms["identity"]
    if recipe.tv_weight:
        terms["total"] = terms["total"] + recipe.tv_weight * total_variation(pictures.float())
    return terms


def train(recipe: Recipe, args: argparse.Namespace) -> None:
    device = torch.device(args.device)
    stylizer, loss_network, _ = build(recipe, device)
    parameters = [p for p in stylizer.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=recipe.lr)
    average = torch.optim.swa_utils.AveragedModel(
        stylizer, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema)
    )
    log = Log(args.out / "log.csv", ["step", "content", "style", "total", "lr", "grad_norm", "images_per_s"])
    first = 0
    if args.resume and (checkpoint := load_checkpoint(args.out, as_dict(recipe))):
        first = checkpoint["step"]
        stylizer.load_state_dict(checkpoint["stylizer"])
        average.load_state_dict(checkpoint["average"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        log.forget_after(first)

    cache = int(recipe.cache_gb * 2**30)
    content, style = (
        RandomCrops(folder, recipe.crop, recipe.size, recipe.seed + i, recipe.pool, cache // 2)
        for i, folder in enumerate((args.content, args.style))
    )
    batch = recipe.batch_size
    numbers = Numbers(first * batch, (recipe.steps - first) * batch, batch)
    loader = DataLoader(Pairs(content, style), batch, sampler=numbers, num_workers=recipe.workers)
    autocast = torch.autocast(
        device.type, torch.bfloat16, enabled=resolve_dtype(recipe.precision, device) == torch.bfloat16
    )

    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    sums: dict[str, float] = {}
    count, since = 0, time.monotonic()
    for step, batch_pair in enumerate(loader, start=first):
        rate = learning_rate(recipe, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        (content_crops, content_numbers, _), (style_crops, style_numbers, _) = batch_pair
        optimizer.zero_grad(set_to_none=True)
        parts = zip(
            *(x.chunk(recipe.accumulate) for x in (content_crops, style_crops, content_numbers, style_numbers)),
            strict=True,
        )
        for content_part, style_part, *number_parts in parts:
            images = [
                x.to(device).float().div(255).contiguous(memory_format=torch.channels_last)
                for x in (content_part, style_part)
            ]
            with autocast:
                terms = losses_of(recipe, stylizer, loss_network, *images, [n.tolist() for n in number_parts])
            (terms["total"] / recipe.accumulate).backward()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.item() / recipe.accumulate
        norm = nn.utils.clip_grad_norm_(parameters, recipe.grad_clip or math.inf)
        if not math.isfinite(sums["total"]):
            raise SystemExit(
                f"The loss is not finite at step {step}; try a smaller lr or grad_clip = 1. The last checkpoint stays."
            )
        optimizer.step()
        if recipe.ema:
            average.update_parameters(stylizer)
        sums["grad_norm"] = sums.get("grad_norm", 0.0) + norm.item()
        count += 1
        done = step + 1
        if done % recipe.log_every == 0 or done == recipe.steps:
            row = {name: value / count for name, value in sums.items()}
            now = time.monotonic()
            log.append({"step": done, **row, "lr": rate, "images_per_s": count * batch / (now - since)})
            sums, count, since = {}, 0, now
        if done % recipe.checkpoint_every == 0 or done == recipe.steps or stop:
            save_checkpoint(
                args.out,
                {
                    "step": done,
                    "recipe": as_dict(recipe),
                    "stylizer": stylizer.state_dict(),
                    "average": average.state_dict(),
                    "optimizer": optimizer.state_dict(),
                },
            )
            export(recipe, average.module if recipe.ema else stylizer, args.out, done)
        if stop:
            raise SystemExit(130)


def export(recipe: Recipe, stylizer: Stylizer, run: Path, step: int) -> None:
    """Write the run's result: encoder and decoder where the encoder learned, else the decoder alone."""
    name = run.resolve().name
    space = space_of(name if recipe.train_encoder else Path(recipe.encoder).stem, stylizer.encoder)
    encoder = stylizer.encoder if recipe.train_encoder else None
    save_weights(Weights(space, encoder, stylizer.decoder), run / f"{name}.safetensors")


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    try:
        train(load_recipe(args.recipe, args.set), args)
    except (TrainingError, WeightsError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
