"""The styles that come with the package, and the table and the command that they are made from."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from adain_core.images.files import read_picture
from adain_core.images.pictures import scale_short_side
from adain_core.models.weights import EMBEDDED_STYLES, load_encoder
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.files import read_style
from adain_core.styles.stats import StyleStats
from tests.helpers import ROOT

EXAMPLES = ROOT / "workflows" / "examples"
spec = importlib.util.spec_from_file_location("make_library", EXAMPLES / "make_library.py")
library = importlib.util.module_from_spec(spec)
spec.loader.exec_module(library)

ROWS = library.rows()
# A normalization of the study learns styles of its own.
FILES = {
    path.relative_to(EMBEDDED_STYLES).with_suffix("").as_posix(): path
    for path in EMBEDDED_STYLES.rglob("*.safetensors")
    if not path.parent.name.startswith("study-")
}


def test_the_table_and_the_files_agree():
    assert sorted(FILES) == sorted([row["style"] for row in ROWS] + list(library.EXAMPLE_NAMES))


@pytest.mark.parametrize("row", ROWS, ids=[row["style"] for row in ROWS])
def test_a_painting_of_the_table_has_a_group_a_painter_and_a_small_file_with_a_thumbnail(row):
    group, name = row["style"].split("/")
    assert group and name and row["style"].isascii()
    path = FILES[row["style"]]
    assert path.stat().st_size <= 12 * 1024
    file, tensors = read_style(path)
    assert file.space == load_encoder("lite")[1], "run make library PAINTINGS=folder"
    assert row["painter"] in file.name and row["title"] in file.name and file.name == library.title(row)
    assert file.thumbnail.shape == (1, 3, 96, 96) and file.thumbnail.std() > 0.01
    assert {key for key in tensors if "covariance" in key} == {"covariance.relu1_1"} and len(tensors) == 9


def test_the_paintings_are_thirty_in_the_public_domain_each_with_an_example_photograph():
    assert len({row["painting"] for row in ROWS}) == len(ROWS) == 30
    for row in ROWS:
        assert int(row["born"]) < int(row["year"]) <= int(row["died"]) < 1956, row["style"]
        assert (EXAMPLES / f"photo_{row['photo']}.jpg").is_file() and row["source"]


def test_no_two_styles_are_alike():
    means = torch.stack([StyleStats.load(path).mean["relu4_1"].flatten() for path in FILES.values()])
    distances = torch.cdist(means, means).fill_diagonal_(torch.inf)
    assert distances.min() > 0.02 * means.norm(dim=1).mean()


def test_the_command_measures_paintings_and_shows_a_photograph_not_the_painting(tmp_path, monkeypatch):
    row = ROWS[0]
    painting = Image.linear_gradient("L").convert("RGB").resize((64, 40))
    painting.save(tmp_path / "gradient.png")
    monkeypatch.setattr(library, "EMBEDDED_STYLES", tmp_path)
    monkeypatch.setattr(library, "rows", lambda: [{**row, "painting": "gradient.png"}])
    model = StyleTransfer.from_pretrained("lite", dtype="float32")
    ((name, shown),) = library.make_paintings(model, tmp_path)
    path = tmp_path / f"{name}.safetensors"
    assert name == row["style"]
    expected = model.compute_style_stats(painting)
    assert StyleStats.load(path) == replace(expected, image=None)
    thumbnail = read_style(path)[0].thumbnail[0].permute(1, 2, 0)
    photograph, itself = (
        torch.from_numpy(np.asarray(picture.resize((96, 96), Image.Resampling.LANCZOS), np.float32) / 255)
        for picture in (shown, painting)
    )
    assert (thumbnail - photograph).abs().mean() < 0.03 < (thumbnail - itself).abs().mean()


def test_a_contact_sheet_has_a_place_for_each_picture():
    pictures = [(f"group/{i}", Image.new("RGB", (8, 8), (200, 0, 10 * i))) for i in range(library.COLUMNS + 1)]
    sheet = library.contact_sheet(pictures)
    step, line = library.CELL + library.GAP, library.CELL + 34 + library.GAP
    middle = library.GAP + library.CELL // 2
    for i, (_, picture) in enumerate(pictures):
        place = middle + i % library.COLUMNS * step, middle + i // library.COLUMNS * line
        assert sheet.getpixel(place) == picture.getpixel((0, 0))


def test_the_normalizations_of_the_study_learned_styles_that_look_like_theirs():
    model = StyleTransfer.from_pretrained("study-norm-conditional", device="cpu")
    pictures = {path.name: path for path in EXAMPLES.glob("style_*.jpg")}
    learned = {path.stem: path for path in (EMBEDDED_STYLES / "study-norm-conditional").iterdir()}
    assert learned.keys() == pictures.keys()
    content = scale_short_side(read_picture(EXAMPLES / "photo_coffee.jpg").rgb, 128)
    colors = {name: model(content, StyleStats.load(path)).mean((0, 2, 3)) for name, path in learned.items()}
    means = {
        name: torch.from_numpy(np.asarray(Image.open(path).convert("RGB").resize((1, 1), Image.Resampling.BOX)) / 255)
        for name, path in pictures.items()
    }
    for name, color in colors.items():
        distances = {other: (means[other].flatten() - color).norm().item() for other in means}
        assert sorted(distances, key=distances.get).index(name) < 2, name
    (instance,) = (EMBEDDED_STYLES / "study-norm-instance").iterdir()
    assert StyleStats.load(instance).space == model.space
