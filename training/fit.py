"""Train a decoder, and for the lite family an encoder with it.

    python -m training.fit --content DIR --style DIR --out RUN [--recipe NAME] [--set key=value ...] [--resume]
    torchrun --nproc_per_node=N -m training.fit ...

RUN receives checkpoint.pt (to --resume), log.csv, curves.png, samples.png and <RUN's name>.safetensors: the result,
for ComfyUI's models/adain folder and for --model of the command line. training/recipe.py documents every key. A step
costs 4 forward passes of the loss network over a batch ("units"): one over the contents, one over the styles, one over
the results and about one for the gradient; ``pool`` saves the first two. With several processes each one takes
batch_size crops a step. Ctrl-C saves and leaves.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from adain_core.runtime.device import resolve_device, resolve_dtype
from adain_core.runtime.processes import Processes

from .build import build, export
from .checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from .command import TrainingError, run_command
from .data import Numbers, Pairs, RandomCrops
from .monitor import Monitor
from .networks import Stylizer
from .objective import Objective
from .optimizer import make_optimizer
from .recipe import Recipe, as_dict, load_recipe

INTERRUPTED = 130
OUT_OF_TIME = 3


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.fit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, required=True, help="folder of photographs, searched recursively")
    parser.add_argument("--style", type=Path, required=True, help="folder of artworks, searched recursively")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--recipe", default="paper", help="a name in training/recipes or a .toml file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe")
    parser.add_argument("--resume", action="store_true", help="go on from RUN/checkpoint.pt, if it is there")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="save and leave after so long, as after Ctrl-C")
    return parser.parse_args(argv)


def learning_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of step n = 0, 1, ...: the report's lr / (1 + lr_decay n), or a cosine to a hundredth of lr."""
    rate = recipe.lr * min(1.0, (step + 1) / max(1, recipe.warmup))
    if not recipe.cosine:
        return rate / (1 + recipe.lr_decay * step)
    return rate * (0.01 + 0.99 * (1 + math.cos(math.pi * step / recipe.steps)) / 2)


@contextmanager
def noted_signals() -> Iterator[list[int]]:
    """Gather the requests to end (Ctrl-C, or SIGTERM from torchrun and batch systems) in place of obeying at once."""
    noted: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda received, _: noted.append(received)) for number in numbers]
    try:
        yield noted
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def leave_signals_to_the_trainer(_: int) -> None:
    """A worker that decodes images does not end before the trainer does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Interval:
    """What adds up between two lines of the log.

    Args:
        sums: of the terms, as far as an interrupted run had come.
        steps: behind those sums.
    """

    def __init__(self, sums: dict[str, float], steps: int) -> None:
        self.sums = dict(sums)
        self.steps = steps
        self.waited = 0.0
        self._timed_from = steps
        self._start = time.perf_counter()

    def add(self, values: Mapping[str, float]) -> None:
        """Add the terms of a step."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in values.items()}
        self.steps += 1

    def means(self) -> dict[str, float]:
        """The means of the terms over the steps."""
        return {name: value / self.steps for name, value in self.sums.items()}

    def speed(self, crops: int) -> tuple[float, float]:
        """Images per second, at so many a step, and the share of the time that went into waiting for data."""
        seconds = time.perf_counter() - self._start
        return (self.steps - self._timed_from) * crops / seconds, self.waited / seconds


class Trainer:
    """One run of a recipe.

    Crops, and so all that is random, are functions of the seed and the step: a checkpoint needs no state but the step
    to go on with the same ones.

    Args:
        recipe: what to do.
        args: of the command line.
        processes: those that work on the run together.
        checkpoint: of the run's first part; empty at the beginning.
    """

    def __init__(
        self, recipe: Recipe, args: argparse.Namespace, processes: Processes, checkpoint: dict[str, Any]
    ) -> None:
        self.recipe, self.run, self.processes = recipe, args.out, processes
        self.deadline = time.monotonic() + 60 * args.minutes
        self.device = processes.device
        self.done: int = checkpoint.get("step", 0)
        self.batch = recipe.batch_size * processes.count
        self.interval = Interval(**checkpoint.get("interval", {"sums": {}, "steps": 0}))
        cache = int(recipe.cache_gb * 2**30) // 2
        self.content, self.style = (
            RandomCrops(folder, recipe.crop, recipe.size, recipe.seed + i, recipe.pool, cache, recolor)
            for i, (folder, recolor) in enumerate(((args.content, 0.0), (args.style, recipe.recolor)))
        )
        self.images = self._digest_of_images()
        if checkpoint.get("images", self.images) != self.images:
            raise TrainingError(
                f"{args.content} or {args.style} holds other images than when {self.run} began; bring those back, or"
                " start in another folder."
            )
        self._make_networks(checkpoint)
        # "auto" measures: all processes, and what goes on after a break, keep to one answer.
        fast = processes.any(resolve_dtype(recipe.precision, self.device) == torch.bfloat16)
        self.bfloat16: bool = checkpoint.get("bfloat16", fast)
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, self.bfloat16)
        self.monitor = None
        if processes.rank == 0:
            crops = recipe.steps * self.batch
            self.monitor = Monitor(self.run, recipe, self.done, self.content, self.style, crops)

    def _digest_of_images(self) -> str:
        """Of the images' names: a crop's number means the same image as long as they stay."""
        names = [
            [path.relative_to(crops.folder).as_posix() for path in crops.paths] for crops in (self.content, self.style)
        ]
        return hashlib.sha256(json.dumps(names).encode()).hexdigest()

    def _make_networks(self, checkpoint: dict[str, Any]) -> None:
        recipe = self.recipe
        self.stylizer, loss_network, self.space = build(recipe, len(self.style.paths))
        for network in (self.stylizer, loss_network.encoder, loss_network.color_teacher):
            if network:
                network.to(self.device, memory_format=torch.channels_last)
        self.parameters = [p for p in self.stylizer.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(recipe, self.parameters)
        self.average = None
        if recipe.ema:
            self.average = AveragedModel(self.stylizer, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
        if checkpoint:
            self._go_on_from(checkpoint)
        if recipe.compile:
            self.stylizer.compile()
            loss_network.encoder.compile()
        self.objective: nn.Module = Objective(recipe, self.stylizer, loss_network)
        if self.processes.count > 1:
            self.objective = DistributedDataParallel(self.objective)

    def _go_on_from(self, checkpoint: dict[str, Any]) -> None:
        try:
            self.stylizer.load_state_dict(checkpoint["stylizer"])
            self.optimizer.load_state_dict(checkpoint["optimizer"])
            if self.average:
                self.average.load_state_dict(checkpoint["average"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"{self.run / CHECKPOINT} does not fit these networks: {str(error).splitlines()[0]} Start in another"
                " folder."
            ) from error

    @property
    def learned(self) -> Stylizer:
        """What the run has to show: the moving average of the weights, if there is one."""
        return self.average.module if self.average else self.stylizer

    def train(self, wishes_to_leave: list[int]) -> int:
        """Go on to the last step, or until a signal is in the list or the deadline is reached: an exit code."""
        recipe, processes = self.recipe, self.processes
        batches = iter(self._loader())
        while self.done < recipe.steps:
            asked = time.perf_counter()
            content, style = next(batches)
            self.interval.waited += time.perf_counter() - asked
            self.step(content, style)
            last = self.done == recipe.steps
            leaving = processes.any(bool(wishes_to_leave) or time.monotonic() > self.deadline)
            if self.done % recipe.log_every == 0 or last:
                self.log()
            if self.monitor:
                self.monitor.bar.update()
                if self.done % recipe.checkpoint_every == 0 or last or leaving:
                    self.save()
                if self.done % recipe.sample_every == 0 or last:
                    with self.autocast:
                        self.monitor.show(self.learned, self.device)
            if leaving:
                break
        if self.monitor:
            self.monitor.close()
        if self.done == recipe.steps:
            return 0
        return INTERRUPTED if wishes_to_leave else OUT_OF_TIME

    def _loader(self) -> DataLoader:
        first, count = self.done * self.batch, (self.recipe.steps - self.done) * self.batch
        return DataLoader(
            Pairs(self.content, self.style),
            self.recipe.batch_size,
            sampler=Numbers(first, count, self.batch, self.processes.rank, self.processes.count),
            num_workers=self.recipe.workers,
            worker_init_fn=leave_signals_to_the_trainer,
            pin_memory=self.device.type == "cuda",
        )

    def step(self, content: Sequence[Tensor], style: Sequence[Tensor]) -> None:
        """Learn from a batch: for contents and styles the crops [B, 3, H, W] as uint8, their numbers and the numbers of
        their images.

        Raises:
            TrainingError: the loss is not finite.
        """
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.done)
        self.optimizer.zero_grad(set_to_none=True)
        parts = list(zip(*(x.chunk(recipe.accumulate) for x in (*content[:2], *style)), strict=True))
        sums: dict[str, Tensor] = {}
        for i, (contents, content_numbers, styles, style_numbers, style_images) in enumerate(parts, start=1):
            images = [
                x.to(self.device, non_blocking=True).float().div(255).contiguous(memory_format=torch.channels_last)
                for x in (contents, styles)
            ]
            numbers = content_numbers.tolist(), style_numbers.tolist()
            meet = i == len(parts) or self.processes.count == 1  # gradients meet once a step
            with nullcontext() if meet else self.objective.no_sync():
                with self.autocast:
                    terms = self.objective(*images, *numbers, style_images.to(self.device))
                (terms["total"] / len(parts)).backward()
            sums = {name: sums.get(name, 0) + value.detach() / len(parts) for name, value in terms.items()}
        sums["grad_norm"] = nn.utils.clip_grad_norm_(self.parameters, recipe.grad_clip or math.inf)
        values = self.processes.mean(torch.stack(list(sums.values()))).tolist()
        if not all(map(math.isfinite, values)):
            raise TrainingError(
                f"The loss or its gradient is not finite at step {self.done + 1}; try a smaller lr or grad_clip = 1."
                " The last checkpoint stays as it is."
            )
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.stylizer)
        self.interval.add(dict(zip(sums, values, strict=True)))
        self.done += 1

    def log(self) -> None:
        """Record the interval and begin another."""
        speed, waiting = self.interval.speed(self.batch)
        if self.monitor:
            rate = learning_rate(self.recipe, self.done - 1)
            self.monitor.row({"step": self.done, **self.interval.means(), "lr": rate, "images_per_s": speed}, waiting)
        self.interval = Interval({}, 0)

    def save(self) -> None:
        """Write the result and the checkpoint, in this order: a run whose checkpoint is that of its last step is taken
        for finished.

        Raises:
            TrainingError: there is no room; the earlier files stay whole.
        """
        state = {
            "step": self.done,
            "recipe": as_dict(self.recipe),
            "processes": self.processes.count,
            "bfloat16": self.bfloat16,
            "images": self.images,
            "stylizer": self.stylizer.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "optimizer": self.optimizer.state_dict(),
            "interval": {"sums": self.interval.sums, "steps": self.interval.steps},
        }
        names = [str(path.relative_to(self.style.folder)) for path in self.style.paths]
        summary = {"steps": self.done, "contents": len(self.content.paths), "styles": len(self.style.paths)}
        try:
            export(self.recipe, self.learned, self.space, self.run, names, summary)
            save_checkpoint(self.run, state)
        except OSError as error:
            raise TrainingError(
                f"{self.run} cannot be written: {error.strerror or error}. Make room, then go on with --resume."
            ) from error


def fit(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe, args.set)
    if (args.out / CHECKPOINT).exists() and not args.resume:
        raise TrainingError(f"{args.out} holds a run already; go on with --resume, or name another folder.")
    processes = Processes.join(resolve_device(args.device))
    code = go_on(recipe, args, processes)
    processes.leave()
    return code


def go_on(recipe: Recipe, args: argparse.Namespace, processes: Processes) -> int:
    """Train as one of the processes, from the checkpoint if there is one: an exit code."""
    checkpoint = load_checkpoint(args.out, recipe, processes.count) or {}
    result = args.out / f"{args.out.resolve().name}.safetensors"
    if checkpoint.get("step") == recipe.steps:
        print(f"{args.out} is finished: all {recipe.steps} steps are done; the result is {result}.")
        return 0
    with noted_signals() as signals:
        trainer = Trainer(recipe, args, processes, checkpoint)
        code = trainer.train(signals)
    if processes.rank == 0 and code:
        print(f"Saved at step {trainer.done} of {recipe.steps}; go on with --resume.", file=sys.stderr)
    elif processes.rank == 0:
        print(f"Done: the result is {result}.")
    return code


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(fit, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
