"""One run of a recipe, step by step."""

from __future__ import annotations

import argparse
import copy
import hashlib
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, default_collate

from adain_core.models.weights import load_encoder
from adain_core.pipeline.analyzer import laid_out
from adain_core.runtime.device import resolve_dtype
from adain_core.runtime.processes import Processes

from .build import build, export
from .checkpoint import CHECKPOINT, save_checkpoint
from .command import TrainingError
from .data import CropNumbers, CropPairs, RandomCrops, default_workers, leave_signals_to_the_trainer
from .forecast import announce, check_memory, seconds_per_step
from .monitor import Monitor
from .networks import Average, Stylizer
from .objective import Objective
from .optimizer import make_optimizer
from .recipe import Recipe
from .schedule import Every, Interval, learning_rate
from .validation import HeldOut


class Trainer:
    """One run of a recipe.

    Crops, and so all that is random, are functions of the seed and the step: a checkpoint needs no state but the step
    to go on with the same ones. No step waits for the device: losses are read when there is something to write.

    Args:
        recipe: what to do.
        args: of the command line.
        processes: those that work on the run together.
        checkpoint: of the run's first part; empty at the beginning.

    Raises:
        TrainingError: the run cannot go on, or not here.
    """

    def __init__(
        self, recipe: Recipe, args: argparse.Namespace, processes: Processes, checkpoint: dict[str, Any]
    ) -> None:
        self.recipe = recipe
        self.run, self.processes, self.device = args.out, processes, processes.device
        self.result = args.out / f"{args.out.resolve().name}.safetensors"
        self.minutes = args.minutes
        self.deadline = time.monotonic() + 60 * args.minutes
        self.workers = default_workers() if recipe.workers is None else recipe.workers
        self.done: int = checkpoint.get("step", 0)
        self.interval = Interval(**checkpoint.get("interval", {"sums": {}, "steps": 0}))
        cache = int(recipe.cache_gb * 2**30) // 2 // max(1, self.workers)
        self.content, self.style = (
            RandomCrops(folder, recipe.crop, recipe.size, recipe.seed + i, recipe.pool, cache, recolor)
            for i, (folder, recolor) in enumerate(((args.content, 0.0), (args.style, recipe.recolor)))
        )
        self.images = hashlib.sha256(repr([crops.digests for crops in (self.content, self.style)]).encode()).hexdigest()
        if checkpoint.get("images", self.images) != self.images:
            raise TrainingError(
                f"{args.content} or {args.style} holds other images than when {self.run} began; bring those back, or"
                " start in another folder."
            )
        self.held_out = None
        if recipe.held_out:
            contents, styles = (crops.hold_out(recipe.held_out) for crops in (self.content, self.style))
            self.held_out = HeldOut(recipe, contents, styles, checkpoint.get("best", math.inf))
        self._make_networks(checkpoint)
        # "auto" measures: all processes, and what goes on after a break, keep to one answer.
        fast = processes.any(resolve_dtype(recipe.precision, self.device) == torch.bfloat16)
        self.bfloat16: bool = checkpoint.get("bfloat16", fast)
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, self.bfloat16)
        self.monitor = None
        if processes.rank == 0:
            self.monitor = Monitor(self.run, recipe, self.done, self.content, self.style, args.wandb)

    def _make_networks(self, checkpoint: dict[str, Any]) -> None:
        recipe = self.recipe
        loss_encoder, loss_space = load_encoder(recipe.loss_network)
        images = len(self.content.paths) + len(self.style.paths)
        check_memory(recipe, loss_encoder.widths, images, self.processes, self.workers)
        self.stylizer, self.loss_network, self.space = build(recipe, loss_encoder, loss_space, len(self.style.paths))
        for network in (self.stylizer, self.loss_network.encoder, self.loss_network.color_teacher):
            if network:
                laid_out(network.to(self.device))
        self.parameters = [p for p in self.stylizer.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(recipe, self.parameters)
        self.average = None
        if recipe.ema:
            self.average = Average(self.stylizer, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
        if checkpoint:
            self._go_on_from(checkpoint)
        if recipe.compile:
            self.stylizer.compile()
            self.loss_network.encoder.compile()
        self.objective: nn.Module = Objective(recipe, self.stylizer, self.loss_network)
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

    def train(self, wishes_to_leave: list[int]) -> None:
        """Go on to the last step, or until a signal is in the list or the deadline is reached."""
        recipe = self.recipe
        seconds = self.rehearse()
        if self.monitor:
            announce(recipe, self.done, seconds, self.minutes)
        # Several processes ask each other what is due about once a second: to ask at each step would make it wait.
        stride = 1 if self.processes.count == 1 else max(1, int(1 / seconds))
        clocks = [Every(recipe.log_seconds), Every(recipe.sample_seconds), Every(recipe.checkpoint_seconds)]
        batches = iter(self._loader())
        while self.done < recipe.steps:
            asked = time.perf_counter()
            content, style = next(batches)
            self.interval.waited += time.perf_counter() - asked
            self.step(content, style)
            if self.monitor:
                self.monitor.bar.update()
            last = self.done == recipe.steps
            if not last and self.done % stride:
                continue
            leaving, *due = self._agree(
                [bool(wishes_to_leave) or time.monotonic() > self.deadline, *(clock.is_due() for clock in clocks)]
            )
            log, sample, save = (last or leaving or is_due for is_due in due)
            self.record(log, sample, save)
            for clock, is_due in zip(clocks, due, strict=True):
                if is_due:
                    clock.restart()
            if leaving:
                break
        if self.monitor:
            self.monitor.close()

    def _agree(self, flags: list[bool]) -> list[bool]:
        """For each flag, whether it is up in one of the processes."""
        if self.processes.count == 1:
            return flags
        return (self.processes.mean(torch.tensor(flags, dtype=torch.float32, device=self.device)) > 0).tolist()

    def rehearse(self) -> float:
        """How many seconds a step takes here, from one that leaves no trace."""
        own = self.recipe.batch_size // self.processes.count
        pairs, state = CropPairs(self.content, self.style), copy.deepcopy(self.stylizer.state_dict())
        objective = self.objective.module if isinstance(self.objective, DistributedDataParallel) else self.objective
        batch: list[Any] = []
        seconds = seconds_per_step(
            self.device,
            compute=lambda: self._gradients(objective, *batch),
            load=lambda: batch.extend(default_collate([pairs[i] for i in range(own)])),
            workers=self.workers,
        )
        self.stylizer.load_state_dict(state)
        return self.processes.mean(torch.tensor(seconds, device=self.device)).item()

    def _loader(self) -> DataLoader:
        batch = self.recipe.batch_size
        first, count = self.done * batch, (self.recipe.steps - self.done) * batch
        return DataLoader(
            CropPairs(self.content, self.style),
            batch // self.processes.count,
            sampler=CropNumbers(first, count, batch, self.processes.rank, self.processes.count),
            num_workers=self.workers,
            worker_init_fn=leave_signals_to_the_trainer,
            pin_memory=self.device.type == "cuda",
        )

    def step(self, content: Sequence[Tensor], style: Sequence[Tensor]) -> None:
        """Learn from a batch: for contents and styles the crops [B, 3, H, W] as uint8, their numbers and the numbers of
        their images."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.done)
        terms = self._gradients(self.objective, content, style)
        terms["grad_norm"] = nn.utils.clip_grad_norm_(self.parameters, self.recipe.grad_clip or math.inf)
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.stylizer)
        self.interval.add(terms)
        self.done += 1

    def _gradients(self, objective: nn.Module, content: Sequence[Tensor], style: Sequence[Tensor]) -> dict[str, Tensor]:
        """Compute the gradients of a batch, part by part: the means of the terms."""
        self.stylizer.zero_grad(set_to_none=True)
        parts = list(zip(*(x.chunk(self.recipe.accumulate) for x in (*content[:2], *style)), strict=True))
        sums: dict[str, Tensor] = {}
        for i, (contents, content_numbers, styles, style_numbers, style_images) in enumerate(parts, start=1):
            images = [
                x.to(self.device, non_blocking=True).float().div(255).contiguous(memory_format=torch.channels_last)
                for x in (contents, styles)
            ]
            numbers = content_numbers.tolist(), style_numbers.tolist()
            # The gradients of several processes meet once a step.
            parallel = objective if isinstance(objective, DistributedDataParallel) else None
            with parallel.no_sync() if parallel and i < len(parts) else nullcontext():
                with self.autocast:
                    terms = objective(*images, *numbers, style_images.to(self.device, non_blocking=True))
                (terms["total"] / len(parts)).backward()
            sums = {name: sums.get(name, 0) + value.detach() / len(parts) for name, value in terms.items()}
        return sums

    def record(self, log: bool, sample: bool, save: bool) -> None:
        """Write what is due: a line of the log, a validation with samples, a checkpoint.

        Raises:
            TrainingError: a loss is not finite, or there is no room; the earlier files stay whole.
        """
        if not (log or sample or save):
            return
        sums = self.interval.sums(self.processes)
        if log:
            self._log(sums)
            sums = {}
        if not self.monitor:
            return
        try:
            if sample and self.held_out:
                self._validate(self.held_out, self.monitor)
            if save:
                self._save(sums)
            if sample:
                with self.autocast:
                    self.monitor.show(self.done, self.learned, self.device)
        except OSError as error:
            raise TrainingError(
                f"{self.run} cannot be written: {error.strerror or error}. Make room, then go on with --resume."
            ) from error

    def _log(self, sums: dict[str, float]) -> None:
        """Record the interval and begin another."""
        if self.monitor:
            seconds = self.interval.seconds_per_step()
            means = {name: value / self.interval.steps for name, value in sums.items()}
            rate = learning_rate(self.recipe, self.done - 1)
            values = {**means, "lr": rate, "images_per_s": self.recipe.batch_size / seconds}
            self.monitor.row(self.done, values, seconds, self.interval.waiting())
        self.interval = Interval({}, 0)

    def _validate(self, held_out: HeldOut, monitor: Monitor) -> None:
        with self.autocast:
            losses, is_best = held_out.measure(self.learned, self.loss_network)
        monitor.validated(self.done, losses, is_best)
        if is_best:
            self._export(self.result.with_stem(f"{self.result.stem}-best"))

    def _save(self, sums: dict[str, float]) -> None:
        """Write the result and the checkpoint, in this order: a run whose checkpoint is that of its last step is taken
        for finished."""
        self._export(self.result)
        state = {
            "step": self.done,
            "recipe": self.recipe.model_dump(mode="json"),
            "processes": self.processes.count,
            "bfloat16": self.bfloat16,
            "images": self.images,
            "best": self.held_out.best if self.held_out else math.inf,
            "stylizer": self.stylizer.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "optimizer": self.optimizer.state_dict(),
            "interval": {"sums": sums, "steps": self.interval.steps},
        }
        save_checkpoint(self.run, state)

    def _export(self, path: Path) -> None:
        names = [str(path.relative_to(self.style.folder)) for path in self.style.paths]
        summary = {"steps": self.done, "contents": len(self.content.paths), "styles": len(self.style.paths)}
        export(self.recipe, self.learned, self.space, path, names, summary)
