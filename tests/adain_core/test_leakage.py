import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from adain_core.encoder import Encoder
from adain_core.gatys import Settings, Style, stylize
from adain_core.images import read_picture, resize
from adain_core.leakage import leakage
from adain_core.weights import EMBEDDED, load_weights


@pytest.fixture(scope="module")
def lite() -> Encoder:
    return load_weights(EMBEDDED / "lite.safetensors").encoder


def without_content(style: Tensor, tile: int) -> Tensor:
    """The same colours and strokes, but nothing larger than a tile: a texture."""
    tiles = F.unfold(style, tile, stride=tile)
    order = torch.randperm(tiles.shape[-1], generator=torch.Generator().manual_seed(0))
    return F.fold(tiles[..., order], style.shape[-2:], tile, stride=tile)


# Pointillism stays just below the margin, too: with lite as it is now the measure separates only some styles.
_WOODCUT = pytest.param("woodcut", marks=pytest.mark.xfail(strict=True, reason="0.48 against 0.46 with this encoder"))


@pytest.mark.parametrize("name", ["flow", "stained_glass", _WOODCUT])
def test_a_style_with_large_things_leaks_more_than_its_texture(lite, examples, name):
    content = resize(read_picture(examples / "photo_coffee.jpg").rgb, (96, 120))
    hard = resize(read_picture(examples / f"style_{name}.jpg").rgb, (96, 96))
    easy = without_content(hard, 8)
    settings = Settings(iterations=24, scales=3, style_weight=1e6)
    leaks = {}
    for kind, style in (("hard", hard), ("easy", easy)):
        leaks[kind] = leakage(lite, stylize(lite, content, [Style(style)], settings).picture, style)
    assert leaks["hard"] > leaks["easy"] + 0.05, leaks


def test_a_copy_of_the_style_leaks_everything(lite, examples):
    style = resize(read_picture(examples / "style_flow.jpg").rgb, (96, 96))
    assert leakage(lite, style, style) == pytest.approx(1, abs=1e-3)


def test_the_mean_of_the_style_leaks_nothing(lite, examples):
    """The photo against a style that is the same everywhere."""
    photo = resize(read_picture(examples / "photo_coffee.jpg").rgb, (96, 120))
    assert abs(leakage(lite, photo, torch.full((1, 3, 64, 64), 0.5))) < 0.05


def test_a_thing_of_the_style_that_is_pasted_raises_it(lite, examples):
    photo = resize(read_picture(examples / "photo_coffee.jpg").rgb, (96, 128))
    style = resize(read_picture(examples / "style_pointillism.jpg").rgb, (96, 96))
    pasted = photo.clone()
    pasted[..., 64:] = style[..., :64]
    assert leakage(lite, pasted, style) > leakage(lite, photo, style) + 0.1
