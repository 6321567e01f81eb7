"""How the commands of this package end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from adain_core.cli.options import as_type
from adain_core.models.weights import MAX_WIDTH
from adain_core.pipeline.tiling import CELL
from adain_core.runtime.tables import Option
from adain_core.runtime.terminal import printable

_SMALLEST = 16
# More than any picture or number of steps, and few enough to compute with.
_MOST = 10**9

positive_int = as_type(Option(1, "A whole number.", low=1, high=_MOST).parse)
positive_float = as_type(Option(1.0, "A number.", low=1e-9, high=float(_MOST)).parse)


class TrainingError(ValueError):
    """What was given cannot be used; the message says what is wrong, what was expected and what to do."""


def square_side(text: str) -> int:
    """An argparse type: the side of a square in pixels that every encoder and measure takes."""
    side = positive_int(text)
    if side < _SMALLEST:
        raise argparse.ArgumentTypeError(f"'{text}' is too small; expected at least {_SMALLEST} pixels")
    return side


def crop_side(text: str) -> int:
    """An argparse type: the side of a crop in pixels whose features decode to a picture of the same size."""
    side = square_side(text)
    if side % CELL:
        raise argparse.ArgumentTypeError(f"'{text}': expected a multiple of {CELL}, such as {side - side % CELL}")
    return side


def four_widths(text: str) -> tuple[int, ...]:
    """An argparse type: the channels of the four blocks, with commas between them."""
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() and 0 < int(part) <= MAX_WIDTH for part in parts):
        raise argparse.ArgumentTypeError(
            f"'{text}': expected four whole numbers from 1 to {MAX_WIDTH} such as 64,128,256,512"
        )
    return tuple(int(part) for part in parts)


def run_command(work: Callable[[argparse.Namespace], int | None], args: argparse.Namespace) -> int:
    """Do the work of a command: whatever is wrong with what the user gave ends in one sentence on stderr and exit code
    2, Ctrl-C in 130."""
    try:
        return work(args) or 0
    except ValueError as error:
        print(printable(str(error)), file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(printable(f"{place}{error.strerror or error}."), file=sys.stderr)
    return 2
