"""What the commands say on stdout: lines for people, or JSON for programs."""

from __future__ import annotations

import argparse
import json

from ..runtime.terminal import printable


def say(*lines: str) -> None:
    """Print lines, with what a terminal would obey escaped."""
    for line in lines:
        print(printable(line))


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="Print the result as JSON, for other programs")


def report(args: argparse.Namespace, values: object, *lines: str) -> None:
    """Print what a command did or found: the values as JSON if --json asks for it, else the lines."""
    if args.json:
        print(json.dumps(values))
    else:
        say(*lines)
