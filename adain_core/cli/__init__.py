"""The command line: ``python -m adain_core COMMAND`` or ``adain COMMAND``.

Each command is a module with ``add_parser(commands)``, which sets ``run`` to a function from the parsed arguments to
an exit code. Whatever is wrong with what the user gave ends in one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..cli import convert, gatys, grid, info, measure, styles, stylize, texture, video
from ..runtime.memory import is_out_of_memory

COMMANDS = (stylize, video, styles, grid, measure, gatys, texture, convert, info)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, without the usage text."""

    _mixing = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, but an option may stand anywhere: ``photo.jpg -o out.png style.jpg``."""
        if self._subparsers or self._mixing:
            return super().parse_known_args(args, namespace)
        for arg in args or ():
            if arg.startswith("--") and arg.endswith("=--"):  # of which argparse makes an empty list
                self.error(f"argument {arg[:-3]}: '--' is no value")
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)


def make_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="adain", description="Arbitrary style transfer by Adaptive Instance Normalization.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 some of the files failed, 2 bad input, 130 interrupted."""
    args = make_parser().parse_args(argv)
    logging.basicConfig(format="adain: %(message)s")
    logging.getLogger("adain_core").setLevel(logging.INFO)
    try:
        code = args.run(args)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Who reads the output, such as head, has enough. What is left in the buffer would raise again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"adain: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"adain: There is too little memory for pictures of this size: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("adain: interrupted.", file=sys.stderr)
        return 130
