"""Other people's checkpoints: each layout is rebuilt here with torch.nn, and has to compute the same."""

import io
import itertools
import pickle
import tarfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from adain_core.cli import main
from adain_core.cli.convert import verify
from adain_core.models.convert import find_networks
from adain_core.models.weights import Weights, load_model, load_weights, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import STYLE_TAPS, Encoder
from tests.helpers import TINY_WIDTHS as WIDTHS
from tests.helpers import random_picture, sequential_vgg, tiny_model

pytestmark = pytest.mark.skipif(torch.__version__ < "2.10", reason="PyTorch before 2.10 is given no torch.save files")


def conv(channels: int, out: int, relu: bool = True) -> list[nn.Module]:
    return [nn.ReflectionPad2d(1), nn.Conv2d(channels, out, 3), *([nn.ReLU()] if relu else [])]


def up() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="nearest")


def vgg_layers(full: bool = True) -> list[nn.Module]:
    """pytorch-AdaIN's ``vgg``, at the widths of these tests, up to relu4_1 or to the end."""
    a, b, c, d = WIDTHS
    pool = nn.MaxPool2d(2, 2, ceil_mode=True)
    layers = [nn.Conv2d(3, 3, 1), *conv(3, a), *conv(a, a), pool, *conv(a, b), *conv(b, b), pool, *conv(b, c)]
    layers += [*conv(c, c), *conv(c, c), *conv(c, c), pool, *conv(c, d)]
    if full:
        layers += [*conv(d, d), *conv(d, d), *conv(d, d), pool, *conv(d, d), *conv(d, d), *conv(d, d), *conv(d, d)]
    return layers


def plain_layers() -> list[nn.Module]:
    a, b, c, d = WIDTHS
    layers = [*conv(d, c), up(), *conv(c, c), *conv(c, c), *conv(c, c), *conv(c, b), up(), *conv(b, b), *conv(b, a)]
    return [*layers, up(), *conv(a, a), *conv(a, 3, relu=False)]


class Parts(nn.Module):
    """Layers cut into named parts."""

    def __init__(self, **parts: list[nn.Module]) -> None:
        super().__init__()
        for name, layers in parts.items():
            self.add_module(name, nn.Sequential(*layers))

    def forward(self, x):
        for part in self.children():
            x = part(x)
        return x


def cut_encoder(prefix: str) -> Parts:
    layers = vgg_layers(full=False)
    parts = (layers[:4], layers[4:11], layers[11:18], layers[18:31])
    return Parts(**{f"{prefix}{number}": part for number, part in enumerate(parts, start=1)})


def torchvision_layers() -> list[tuple[str, nn.Module]]:
    """torchvision's ``features`` up to relu4_1, by their numbers; padded by reflection, as this package does."""
    a, b, c, d = WIDTHS
    channels, places, layers = 3, (0, 2, 5, 7, 10, 12, 14, 16, 19), []
    for place, out in zip(places, (a, a, b, b, c, c, c, c, d), strict=True):
        if place in (5, 10, 19):
            layers.append((f"pool{place}", nn.MaxPool2d(2, 2, ceil_mode=True)))
        layers.append((f"pad{place}", nn.ReflectionPad2d(1)))
        layers.append((str(place), nn.Conv2d(channels, out, 3)))
        layers.append((f"relu{place}", nn.ReLU()))
        channels = out
    return layers


def report_decoder() -> Parts:
    layers = plain_layers()
    return Parts(decoder_4=layers[:4], decoder_3=layers[4:17], decoder_2=layers[17:24], decoder_1=layers[24:])


class ConcatDecoder(nn.Module):
    """The study's decoder with maps of the content (or of the style) concatenated at relu2_1 and relu1_1."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.decoder_4 = nn.Sequential(*conv(d, c), up())
        self.decoder_3_cat = nn.Sequential(*conv(c, b), up())
        self.decoder_3 = nn.Sequential(*conv(2 * b, 2 * b), *conv(2 * b, 2 * b), *conv(2 * b, b))
        self.decoder_2_cat = nn.Sequential(*conv(b, a), up())
        self.decoder_2 = nn.Sequential(*conv(2 * a, 2 * a), *conv(2 * a, 2 * a), *conv(2 * a, a))
        self.decoder_1 = nn.Sequential(*conv(a, a), *conv(a, 3, relu=False))

    def forward(self, x, first, second):
        x = self.decoder_3(torch.cat([self.decoder_3_cat(self.decoder_4(x)), second], dim=1))
        return self.decoder_1(self.decoder_2(torch.cat([self.decoder_2_cat(x), first], dim=1)))


@pytest.fixture
def convert(tmp_path, capsys):
    """Runs the command on state dicts, saved under their names, and returns the converted files by the same names."""

    def run(options: tuple[str, ...] = (), save=torch.save, **states: dict) -> dict[str, Path]:
        for name, state in states.items():
            save(state, tmp_path / f"{name}.pth")
        sources = [str(tmp_path / f"{name}.pth") for name in states]
        code = main(["convert", *sources, "-o", str(tmp_path / "out"), *options])
        assert code == 0, capsys.readouterr().err
        return {name: tmp_path / "out" / f"{name}.safetensors" for name in states}

    return run


@pytest.fixture
def picture():
    return torch.rand(1, 3, 32, 48)


def assert_encodes_like(path: Path, network: nn.Module, picture: torch.Tensor) -> None:
    with torch.inference_mode():
        encoded = load_weights(path).encoder(picture, STYLE_TAPS)
        torch.testing.assert_close(encoded["relu4_1"], network(picture), rtol=1e-4, atol=1e-5)


def assert_decodes_like(path: Path, network: nn.Module, *maps: torch.Tensor) -> None:
    features = torch.rand(1, WIDTHS[3], 4, 6)
    taps = {tap: [x] for tap, x in zip(STYLE_TAPS, maps, strict=False)}
    with torch.inference_mode():
        result = load_weights(path).decoder(features.clone(), taps)
        torch.testing.assert_close(result, network(features, *maps), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("full", [True, False])
def test_pytorch_adains_pair(convert, picture, full):
    vgg, decoder = nn.Sequential(*vgg_layers(full)), nn.Sequential(*plain_layers())
    paths = convert(vgg_normalised=vgg.state_dict(), decoder=decoder.state_dict())
    assert_encodes_like(paths["vgg_normalised"], nn.Sequential(*list(vgg)[:31]), picture)
    assert_decodes_like(paths["decoder"], decoder)
    weights = load_model(paths["decoder"])
    assert weights.space.startswith("vgg_normalised-") and weights.encoder.widths == WIDTHS


@pytest.mark.parametrize("prefix", ["encoder_", "enc_"])
def test_encoders_in_four_parts(convert, picture, prefix):
    encoder = cut_encoder(prefix)
    assert_encodes_like(convert(e=encoder.state_dict())["e"], encoder, picture)


@pytest.mark.parametrize("cut", [False, True], ids=["features", "in four parts"])
def test_torchvisions_vgg_with_imagenets_colors(convert, picture, cut):
    layers = OrderedDict(torchvision_layers())
    network = nn.Sequential(layers)
    part_of = {place: 1 + sum(int(place) > end for end in (0, 5, 10)) for place in layers if place.isdigit()}
    state = {
        f"encoder_{part_of[key.split('.')[0]]}.{key}" if cut else f"features.{key}": x
        for key, x in network.state_dict().items()
    }
    if not cut:
        state |= {"classifier.0.weight": torch.rand(5, 3), "features.21.weight": torch.rand(24, 24, 3, 3)}
    path = convert(mine=state)["mine"]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        expected = network((picture - mean.view(3, 1, 1)) / std.view(3, 1, 1))
        torch.testing.assert_close(load_weights(path).encoder(picture)["relu4_1"], expected, rtol=1e-4, atol=1e-4)
        normalized = (picture - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        torch.testing.assert_close(load_weights(path).encoder.color(picture), normalized, rtol=1e-4, atol=1e-4)
    assert load_weights(path).space.startswith("mine-")


def test_the_reports_decoder(convert):
    decoder = report_decoder()
    path = convert(d=decoder.state_dict())["d"]
    assert_decodes_like(path, decoder)
    assert load_weights(path).space == "vgg19-normalised"


def test_the_reports_additive_decoder(convert):
    path = convert(("--skips", "add-both", "--skip-strength", "0.5"), d=report_decoder().state_dict())["d"]
    skips = load_weights(path).decoder.skips
    assert str(skips) == "add-both" and skips.strength == 0.5


@pytest.mark.parametrize("source", ["content", "style"])
def test_the_reports_concatenating_decoder(convert, source):
    decoder = ConcatDecoder()
    path = convert(("--skips", f"concat2-{source}"), d=decoder.state_dict())["d"]
    assert str(load_weights(path).decoder.skips) == f"concat2-{source}"
    assert_decodes_like(path, decoder, torch.rand(1, WIDTHS[0], 32, 48), torch.rand(1, WIDTHS[1], 16, 24))


def test_a_whole_network_with_prefixes_and_other_things_around_it(convert, picture):
    encoder, decoder = cut_encoder("encoder_"), report_decoder()
    network = nn.DataParallel(nn.ModuleDict({"encoder": encoder, "decoder": decoder}))
    adam = torch.optim.Adam(decoder.parameters()).state_dict()
    path = convert(net={"epoch": 3, "state_dict": network.state_dict(), "optimizer": adam, "name": "x"})["net"]
    assert load_weights(path).kind == "model"
    assert_encodes_like(path, encoder, picture)
    assert_decodes_like(path, decoder)


def old_stream(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


def test_streams_from_before_pytorch_1_6(convert):
    decoder = nn.Sequential(*plain_layers())
    assert_decodes_like(convert(save=old_stream, d=decoder.state_dict())["d"], decoder)


@pytest.fixture
def refused(tmp_path, capsys):
    """Runs the command on a file that it must refuse, and returns the sentence."""

    def run(*arguments: object) -> str:
        assert main(["convert", *map(str, arguments), "-o", str(tmp_path / "out")]) == 2
        message = capsys.readouterr().err.strip()
        assert message and "\n" not in message
        assert not (tmp_path / "out").exists()
        return message

    return run


class Bomb:
    """Leaves a trace where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("kind", ["zip", "stream", "tar"])
def test_nothing_in_a_checkpoint_is_executed(refused, tmp_path, kind):
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    if kind == "tar":
        data = pickle.dumps(Bomb(trace), protocol=2)
        with tarfile.open(path, "w") as archive:
            for name in ("storages", "tensors", "pickle"):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    else:
        torch.save({"x": Bomb(trace)}, path, _use_new_zipfile_serialization=kind == "zip")
    assert "cannot be read as a checkpoint" in refused(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02}.", b"PK\x03\x04", b"hello", pickle.dumps({"a": 1})])
def test_what_is_no_checkpoint_is_refused(refused, tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    assert "x.pth" in refused(tmp_path / "x.pth")


def test_an_unknown_network_is_refused_with_what_is_known(refused, tmp_path):
    torch.save(nn.Linear(3, 4).state_dict(), tmp_path / "x.pth")
    assert "pytorch-AdaIN" in refused(tmp_path / "x.pth")


def test_skips_that_the_shapes_contradict_are_refused(refused, tmp_path):
    torch.save(report_decoder().state_dict(), tmp_path / "x.pth")
    assert "cannot have the skips concat2-content" in refused(tmp_path / "x.pth", "--skips", "concat2-content")


def test_numbers_that_are_not_finite_are_refused(refused, tmp_path):
    state = report_decoder().state_dict()
    state["decoder_3.4.bias"][0] = torch.inf
    torch.save(state, tmp_path / "x.pth")
    assert "not finite" in refused(tmp_path / "x.pth")


def test_layers_wider_than_any_weights_file_may_have_are_refused(refused, tmp_path):
    state = report_decoder().state_dict()
    state["decoder_4.1.weight"] = torch.zeros(WIDTHS[2], 4097, 3, 3)
    torch.save(state, tmp_path / "x.pth")
    assert "x.pth has layers of 4097 channels; expected at most 4096" in refused(tmp_path / "x.pth")


@pytest.mark.parametrize("together", [False, True], ids=["two files", "one file"])
def test_a_pair_that_does_not_fit_is_refused_before_anything_is_written(refused, tmp_path, together):
    states = {"vgg": sequential_vgg(widths=(4, 4, 4, 4)), "decoder": report_decoder().state_dict()}
    states = {"both": states} if together else states
    for name, state in states.items():
        torch.save(state, tmp_path / f"{name}.pth")
    message = refused(*(tmp_path / f"{name}.pth" for name in states))
    assert f"widths {', '.join(map(str, WIDTHS))}, but" in message and "has 4, 4, 4, 4;" in message


@pytest.mark.parametrize("space", ["vgg19-torchvision", "someone-0123abcd"])
def test_a_decoder_is_said_to_belong_to_a_space(convert, space):
    path = convert(("--space", space), vgg=sequential_vgg(), decoder=report_decoder().state_dict())["decoder"]
    assert load_weights(path).space == space


def test_a_file_of_this_package_keeps_its_space_beside_an_encoder_of_another(tmp_path):
    weights = Weights("someone-0123abcd", decoder=Decoder(WIDTHS))
    save_weights(weights, tmp_path / "own.safetensors")
    torch.save(sequential_vgg(), tmp_path / "vgg.pth.tar")
    sources = [str(tmp_path / name) for name in ("vgg.pth.tar", "own.safetensors")]
    assert main(["convert", *sources, "-o", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["own.safetensors", "vgg.safetensors"]
    assert load_weights(tmp_path / "out" / "own.safetensors").space == weights.space


def test_of_an_encoder_the_mean_of_its_features_is_said():
    encoder = Encoder(WIDTHS).requires_grad_(False)
    encoder.conv4_1.weight.zero_()
    encoder.conv4_1.bias.fill_(2.5)
    assert verify(Weights("s", encoder), None) == "relu4_1 of a test picture has a mean of 2.5"


@pytest.mark.parametrize("space", ["lite", "vgg19-normalised-relu5_1", "lite-88DE5F9A", "lite-88de5f9a0", ""])
def test_a_name_that_is_no_space_is_refused(tmp_path, capsys, space):
    with pytest.raises(SystemExit, match="2"):
        main(["convert", "decoder.pth", "-o", str(tmp_path / "out"), f"--space={space}"])
    message = capsys.readouterr().err
    assert f"'{space}' is not a space" in message and "vgg19-torchvision or <name>-<8 hex digits>" in message


def test_results_are_replaced_only_with_overwrite(convert, tmp_path, capsys):
    state = report_decoder().state_dict()
    path = convert(d=state)["d"]
    before = path.read_bytes()
    assert main(["convert", str(tmp_path / "d.pth"), "-o", str(tmp_path / "out")]) == 2
    assert "--overwrite" in capsys.readouterr().err and path.read_bytes() == before
    convert(("--overwrite", "--license", "CC0-1.0"), d=state)
    assert load_weights(path).info["license"] == "CC0-1.0"


def test_two_sources_of_one_name_are_refused(tmp_path, refused):
    (tmp_path / "a").mkdir()
    for folder in (tmp_path, tmp_path / "a"):
        torch.save(report_decoder().state_dict(), folder / "d.pth")
    assert "one at a time" in refused(tmp_path / "d.pth", tmp_path / "a" / "d.pth")


def test_a_safetensors_file_of_another_layout_needs_no_conversion(tmp_path):
    state = nn.Sequential(*plain_layers()).state_dict()
    save_file(state, tmp_path / "d.safetensors")
    assert load_weights(tmp_path / "d.safetensors").kind == "decoder"
    assert [network.layout.name for network in find_networks(load_file(tmp_path / "d.safetensors"))] == [
        "pytorch-AdaIN's decoder"
    ]


def test_an_encoder_with_another_color_map_is_not_taken_for_vgg19():
    assert len(find_networks(sequential_vgg())) == 1
    assert find_networks(sequential_vgg() | {"0.weight": torch.rand(3, 1, 1, 1)}) == []


def test_vgg16_is_not_taken_for_vgg19():
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)
    channels = (3, 8, 8, 12, 12, 16, 16, 16, 24, 24, 24)
    state = {}
    for place, (a, b) in zip(places, itertools.pairwise(channels), strict=True):
        state |= {f"features.{place}.weight": torch.rand(b, a, 3, 3), f"features.{place}.bias": torch.rand(b)}
    assert find_networks(state) == []


@pytest.mark.parametrize("source", ["content", "style"])
def test_the_reports_concatenating_decoder_gives_the_same_in_tiles(source):
    model = tiny_model(f"concat2-{source}")
    content, style = random_picture(150, 130), random_picture(60, 70, seed=1)
    torch.testing.assert_close(model(content, style, tile=64), model(content, style, tile="off"), rtol=0, atol=1e-4)
