"""The documents' pictures and links, and the names that appear in several places."""

from __future__ import annotations

import re
import runpy
import tomllib

import pytest
from PIL import Image

import adain_core
from tests.helpers import ROOT

FOLDERS = ("", "docs/", "training/results/", "workflows/examples/")
PAGES = [page for folder in FOLDERS for page in ROOT.glob(f"{folder}*.md")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = PROJECT["project"]["urls"]["Repository"]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_there_are(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_pictures_command_knows_the_pictures_that_the_documents_show():
    makers = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))["MAKERS"]
    shown = {link for page in ROOT.glob("docs/*.md") for link in LINK.findall(page.read_text(encoding="utf-8"))}
    pictures = {re.split(r"[./]", link)[0] for link in shown if link.endswith((".jpg", ".png")) and ".." not in link}
    assert pictures and pictures <= makers.keys()


def test_the_registry_gets_a_square_icon_and_a_wide_banner():
    comfy = PROJECT["tool"]["comfy"]
    raw = REPOSITORY.replace("github.com", "raw.githubusercontent.com") + "/main/"
    for key in ("Icon", "Banner"):
        assert comfy[key].startswith(raw)
    with (
        Image.open(ROOT / comfy["Icon"].removeprefix(raw)) as icon,
        Image.open(ROOT / comfy["Banner"].removeprefix(raw)) as banner,
    ):
        assert icon.width == icon.height <= 400
        assert banner.width * 9 == banner.height * 21


def test_every_place_names_the_same_repository_and_version():
    places = [*PAGES, *(ROOT / ".github").rglob("*.yml"), ROOT / "pyproject.toml"]
    owner = REPOSITORY.split("/")[-2]
    for path in places:
        named = set(re.findall(rf"{owner}/[\w-]+", path.read_text(encoding="utf-8")))
        assert named <= {f"{owner}/{REPOSITORY.split('/')[-1]}"}, path
    assert PROJECT["project"]["version"] == adain_core.__version__
    assert "comfyui" not in PROJECT["project"]["name"] and "adain" in PROJECT["project"]["name"]
