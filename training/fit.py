"""Train a decoder, and for the lite family an encoder with it.

    python -m training.fit --content DIR --style DIR --out RUN [--recipe NAME] [--set key=value ...] [--resume]
    torchrun --nproc_per_node=N -m training.fit ...

RUN receives checkpoint.pt (to --resume), log.csv, curves.png, samples.png and <RUN's name>.safetensors: the result,
for ComfyUI's models/adain folder and for --model of the command line. training/recipe.py documents every key. A step
costs 4 forward passes of the loss network over a batch ("units"): one over the contents, one over the styles, one over
the results and about one for the gradient; ``pool`` saves the first two. Several processes share each batch. Before
the first step the run says how long it will take here. Ctrl-C writes all that there is to show, saves and leaves.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from adain_core.runtime.device import resolve_device
from adain_core.runtime.memory import is_out_of_memory
from adain_core.runtime.processes import Processes

from .checkpoint import CHECKPOINT, load_checkpoint
from .command import TrainingError, run_command
from .data import find_images
from .recipe import Recipe, load_recipe
from .trainer import Trainer

INTERRUPTED = 130
OUT_OF_TIME = 3


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.fit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--content", type=Path, required=True, help="folder of photographs, searched recursively")
    parser.add_argument("--style", type=Path, required=True, help="folder of artworks, searched recursively")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--recipe", default="paper", help="a name in training/recipes or a .toml file (default: paper)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe")
    parser.add_argument("--resume", action="store_true", help="go on from RUN/checkpoint.pt, if it is there")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="save and leave after so long, as after Ctrl-C")
    parser.add_argument("--wandb", metavar="PROJECT", help="also record the run at Weights & Biases")
    return parser.parse_args(argv)


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


@contextmanager
def sole_use(run: Path) -> Iterator[None]:
    """Keep a run's folder from other trainings. The system takes the lock back from a process that has died.

    Raises:
        TrainingError: another training has the folder.
    """
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrainingError(f"Another training works in {run}; wait for it, or name another folder.") from error
    try:
        yield
    finally:
        if {path.name for path in run.iterdir()} <= {".lock"}:  # refused before anything was written
            with suppress(OSError):
                (run / ".lock").unlink(missing_ok=True)
                run.rmdir()
        lock.release()


def fit(args: argparse.Namespace) -> int:
    recipe = load_recipe(args.recipe, args.set)
    recipe = recipe.for_images(len(find_images(args.content)) - recipe.held_out)
    processes = Processes.join(resolve_device(args.device))
    if recipe.batch_size % (processes.count * recipe.accumulate):
        raise TrainingError(
            f"'batch_size' = {recipe.batch_size}: expected a multiple of {processes.count} processes times"
            f" accumulate = {recipe.accumulate}."
        )
    if processes.rank == 0:
        with sole_use(args.out):
            code = go_on(recipe, args, processes)
    else:
        code = go_on(recipe, args, processes)
    processes.leave()
    return code


def go_on(recipe: Recipe, args: argparse.Namespace, processes: Processes) -> int:
    """Train as one of the processes, from the checkpoint if there is one: an exit code."""
    if (args.out / CHECKPOINT).exists() and not args.resume:
        raise TrainingError(f"{args.out} holds a run already; go on with --resume, or name another folder.")
    checkpoint = load_checkpoint(args.out, recipe, processes.count) or {}
    result = args.out / f"{args.out.resolve().name}.safetensors"
    if checkpoint.get("step") == recipe.steps:
        print(f"{args.out} is finished: all {recipe.steps} steps are done; the result is {result}.")
        return 0
    with noted_signals() as signals:
        try:
            trainer = Trainer(recipe, args, processes, checkpoint)
            trainer.train(signals)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                "There is not enough memory for a step; choose a smaller batch_size or crop, or a larger accumulate."
            ) from error
    finished = trainer.done == recipe.steps
    if processes.rank == 0 and finished:
        print(f"Done: the result is {result}.")
    elif processes.rank == 0:
        print(f"Saved at step {trainer.done} of {recipe.steps}; go on with --resume.", file=sys.stderr)
    return 0 if finished else INTERRUPTED if signals else OUT_OF_TIME


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(fit, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
