"""Trained models at other widths or with other skips."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adain_core.images.files import write_picture
from adain_core.images.pictures import Picture
from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, load_weights, save_weights
from adain_core.networks.convolution import Conv3x3
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import STYLE_TAPS, Encoder
from adain_core.networks.skips import Skips
from adain_core.pipeline.transfer import StyleTransfer
from tests.helpers import random_picture
from training import resize
from training.data import center_square
from training.networks import initialize


def save_half_dead(path: Path, skips: str) -> Path:
    """A random model of widths 8, in which the ReLUs of every second channel never open."""
    torch.manual_seed(3)
    encoder, decoder = Encoder((8, 8, 8, 8)), Decoder((8, 8, 8, 8), Skips.parse(skips))
    for network in (encoder, decoder):
        initialize(network)
        network.requires_grad_(False)
        for name, conv in network.named_children():
            if name.startswith("conv") and conv.bias is not None and conv.out_channels != 3:
                conv.weight.mul_(2**0.5)  # the living half keeps the scale
                conv.bias[::2] = -1e3
    weights = Weights(space_of("half", encoder), encoder, decoder, {"license": "CC0-1.0"})
    save_weights(weights, path, torch.float32)
    return path


def arguments(data: Path, model: Path, out: Path, *options: str) -> list[str]:
    folders = ["--content", str(data / "content"), "--style", str(data / "style")]
    return [*folders, "--model", str(model), "--out", str(out), "--pairs", "16", "--crop", "48", *options]


def load(path: Path) -> StyleTransfer:
    return StyleTransfer.from_pretrained(path, device="cpu", dtype="float32")


@pytest.mark.parametrize("skips", ["plain", "concat-content", "concat-content-adain", "concat-content-transport"])
@pytest.mark.parametrize("widths", ["4,4,4,4", "8,8,8,8", "4,8,4,12"])
def test_channels_that_say_nothing_are_left_out(data: Path, tmp_path: Path, skips: str, widths: str) -> None:
    old = save_half_dead(tmp_path / "old.safetensors", skips)
    assert resize.main(arguments(data, old, tmp_path / "new.safetensors", "--widths", widths)) == 0
    before, after = load(old), load(tmp_path / "new.safetensors")
    assert ",".join(map(str, after.encoder.widths)) == widths and str(after.decoder.skips) == skips
    assert after.space != before.space and load_weights(tmp_path / "new.safetensors").info["license"] == "CC0-1.0"
    content, style = random_picture(64, 64), random_picture(64, 64, seed=1)
    wanted = before(content, style)
    assert wanted.std() > 0.02
    assert (after(content, style) - wanted).abs().mean() < 0.1 * wanted.std()
    for features in after.encoder(content, STYLE_TAPS).values():
        assert (features.amax(dim=(0, 2, 3)) > 0).all()  # no dead channel is left


def test_a_model_that_loses_channels_it_needs_keeps_the_best_ones(data: Path, tmp_path: Path) -> None:
    old = save_half_dead(tmp_path / "old.safetensors", "concat-content-adain")
    content, style = random_picture(64, 64), random_picture(64, 64, seed=1)
    wanted = load(old)(content, style)
    errors = []
    for widths in ("2,2,2,2", "4,4,4,3"):
        assert resize.main(arguments(data, old, tmp_path / "new.safetensors", "--widths", widths)) == 0
        errors.append((load(tmp_path / "new.safetensors")(content, style) - wanted).square().mean())
    assert errors[1] < errors[0]


@pytest.mark.parametrize("skips", ["plain", "add-content", "concat-content", "concat-style", "add-both-adain"])
def test_another_kind_of_decoder_learns_from_the_one_that_is_there(data: Path, tmp_path: Path, skips: str) -> None:
    old, new = save_half_dead(tmp_path / "old.safetensors", "concat-content-adain"), tmp_path / "new.safetensors"
    # The pictures that it learns from: what they have in common is all that there is to learn of random weights.
    content, style = (center_square(next((data / kind).rglob("*.*")), 64) for kind in ("content", "style"))
    wanted = load(old)(content, style)
    assert resize.main(arguments(data, old, new, "--decoder", skips)) == 0
    after = load(new)
    assert str(after.decoder.skips) == skips and after.space == load(old).space
    untaught = Decoder(after.decoder.widths, after.decoder.skips)
    initialize(untaught)
    random = StyleTransfer(after.encoder, untaught.requires_grad_(False), after.space)
    errors = [(model(content, style) - wanted).square().mean().item() for model in (after, random)]
    assert errors[0] < 0.95 * errors[1]


def test_a_decoder_that_gets_transport_keeps_its_weights(data: Path, tmp_path: Path) -> None:
    old, new = save_half_dead(tmp_path / "old.safetensors", "concat-content-adain"), tmp_path / "new.safetensors"
    assert resize.main(arguments(data, old, new, "--decoder", "concat-content-transport")) == 0
    before, after = load_weights(old).decoder, load_weights(new).decoder
    assert before and after and str(after.skips) == "concat-content-transport"
    assert all(torch.equal(x, before.state_dict()[key]) for key, x in after.state_dict().items())


@pytest.mark.parametrize(
    ("skips", "options"),
    [
        ("concat-content-transport", ()),
        ("concat-content-adain", ("--decoder", "concat-content-transport", "--widths", "8,8,8,8")),
    ],
)
def test_dead_channels_of_a_decoder_go_unless_transport_is_all_that_is_new(
    data: Path, tmp_path: Path, skips: str, options: tuple[str, ...]
) -> None:
    old, new = save_half_dead(tmp_path / "old.safetensors", skips), tmp_path / "new.safetensors"
    assert resize.main(arguments(data, old, new, *options)) == 0
    before, after = load_weights(old).decoder, load_weights(new).decoder
    assert before and after and before.conv2_1.bias.min() < -100
    assert all(x.min() > -100 for key, x in after.state_dict().items() if key.endswith("bias"))


def test_without_widths_the_encoder_stays_as_it_is(data: Path, tmp_path: Path) -> None:
    old, new = save_half_dead(tmp_path / "old.safetensors", "plain"), tmp_path / "new.safetensors"
    assert resize.main(arguments(data, old, new)) == 0
    before, after = load_weights(old), load_weights(new)
    assert after.space == before.space
    assert all(torch.equal(x, after.encoder.state_dict()[key]) for key, x in before.encoder.state_dict().items())
    content, style = random_picture(64, 64), random_picture(64, 64, seed=1)
    wanted = load(old)(content, style)
    assert (load(new)(content, style) - wanted).abs().mean() < 0.1 * wanted.std()


@torch.no_grad()
def test_channels_are_chosen_by_what_they_explain() -> None:
    torch.manual_seed(0)
    inputs = torch.rand(4, 6, 16, 16)
    inputs[:, 4], inputs[:, 5] = inputs[:, 1], 20  # the same again; a constant
    conv = Conv3x3(6, 6)
    conv.weight.mul_(torch.tensor([0.1, 1, 0, 5, 0, 1]).view(1, 6, 1, 1))
    use = resize.Use.of(conv, inputs, 0, 6)
    assert resize.choose([use], 2) in ([1, 3], [3, 4])
    assert len(resize.choose([use], 6)) == 3
    conv.weight.zero_()
    assert resize.choose([resize.Use.of(conv, inputs, 0, 6)], 6) == []


def test_pictures_of_one_color_end_in_a_model_that_works(data: Path, tmp_path: Path) -> None:
    old, new = save_half_dead(tmp_path / "old.safetensors", "concat-content"), tmp_path / "new.safetensors"
    write_picture(Picture(torch.full((1, 3, 64, 64), 0.5)), tmp_path / "gray" / "gray.png")
    options = ["--content", str(tmp_path / "gray"), "--style", str(tmp_path / "gray"), "--widths", "6,6,6,6"]
    assert resize.main(arguments(data, old, new, *options)) == 0
    assert load(new)(random_picture(32, 32), random_picture(32, 32, seed=1)).isfinite().all()


@pytest.mark.parametrize(
    ("skips", "options", "message"),
    [
        ("add-content", (), "has the decoder add-content; name a model"),
        ("plain", ("--decoder", "concat2-content"), "other layers"),
        ("plain", ("--decoder", "concat-me"), "'concat-me' is no kind of decoder"),
        ("plain", ("--decoder", ""), "'' is no kind of decoder"),
        ("concat-content", ("--widths", "1,2,2,1"), "needs at least 2 channels"),
        ("plain", ("--widths", "3,4,4,1", "--decoder", "concat-both"), "needs at least 4 channels"),
    ],
)
def test_what_cannot_be_resized_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], skips: str, options: tuple[str, ...], message: str
) -> None:
    old = save_half_dead(tmp_path / "old.safetensors", skips)
    assert resize.main(arguments(data, old, tmp_path / "new.safetensors", *options)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "new.safetensors").exists()


@pytest.mark.parametrize("widths", ["1,2,3", "a,b,c,d", "0,1,1,1", "9999,1,1,1", "1.5,1,1,1"])
def test_widths_that_are_none_are_named(capsys: pytest.CaptureFixture[str], widths: str) -> None:
    with pytest.raises(SystemExit):
        resize.parse_arguments(["--content", "c", "--style", "s", "--model", "m", "--out", "o", "--widths", widths])
    assert f"'{widths}': expected four whole numbers from 1 to 4096" in capsys.readouterr().err


def test_a_crop_that_does_not_decode_to_its_own_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        resize.parse_arguments(["--content", "c", "--style", "s", "--model", "m", "--out", "o", "--crop", "50"])
    assert "'50': expected a multiple of 8, such as 48" in capsys.readouterr().err
