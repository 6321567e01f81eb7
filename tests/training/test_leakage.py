import pytest
import torch

from adain_core.gatys import Settings, Style, stylize
from adain_core.images.files import read_picture
from adain_core.images.pictures import resize
from adain_core.models.weights import EMBEDDED, load_weights
from adain_core.networks.encoder import Encoder
from training.leakage import leakage, pieces


@pytest.fixture(scope="module")
def lite() -> Encoder:
    return load_weights(EMBEDDED / "lite.safetensors").encoder


@pytest.fixture(scope="module")
def lite_large() -> Encoder:
    return load_weights(EMBEDDED / "lite-large.safetensors").encoder


@pytest.mark.parametrize("name", ["flow", "pointillism", "stained_glass", "woodcut"])
def test_a_style_with_large_things_leaks_more_than_its_texture(lite, examples, name):
    content = resize(read_picture(examples / "photo_coffee.jpg").rgb, (96, 120))
    hard = resize(read_picture(examples / f"style_{name}.jpg").rgb, (96, 96))
    easy = pieces(hard, torch.Generator().manual_seed(7))
    settings = Settings(iterations=24, scales=3, style_weight=1e6)
    leaks = {}
    for kind, style in (("hard", hard), ("easy", easy)):
        leaks[kind] = leakage(lite, stylize(lite, content, [Style(style)], settings).picture, style)
    assert leaks["hard"] > leaks["easy"] + 0.1, leaks


def test_a_copy_of_the_style_leaks_everything(lite, examples):
    style = resize(read_picture(examples / "style_flow.jpg").rgb, (96, 96))
    assert leakage(lite, style, style) == pytest.approx(1, abs=1e-3)


def test_the_style_in_pieces_leaks_nothing(lite, examples):
    style = resize(read_picture(examples / "style_flow.jpg").rgb, (100, 130))
    assert leakage(lite, pieces(style, torch.Generator().manual_seed(3)), style) < 0


def test_a_flat_style_leaks_nothing(lite, examples):
    photo = resize(read_picture(examples / "photo_coffee.jpg").rgb, (96, 120))
    assert abs(leakage(lite, photo, torch.full((1, 3, 64, 64), 0.5))) < 0.05


def test_a_thing_of_the_style_that_is_pasted_raises_it(lite_large, examples):
    photo = resize(read_picture(examples / "photo_coffee.jpg").rgb, (96, 128))
    style = resize(read_picture(examples / "style_pointillism.jpg").rgb, (96, 96))
    pasted = photo.clone()
    pasted[..., 64:] = style[..., :64]
    # With lite it rises by 0.097.
    assert leakage(lite_large, pasted, style) > leakage(lite_large, photo, style) + 0.1


def test_pieces_keep_every_pixel(examples):
    style = resize(read_picture(examples / "style_flow.jpg").rgb, (96, 120))
    torn = pieces(style, torch.Generator().manual_seed(0))
    assert torn.shape == style.shape
    assert not torch.equal(torn, style)
    torch.testing.assert_close(torn.flatten(2).sort().values, style.flatten(2).sort().values)
