"""The well-known VGG-19 encoders, fetched from a local server that speaks the Hub's protocol."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

from adain_core.models import spaces
from adain_core.models.addresses import HubError
from adain_core.models.errors import WeightsError
from adain_core.models.hub import download, read_tensors
from adain_core.models.presets import PRESETS
from adain_core.models.weights import Weights, find_encoder, load_model, load_weights, resolve, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from tests.helpers import TINY_WIDTHS, normalized_digest, sequential_vgg
from tests.hub_server import LARGE_DIGEST, part_files

VGG_SHAPES = [64, 64, 128, 128, *[256] * 4, *[512] * 8]
VGG_PLACES = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]


@pytest.fixture(scope="session")
def vgg(tmp_path_factory) -> Path:
    """A file like timm/vgg19.tv_in1k's: its shapes, its order of tensors, its 575 MB, of which most are a hole."""
    shapes = {"head.fc.weight": [1000, 4096], "head.fc.bias": [1000]}
    shapes |= {"pre_logits.fc1.weight": [4096, 512, 7, 7], "pre_logits.fc1.bias": [4096]}
    shapes |= {"pre_logits.fc2.weight": [4096, 4096, 1, 1], "pre_logits.fc2.bias": [4096]}
    for place, out, channels in zip(VGG_PLACES, VGG_SHAPES, [3, *VGG_SHAPES], strict=False):
        shapes |= {f"features.{place}.weight": [out, channels, 3, 3], f"features.{place}.bias": [out]}
    header, end = {}, 0
    for key in sorted(shapes):
        begin, end = end, end + 4 * torch.Size(shapes[key]).numel()
        header[key] = {"dtype": "F32", "shape": shapes[key], "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path = tmp_path_factory.mktemp("vgg") / "model.safetensors"
    generator = torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for place in VGG_PLACES[:9]:
            for part in ("weight", "bias"):
                entry = header[f"features.{place}.{part}"]
                file.seek(8 + len(text) + entry["data_offsets"][0])
                numbers = torch.randn(entry["shape"], generator=generator).mul(0.02)
                if (place, part) == (0, "weight"):
                    numbers[0] = spaces._TORCHVISION  # by which the encoder is known
                file.write(numbers.numpy().tobytes())
        file.truncate(8 + len(text) + end)
    return path


@pytest.fixture
def serve_vgg(hub, monkeypatch):
    """Serves a file in the place of torchvision's VGG-19, and gives its hash to the presets."""

    def serve(path: Path) -> None:
        large = path.stat().st_size > 2**27
        digest = LARGE_DIGEST if large else hashlib.sha256(path.read_bytes()).hexdigest()
        for name in ("vgg19-torchvision", "vgg19-torchvision-relu5_1"):
            (source,) = PRESETS[name].sources
            monkeypatch.setitem(PRESETS, name, replace(PRESETS[name], sources=(replace(source, sha256=digest),)))
        hub.add(f"{source.repo_id}/{source.filename}@{source.revision}", path, path.parent)

    return serve


@pytest.mark.parametrize(("name", "share"), [("vgg19-torchvision", 0.05), ("vgg19-torchvision-relu5_1", 0.1)])
def test_of_torchvisions_vgg_only_the_layers_in_use_are_transferred(hub, vgg, serve_vgg, name, share):
    serve_vgg(vgg)
    assert vgg.stat().st_size == pytest.approx(574_700_000, rel=1e-3)
    kept = resolve(name)
    assert hub.served < share * vgg.stat().st_size
    assert hub.served == pytest.approx(PRESETS[name].size, rel=0.02)
    assert kept.stat().st_size < share * vgg.stat().st_size
    count = len(hub.requests)
    encoder = find_encoder("vgg19-torchvision", [kept.parent])
    assert len(hub.requests) == count
    with torch.inference_mode():
        picture = torch.rand(1, 3, 32, 32)
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = (picture - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        tensors = read_tensors(PRESETS[name].sources[0], ["features.0.weight", "features.0.bias"])
        expected = nn.functional.conv2d(x, tensors["features.0.weight"], tensors["features.0.bias"]).relu()
        torch.testing.assert_close(encoder(picture, ["relu1_1"])["relu1_1"][..., 1:-1, 1:-1], expected)


def test_a_hub_without_byte_ranges(hub, serve_vgg, tmp_path):
    hub.ranges = False
    small = tmp_path / "model.safetensors"
    small.write_bytes(save({"features.0.weight": torch.zeros(64, 3, 3, 3), "other": torch.zeros(20_000)}))
    serve_vgg(small)
    with pytest.raises(HubError, match="cannot be read in parts"):
        resolve("vgg19-torchvision")


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x04\0\0\0\0\0\0\0nope", save({"a": torch.zeros(3)})])
def test_another_file_in_vggs_place_is_refused(serve_vgg, content, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    serve_vgg(path)
    with pytest.raises(HubError, match=r"hf://timm/vgg19\.tv_in1k/model\.safetensors"):
        resolve("vgg19-torchvision")
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []


@pytest.fixture
def normalized(hub, tmp_path, monkeypatch):
    """Serves a small network in the place of the normalized VGG-19, and gives its hash to the preset."""

    def put(place: int, state=None, digest=None) -> None:
        torch.save(sequential_vgg() if state is None else state, tmp_path / "vgg_normalised.pth")
        content = (tmp_path / "vgg_normalised.pth").read_bytes()
        digest = digest or hashlib.sha256(content).hexdigest()
        known = normalized_digest(torch.load(tmp_path / "vgg_normalised.pth", weights_only=True))
        monkeypatch.setattr(spaces, "_NORMALIZED", known)
        for name in ("vgg19-normalised", "vgg19-normalised-relu5_1"):
            sources = tuple(replace(source, sha256=digest) for source in PRESETS[name].sources)
            monkeypatch.setitem(PRESETS, name, replace(PRESETS[name], sources=sources))
        source = PRESETS["vgg19-normalised"].sources[place]
        hub.add(f"spaces/{source.repo_id}/{source.filename}@{source.revision}", content, tmp_path)

    return put


@pytest.mark.parametrize("place", [0, 1], ids=["the Space", "its mirror"])
def test_a_decoder_brings_the_normalized_vgg_from_the_hub(hub, normalized, tmp_path, place):
    normalized(place)
    decoder = tmp_path / "decoder.safetensors"
    save_weights(Weights("vgg19-normalised", decoder=Decoder(TINY_WIDTHS)), decoder)
    weights = load_model(decoder)
    assert weights.encoder.widths == TINY_WIDTHS and weights.space == "vgg19-normalised"
    kept = resolve("vgg19-normalised")
    assert len(load_file(kept)) == 20
    assert list((tmp_path / "cache").rglob("*.pth")) == []
    count = len(hub.requests)
    load_model(decoder)
    assert len(hub.requests) == count


def test_the_reference_decoder_brings_its_encoder(reference, hub, normalized, tmp_path):
    normalized(0, load_file(reference / "vgg_normalised_relu4_1.safetensors"))
    shutil.copy(reference / "adain_decoder.safetensors", tmp_path / "decoder.safetensors")
    fetched = load_model(tmp_path / "decoder.safetensors")
    expected = load_model(reference)
    assert hub.served > 14_000_000 and fetched.space == expected.space
    for key, x in expected.encoder.state_dict().items():
        torch.testing.assert_close(fetched.encoder.state_dict()[key], x, rtol=0, atol=0)


def test_a_changed_file_in_the_users_cache_is_not_taken_for_the_normalized_vgg(hub, normalized, tmp_path):
    normalized(0)
    source = PRESETS["vgg19-normalised"].sources[0]
    path = download(source)
    assert source.cached() == path
    path.resolve().write_bytes(b"something else")
    assert load_weights(resolve("vgg19-normalised")).encoder.widths == TINY_WIDTHS


def test_a_normalized_vgg_of_another_hash_is_refused(hub, normalized, tmp_path):
    normalized(0, digest="0" * 64)
    with pytest.raises(HubError, match="no such repository"):
        resolve("vgg19-normalised")
    assert list((tmp_path / "cache").rglob("*.pth")) == [] and part_files(tmp_path) == []


def test_another_network_in_torchvisions_place_is_refused(hub, vgg, serve_vgg, monkeypatch):
    serve_vgg(vgg)
    monkeypatch.setattr(spaces, "_TORCHVISION", spaces._TORCHVISION + 0.01)
    with pytest.raises(WeightsError, match="its encoder is not that of its space vgg19-torchvision"):
        resolve("vgg19-torchvision")


def test_a_file_that_the_hub_gives_another_hash_is_not_read_in_parts(hub, vgg, serve_vgg):
    serve_vgg(vgg)
    hub.headers = {"X-Linked-Etag": f'"{"f" * 64}"'}
    with pytest.raises(HubError, match="is another file than it was"):
        resolve("vgg19-torchvision")


@pytest.mark.parametrize("space", ["vgg19-normalised", "vgg19-torchvision"])
def test_a_file_that_claims_a_well_known_space_is_compared_with_it(tmp_path, space):
    save_weights(Weights(space, Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS)), tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match=f"not that of its space {space}"):
        load_weights(tmp_path / "m.safetensors")


def test_without_a_network_the_message_says_what_else_helps(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("ADAIN_OFFLINE", "1")
    save_weights(Weights("vgg19-normalised", decoder=Decoder(TINY_WIDTHS)), tmp_path / "d.safetensors")
    with pytest.raises(WeightsError, match=r"ADAIN_OFFLINE.*beside the decoder"):
        load_model(tmp_path / "d.safetensors")


def test_threads_that_ask_at_once_all_get_it(hub, normalized):
    normalized(0)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(resolve, ["vgg19-normalised"] * 4))
    assert len(set(paths)) == 1 and len(load_file(paths[0])) == 20
