"""The command line: ``python -m adain_core COMMAND`` or ``adain COMMAND``.

Each command is a module with ``add_parser(commands)``, which sets ``run`` to a function from the parsed arguments to
an exit code. Whatever is wrong with what the user gave ends in one sentence on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from ..runtime.environment import bound_caches
from ..runtime.memory import is_out_of_memory
from ..runtime.terminal import printable
from ..runtime.version import VERSION
from . import convert, export, gatys, grid, info, measure, styles, stylize, texture, video

COMMANDS = (stylize, video, styles, grid, measure, gatys, texture, convert, export, info)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, without the usage text."""

    _mixing = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, but an option may stand anywhere: ``photo.jpg -o out.png style.jpg``."""
        if self._subparsers or self._mixing:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False

    def error(self, message: str) -> NoReturn:
        print(printable(f"{self.prog}: {message}"), file=sys.stderr)
        raise SystemExit(2)


class Terminated(KeyboardInterrupt):
    """SIGTERM came, which ends the work as Ctrl-C does."""


def make_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="adain", description="Arbitrary style transfer by Adaptive Instance Normalization.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line. What comes after ``--`` is no option, whatever it begins with."""
    parser = make_parser()
    end = argv.index("--") if "--" in argv else len(argv)
    for argument in argv[:end]:
        if argument.endswith("=--"):  # argparse drops the dashes and stumbles over nothing
            parser.error(f"argument {argument.removesuffix('=--')}: expected a value")
    return parser.parse_args([*argv[:end], *(f"./{name}" if name[:1] == "-" else name for name in argv[end + 1 :])])


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 some of the files failed, 2 bad input, 130 interrupted, 143
    terminated."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    args = parse(sys.argv[1:] if argv is None else argv)
    _write_log()
    bound_caches()
    try:
        with _terminated_as_interrupted():
            code = args.run(args)
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        # Who reads the output, such as head, has enough.
        _drop_output()
        return 0
    except Terminated:
        return _complain("terminated.", 143)
    except KeyboardInterrupt:
        return _complain("interrupted.", 130)
    except ValueError as error:
        return _complain(str(error))
    except OSError as error:
        named = error.filename and error.strerror
        return _complain(f"{error.filename} cannot be used: {error.strerror}." if named else str(error))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return _complain(f"There is too little memory for pictures of this size: {error}")


def _complain(message: str, code: int = 2) -> int:
    print(printable(f"adain: {message}"), file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    return code


def _drop_output() -> None:
    """What is left in the buffer would raise again at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_log() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("adain: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("adain_core").setLevel(logging.INFO)


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough; the next would end the tidying up
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
