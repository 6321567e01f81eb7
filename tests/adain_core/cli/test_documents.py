"""The commands that documents show are commands that there are."""

import re
import shlex

import pytest

from adain_core.cli import make_parser
from adain_core.models.weights import Weights
from adain_core.networks.decoder import Decoder
from tests.helpers import ROOT, TINY_WIDTHS
from training import claims, evaluate, experiments, fit
from training.publish import model_card
from training.recipe import load_recipe

ADAIN = re.compile(r"^(?:cd \S+ && )?(?:adain|\S*python -m adain_core) (.+)$", re.MULTILINE)
FIT = re.compile(r"^python -m training\.fit (.+)$", re.MULTILINE)


def shown(command: re.Pattern[str], text: str) -> list[list[str]]:
    """The arguments of a command wherever it stands at the beginning of a line."""
    found = [shlex.split(line, comments=True) for line in command.findall(text.replace("\\\n", " "))]
    assert found
    return found


PAGES = ["README.md", *(f"docs/{name}.md" for name in ("command-line", "gatys", "onnx", "training", "work-size"))]


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_the_documents(page):
    for arguments in shown(ADAIN, (ROOT / page).read_text(encoding="utf-8")):
        make_parser().parse_args(arguments)


def test_the_command_in_a_model_card():
    card = model_card({"mine.safetensors": Weights("s", decoder=Decoder(TINY_WIDTHS))}, "mit")
    for arguments in shown(ADAIN, str(card)):
        assert str(make_parser().parse_args(arguments).out) == "out.png"


def test_the_training_in_the_documents():
    pages = [ROOT / "README.md", ROOT / "docs" / "training.md"]
    for arguments in (line for page in pages for line in shown(FIT, page.read_text(encoding="utf-8"))):
        args = fit.parse_arguments(arguments)
        load_recipe(args.recipe, args.set)


@pytest.mark.parametrize("command", [claims, evaluate, experiments], ids=lambda module: module.__name__)
def test_the_commands_of_the_study_in_the_documents(command):
    pages = [ROOT / "docs" / f"{name}.md" for name in ("benchmarks", "gatys", "evaluation")]
    started = re.compile(rf"^python -m {command.__name__} (.*)$", re.MULTILINE)
    for arguments in shown(started, "".join(page.read_text(encoding="utf-8") for page in pages)):
        command.parse_arguments(arguments)
