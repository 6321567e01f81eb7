"""Make an embedded model anew, stage by stage as lineage.toml has it.

    python -m training.remake NAME --content DIR --style DIR --out DIR [--set key=value ...]

The result is OUT/NAME/NAME.safetensors; the stages before the last one, and the models that this one begins with, have
folders beside it. What is done already is not done again, so after Ctrl-C the same command goes on. --set changes every
fit, to fewer steps for a trial or to the memory of this machine.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from . import average, chroma, distill, fit, resize
from .checkpoint import is_finished
from .command import TrainingError, run_command

LINEAGE = Path(__file__).parent / "lineage.toml"

COMMANDS = {"fit": fit, "distill": distill, "resize": resize, "chroma": chroma, "average": average}


class Stage(BaseModel):
    """One stage of a model's lineage, as lineage.toml describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: Literal["fit", "distill", "resize", "chroma", "average"]
    start: str = ""
    recipe: str = ""
    options: dict[str, Any] = {}
    note: str = ""


def read_lineage() -> dict[str, list[Stage]]:
    """The stages of every model. One with "recipes" stands for a fit of each."""
    written = tomllib.loads(LINEAGE.read_text(encoding="utf-8"))
    stages = {
        name: [
            {**stage, "recipe": recipe} for stage in model for recipe in stage.pop("recipes", [stage.get("recipe", "")])
        ]
        for name, model in written.items()
    }
    return TypeAdapter(dict[str, list[Stage]]).validate_python(stages)


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.remake", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "name",
        choices=sorted(read_lineage()),
        metavar="NAME",
        help="an embedded model, or one that such a model began with",
    )
    parser.add_argument("--content", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--style", type=Path, required=True, help="folder of artworks")
    parser.add_argument("--out", type=Path, default=Path("remade"), help="folder of the stages (default: remade)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change every fit's recipe")
    parser.add_argument("--device", default="auto", help="of the fits (default: auto)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="leave after so long; the same command goes on")
    return parser.parse_args(argv)


def result_of(out: Path, lineage: dict[str, list[Stage]], name: str, number: int) -> Path:
    """The file of a model after one of its stages, counted from 1."""
    run = name if number == len(lineage[name]) else f"{name}-{number}"
    return out / run / f"{run}.safetensors"


def plan(lineage: dict[str, list[Stage]], name: str, last: int | None = None) -> list[tuple[str, int]]:
    """The stages that lead to a model, as (name, number from 1), those of the models that it begins with first."""
    stages: list[tuple[str, int]] = []
    for number, stage in enumerate(lineage[name][:last], start=1):
        if stage.start:
            stages += plan(lineage, *origin_of(lineage, stage))
        stages.append((name, number))
    return stages


def origin_of(lineage: dict[str, list[Stage]], stage: Stage) -> tuple[str, int]:
    """The model that a stage begins with, and after which of its stages."""
    name, _, number = stage.start.partition(":")
    return name, int(number or len(lineage[name]))


def arguments_of(args: argparse.Namespace, lineage: dict[str, list[Stage]], name: str, number: int) -> list[str]:
    """What a stage's command is given."""
    stage, out = lineage[name][number - 1], result_of(args.out, lineage, name, number)
    start = None
    if stage.start:
        start = result_of(args.out, lineage, *origin_of(lineage, stage))
    elif number > 1:
        start = result_of(args.out, lineage, name, number - 1)
    folders = ["--content", args.content, "--style", args.style]
    if stage.do == "fit":
        changes = [f"{key}={_toml(value)}" for key, value in stage.options.items()]
        changes += [f"start={start}"] if start else []
        settings = [part for change in (*changes, *args.set) for part in ("--set", change)]
        machine = ["--resume", "--device", args.device]
        return [str(x) for x in (*folders, "--out", out.parent, "--recipe", stage.recipe, *machine, *settings)]
    options = [part for key, value in stage.options.items() for part in _option(key, value)]
    if stage.do == "average":  # of what the stage before it made and what that began with
        before = result_of(args.out, lineage, name, number - 2)
        return [str(x) for x in ("--before", before, "--after", start, "--out", out, *options)]
    origin = ["--start" if stage.do == "distill" else "--model", start] if start else []
    return [str(x) for x in (*(folders if stage.do != "chroma" else ()), *origin, "--out", out, *options)]


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _option(key: str, value: object) -> list[str]:
    return [f"--{key}"] if value is True else [f"--{key}", str(value)]


def remake(args: argparse.Namespace) -> int:
    lineage = read_lineage()
    deadline = time.monotonic() + 60 * args.minutes
    stages = plan(lineage, args.name)
    for count, (name, number) in enumerate(stages, start=1):
        stage, result = lineage[name][number - 1], result_of(args.out, lineage, name, number)
        if is_finished(result):
            continue
        note = f" ({stage.note})" if stage.note else ""
        what = f"{stage.do} {stage.recipe}".strip()
        print(f"{count} of {len(stages)}: {name}, stage {number}, {what}{note}", file=sys.stderr)
        arguments = arguments_of(args, lineage, name, number)
        if stage.do == "fit":
            arguments += ["--minutes", str(max(0.0, deadline - time.monotonic()) / 60)]
        code = COMMANDS[stage.do].main(arguments)
        if code in (fit.INTERRUPTED, fit.OUT_OF_TIME):
            print("The same command goes on.", file=sys.stderr)
            return code
        if code:
            raise TrainingError(f"Stage {number} of {name} failed; its message is above.")
    print(f"Done: the result is {result_of(args.out, lineage, args.name, len(lineage[args.name]))}.")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(remake, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
