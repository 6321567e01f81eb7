import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from adain_core.cli import main
from adain_core.images.files import read_picture
from adain_core.images.sheets import cell_of, contact_sheet
from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats
from tests.adain_core.cli.conftest import size_of
from tests.helpers import ROOT, TINY_WIDTHS


def test_a_sheet_of_contents_and_styles(photo, painting, tmp_path):
    out = tmp_path / "sheet.png"
    command = ["grid", "--content", photo, painting, "--style", painting, photo, "-o", out, "--size", 32, "--cell", 100]
    assert main([*map(str, command)]) == 0
    width, height = size_of(out)
    assert width > 200 and height > 300


def test_a_sheet_of_alphas_has_a_column_for_each(photo, painting, tmp_path):
    command = ["grid", "--content", photo, "--style", painting, "--size", 32, "--cell", 100]
    widths = []
    for alphas in ("1", "0.5,1", "0,0.5,1"):
        out = tmp_path / f"{alphas}.png"
        assert main([*map(str, [*command, "-o", out, "--alphas", alphas])]) == 0
        widths.append(size_of(out)[0])
    assert widths[2] - widths[1] == widths[1] - widths[0] > 90


@pytest.mark.parametrize("contents", [1, 2])
def test_a_sheet_shows_what_the_model_makes_in_its_order_with_its_labels(photo, painting, tmp_path, contents):
    paths, styles, out = [photo, painting][:contents], [painting, photo], tmp_path / "sheet.png"
    command = ["grid", "--content", *paths, "--style", *styles, "-o", out, "--size", 32, "--cell", 64]
    command += ["--device", "cpu", "--dtype", "float32", *(["--alphas", "0.3,1"] if contents == 1 else [])]
    assert main([*map(str, command)]) == 0
    model = StyleTransfer.from_pretrained(device="cpu", dtype="float32")
    looks = [read_picture(path).rgb for path in styles]

    def made(path: Path, look: torch.Tensor, alpha: float = 1.0) -> torch.Tensor:
        return cell_of(model(read_picture(path).rgb, look, size=32, alpha=alpha), 64)

    shown = [cell_of(look, 64) for look in looks]
    if contents == 1:
        rows = [
            [cell, *(made(photo, look, alpha) for alpha in (0.3, 1))] for cell, look in zip(shown, looks, strict=True)
        ]
        labels = ["painting", "photo"], ["style", "alpha 0.3", "alpha 1"]
    else:
        rows = [shown, *([made(path, look) for look in looks] for path in paths)]
        labels = ["", "photo", "painting"], ["painting", "photo"]
    torch.testing.assert_close(read_picture(out).rgb, contact_sheet(rows, *labels, 64), rtol=0, atol=1.5 / 255)


def test_a_sheet_has_two_sides(photo, painting, tmp_path, capsys):
    command = ["grid", "--content", photo, photo, "--style", painting, "-o", tmp_path / "s.png", "--alphas", "0,1"]
    assert main([*map(str, command)]) == 2
    assert "two sides" in capsys.readouterr().err


def test_a_sheet_that_the_memory_cannot_hold_is_refused(photo, painting, tmp_path, run_here, monkeypatch):
    monkeypatch.setattr("adain_core.runtime.memory.available_memory", lambda device: 2**20)
    for contents, alphas in (([photo], "0,0.5,1"), ([photo] * 3, "1")):
        command = ["grid", "--content", *contents, "--style", painting, "--alphas", alphas]
        refused = run_here(*command, "-o", tmp_path / "sheet.png")
        assert refused.returncode == 2 and "A contact sheet of 1 x 4 pictures" in refused.stderr


def test_stylizing_brings_the_style_nearer(tmp_path, capsys):
    examples = ROOT / "workflows" / "examples"
    photo, painting = str(examples / "photo_coffee.jpg"), str(examples / "style_woodcut.jpg")

    def style_loss(result: str) -> float:
        capsys.readouterr()
        assert main(["measure", result, photo, painting]) == 0
        return float(re.search(r"style loss +([\d.]+)", capsys.readouterr().out)[1])

    result = str(tmp_path / "out.png")
    assert main(["stylize", photo, painting, "-o", result, "--size", "256"]) == 0
    assert style_loss(result) < 0.7 * style_loss(photo)
    assert style_loss(painting) < 1e-4


def test_an_encoder_alone_measures(photo, painting, tmp_path, run_here):
    encoder = Encoder(TINY_WIDTHS)
    space = space_of("e", encoder)
    save_weights(Weights(space, encoder), tmp_path / "e.safetensors")
    done = run_here("measure", painting, photo, painting, "--model", tmp_path / "e.safetensors")
    assert done.returncode == 0 and space in done.stdout and "style loss   0.0000" in done.stdout


def test_an_encoder_alone_measures_a_style_as_with_its_decoder(painting, tmp_path, run_here):
    encoder = Encoder(TINY_WIDTHS)
    space = space_of("e", encoder)
    styles = []
    for kind, decoder in (("alone", None), ("whole", Decoder(TINY_WIDTHS))):
        model, out = tmp_path / f"{kind}.safetensors", tmp_path / f"{kind}-style.safetensors"
        save_weights(Weights(space, encoder, decoder), model)
        saved = run_here("style", painting, "-o", out, "--model", model, "--detail", "covariance")
        assert saved.returncode == 0, saved.stderr
        styles.append(StyleStats.load(out))
    alone, whole = styles
    assert alone.space == space
    for name, mean in whole.mean.items():
        torch.testing.assert_close(alone.mean[name], mean)
    torch.testing.assert_close(alone.covariance, whole.covariance)


def test_a_picture_too_small_to_measure_is_named(photo, tmp_path, run_here):
    Image.new("RGB", (40, 16)).save(tmp_path / "smallest.png")
    assert run_here("measure", *3 * [tmp_path / "smallest.png"]).returncode == 0
    Image.new("RGB", (40, 15)).save(tmp_path / "small.png")
    for order in ((tmp_path / "small.png", photo, photo), (photo, photo, tmp_path / "small.png")):
        done = run_here("measure", *order)
        assert done.returncode == 2 and "smaller than 16 pixels" in done.stderr
