"""Make a random subset of a big folder of images.

    python -m training.subset --source DIR --out DIR --count N [--seed N] [--copy]

The study trained on 40,000 photographs and 20,000 paintings. The files keep their places below the folder; they are
hard links, which take no room, unless --copy is given. The same seed gives the same subset.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from .command import TrainingError, positive_int, run_command
from .data import find_images


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="training.subset", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, required=True, help="folder of images, searched recursively")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--count", type=positive_int, required=True, help="number of images")
    parser.add_argument("--seed", type=int, default=0, help="which images are chosen (default: 0)")
    parser.add_argument("--copy", action="store_true", help="copy in place of hard links")
    return parser.parse_args(argv)


def make_subset(args: argparse.Namespace) -> None:
    images = find_images(args.source)
    if args.count > len(images):
        raise TrainingError(
            f"--count {args.count}: expected 1 to {len(images)}, the number of images in {args.source}."
        )
    if args.out.exists():
        raise TrainingError(f"{args.out} exists already; name a new folder.")
    place = shutil.copy2 if args.copy else os.link
    for image in random.Random(args.seed).sample(images, args.count):
        target = args.out / image.relative_to(args.source)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            place(image, target)
        except OSError as error:
            shutil.rmtree(args.out)
            advice = "" if args.copy else " Use --copy where hard links are impossible."
            raise TrainingError(f"{target} cannot be made: {error.strerror or error}.{advice}") from error
    print(f"{args.count} of {len(images)} images are in {args.out}.")


def main(argv: Sequence[str] | None = None) -> int:
    return run_command(make_subset, parse_arguments(argv))


if __name__ == "__main__":
    sys.exit(main())
