import re

from adain_core.cli import main
from tests.cli.conftest import size_of


def test_a_sheet_of_contents_and_styles(photo, painting, tmp_path):
    out = tmp_path / "sheet.png"
    command = ["grid", "--content", photo, painting, "--style", painting, photo, "-o", out, "--size", 32, "--cell", 100]
    assert main([*map(str, command)]) == 0
    width, height = size_of(out)
    assert width > 200 and height > 300


def test_a_sheet_has_two_sides(photo, painting, tmp_path, capsys):
    command = ["grid", "--content", photo, photo, "--style", painting, "-o", tmp_path / "s.png", "--alphas", "0,1"]
    assert main([*map(str, command)]) == 2
    assert "not both" in capsys.readouterr().err


def test_stylising_brings_the_style_nearer(photo, painting, tmp_path, capsys):
    def style_loss(result) -> float:
        capsys.readouterr()
        assert main(["measure", str(result), str(photo), str(painting)]) == 0
        return float(re.search(r"style loss +([\d.]+)", capsys.readouterr().out)[1])

    assert main(["stylize", str(photo), str(painting), "-o", str(tmp_path / "out.png")]) == 0
    assert style_loss(tmp_path / "out.png") < 0.8 * style_loss(photo)
    assert style_loss(painting) < 1e-4
