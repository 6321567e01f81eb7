"""The arguments of the commands come from the table of options."""

import inspect
from argparse import ArgumentParser
from dataclasses import is_dataclass

import pytest

from adain_core import options
from adain_core.cli import make_parser
from adain_core.cli.options import add_option
from adain_core.runtime.tables import Option, Table, options_of

TABLES = [table for _, table in inspect.getmembers(options, is_dataclass) if issubclass(table, Table)]
# Files and folders, and what a command does with them.
FILES = {"help", "out", "overwrite", "skip_existing", "content", "style", "mask", "region", "style_mask", "keyframe"}
OTHERS = {"json", "licenses", "thumbnails"}
COMMANDS = make_parser()._subparsers._group_actions[0].choices
ARGUMENTS = [
    pytest.param(parser, action, id=f"{command} {action.option_strings[0]}")
    for command, parser in COMMANDS.items()
    for action in parser._actions
    if action.option_strings and action.dest not in FILES | OTHERS and (command, action.dest) != ("texture", "size")
]


def entry_of(action):
    """What the table says of an argument: of several options of that name the one whose sentence it has."""
    entries = [options_of(table)[action.dest] for table in TABLES if action.dest in options_of(table)]
    (entry,) = [e for e in entries if action.help.startswith((e.sentence, f"{e.sentence.removesuffix('.')} ("))]
    return entry


@pytest.mark.parametrize(("parser", "action"), ARGUMENTS)
def test_an_argument_says_and_takes_what_the_table_says(parser, action):
    entry = entry_of(action)
    assert action.default in (None, entry.default)
    if action.default not in (None, False):
        assert action.help.endswith(f"default: {entry.shown(entry.default)})")
    elif entry.default is None:
        assert action.help.endswith(f"default: {entry.unset})")
    if entry.low is not None:
        assert entry.range in action.help
        assert action.type(str(entry.low)) in (entry.low, (entry.low,))
    if entry.high is not None:
        assert action.type(str(entry.high)) in (entry.high, (entry.high,))


@pytest.mark.parametrize(("parser", "action"), ARGUMENTS)
def test_a_value_out_of_range_is_refused_by_the_name_of_the_argument(parser, action, capsys):
    entry = entry_of(action)
    wrong = [entry.low - 1, "nonsense"] if entry.low is not None else ["nonsense"] if entry.choices else []
    wrong += [entry.high * 2 + 1] if entry.high is not None else []
    for value in wrong:
        with pytest.raises(SystemExit) as end:
            parser.parse_args([f"{action.option_strings[0]}={value}"])
        error = capsys.readouterr().err
        assert end.value.code == 2 and f"argument {action.option_strings[0]}: '{value}' is " in error


def test_the_usage_shows_how_a_value_is_written():
    usage = " ".join(COMMANDS["stylize"].format_usage().split())
    for part in (
        "[--weights W,W,...]",
        "[--keep-colors {luminance,covariance,histogram}]",
        "[--tile TILE]",
        "[--low-memory]",
    ):
        assert part in usage


def test_a_sentence_may_hold_a_percent_sign():
    parser = ArgumentParser()
    add_option(parser, "share", Option(50, "In %.", low=0, high=100))
    assert "In % (from 0 to 100; default: 50)" in parser.format_help()
