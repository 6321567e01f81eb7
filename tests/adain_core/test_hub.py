"""The Hub, against a local server that speaks its protocol and counts what it serves."""

import errno
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

from adain_core.decoder import Decoder
from adain_core.encoder import Encoder
from adain_core.hub import REPOSITORY, HubError, HubFile, download, read_tensors
from adain_core.presets import PRESETS
from adain_core.weights import Weights, WeightsError, find_encoder, load_model, load_weights, resolve, save_weights
from tests.helpers import ROOT, TINY_WIDTHS, sequential_vgg
from tests.hub_server import Hub

ADDRESS = "hf://someone/styles/models/tiny.safetensors"
VGG_SHAPES = [64, 64, 128, 128, *[256] * 4, *[512] * 8]
VGG_PLACES = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]


@pytest.fixture
def model(tmp_path) -> bytes:
    path = tmp_path / "source.safetensors"
    save_weights(Weights("tiny", Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS)), path)
    return path.read_bytes()


@pytest.fixture
def served(hub, model, tmp_path) -> Hub:
    hub.add("someone/styles/models/tiny.safetensors@main", model, tmp_path)
    return hub


def part_files(tmp_path: Path) -> list[Path]:
    """Everything under the caches that is not whole."""
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and ".locks" not in path.parts]
    return [path for path in files if "incomplete" in path.name or ".part" in path.name or ".download" in str(path)]


def test_an_address_loads_as_a_model_once(served):
    weights = load_model(ADDRESS)
    assert weights.space == "tiny" and weights.encoder.widths == TINY_WIDTHS
    before = served.served
    load_model(ADDRESS + "@main")
    assert served.served == before


def test_a_pinned_commit_is_never_asked_for_again(served, model, tmp_path):
    commit = "a" * 40
    served.add(f"someone/styles/models/tiny.safetensors@{commit}", model, tmp_path)
    download(HubFile.parse(f"{ADDRESS}@{commit}"))
    count = len(served.requests)
    assert load_model(f"{ADDRESS}@{commit}").decoder is not None
    assert len(served.requests) == count


def test_a_download_is_announced_with_its_address_and_size(served, model, caplog):
    caplog.set_level("INFO", "adain_core")
    download(HubFile.parse(ADDRESS))
    assert f"{ADDRESS}@main" in caplog.text and served.endpoint in caplog.text
    assert f"{len(model) / 1e6:.1f} MB" in caplog.text and "ADAIN_OFFLINE" in caplog.text


def test_a_download_reports_its_progress_and_is_ended_by_it(served, model, tmp_path):
    shares = []
    load_model(ADDRESS, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1

    def stop(share: float) -> None:
        raise StopAsyncIteration

    served.add("another/place/tiny.safetensors", model, tmp_path)
    with pytest.raises(StopAsyncIteration):
        load_model("hf://another/place/tiny.safetensors", progress=stop)
    assert HubFile.parse("hf://another/place/tiny.safetensors").cached() is None


def test_the_projects_own_repository_needs_no_name():
    assert HubFile.parse("hf://lite-concat.safetensors") == HubFile(REPOSITORY, "lite-concat.safetensors")


@pytest.mark.parametrize(
    "address",
    [
        *("hf://", "hf://a/b", "hf://a/b/../../etc/x.safetensors", "hf://a/b/m.pth", "hf://a/b/m.safetensors@"),
        *("hf://../m", "hf://a/b/c d.safetensors", "hf://a/b/m.safetensors@x y", "hf:///etc/passwd"),
        *("hf://http://evil/m.safetensors", "hf:///etc/m.safetensors", "hf://a/b/..\\m.safetensors"),
    ],
)
def test_an_address_of_another_form_is_refused(address, hub):
    with pytest.raises(HubError, match="no address on the Hub"):
        resolve(address)
    assert hub.requests == []


def test_a_token_is_sent_to_the_hub_and_nowhere_else(served, monkeypatch):
    served.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    load_model(ADDRESS)
    assert served.tokens == {"hub": "Bearer hf_secret", "storage": None}


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (401, "RepoNotFound", "no such repository, or it is private.*HF_TOKEN"),
        (401, "", "HF_TOKEN"),
        (403, "GatedRepo", "is gated: ask for access"),
        (404, "RepoNotFound", "no such repository"),
        (404, "RevisionNotFound", "no revision 'main'"),
        (404, "EntryNotFound", "no such file"),
        (500, "", "cannot be downloaded from .*500"),
    ],
)
def test_a_refusal_is_one_sentence(served, tmp_path, status, code, sentence):
    served.status = (status, code)
    with pytest.raises(HubError, match=sentence) as error:
        load_model(ADDRESS)
    assert "\n" not in str(error.value) and str(error.value).startswith(ADDRESS)
    assert part_files(tmp_path) == []


def break_server(hub: Hub, fault: str) -> None:
    if fault == "down":
        hub.files.clear()
        hub.status = (503, "")
    elif fault == "loop":
        hub.loop = True
    elif fault == "slow":
        hub.delay = 3
    elif fault == "short":
        hub.shorten = 100


@pytest.mark.parametrize("fault", ["down", "loop", "slow", "short"])
def test_a_server_that_fails_leaves_nothing_behind(served, tmp_path, fault):
    break_server(served, fault)
    with pytest.raises(HubError, match="cannot be downloaded from") as error:
        load_model(ADDRESS)
    assert "\n" not in str(error.value)
    assert part_files(tmp_path) == []
    served.__dict__.update(Hub(files=served.files, port=served.port).__dict__)
    if fault != "down":
        assert load_model(ADDRESS).space == "tiny"


def test_no_server_at_all(served, monkeypatch):
    monkeypatch.setattr(
        huggingface_hub.constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}",
    )
    with pytest.raises(HubError, match="cannot be downloaded from"):
        load_model(ADDRESS)


@pytest.mark.parametrize("fault", ["down", "loop", "slow", "401"])
def test_an_earlier_good_copy_is_used_while_the_server_fails(served, caplog, fault):
    load_model(ADDRESS)
    break_server(served, fault)
    if fault == "401":
        served.status = (401, "RepoNotFound")
    assert load_model(ADDRESS).space == "tiny"
    assert "copy from before" in caplog.text


def test_a_broken_connection_is_resumed_where_it_broke(served, model, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    served.cut, served.cuts = len(model) // 2, 1
    assert load_model(ADDRESS).space == "tiny"
    assert len(model) <= served.served < len(model) + 1000


def test_a_wrong_hash_is_refused_and_the_file_removed(served, tmp_path):
    file = replace(HubFile.parse(ADDRESS), sha256="0" * 64)
    with pytest.raises(HubError, match="SHA-256"):
        download(file)
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []


def test_the_hubs_own_hash_is_checked(served, model, tmp_path):
    """The content changes between the Hub's answer and the storage's."""
    path = next(iter(served.files.values()))
    digest = hashlib.sha256(model).hexdigest()
    original = hashlib.sha256

    class Other(type(path)):
        def read_bytes(self):
            return model

    path.write_bytes(model[:-4] + b"abcd")
    served.files = {key: Other(path) for key in served.files}
    assert original(path.read_bytes()).hexdigest() != digest
    with pytest.raises(HubError, match=digest):
        download(HubFile.parse(ADDRESS))


@pytest.mark.parametrize("switch", ["ADAIN_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked_and_the_cache_still_serves(served, monkeypatch, switch):
    def go_offline():
        if switch == "ADAIN_OFFLINE":
            monkeypatch.setenv(switch, "1")
        else:
            monkeypatch.setattr(huggingface_hub.constants, switch, True)

    with monkeypatch.context() as patch:
        patch.setenv("ADAIN_OFFLINE", "1")
        with pytest.raises(HubError, match="forbids it"):
            load_model(ADDRESS)
    assert served.requests == []
    load_model(ADDRESS)
    go_offline()
    count = len(served.requests)
    assert load_model(ADDRESS).space == "tiny"
    with pytest.raises(HubError, match="was not downloaded before"):
        load_model("hf://someone/styles/other.safetensors")
    assert len(served.requests) == count


def test_a_cache_that_cannot_be_written(served, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(HubError, match="cannot be downloaded") as error:
        load_model(ADDRESS)
    assert "\n" not in str(error.value) and "file" in str(error.value)


def test_a_full_disk_leaves_nothing_half_written(served, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(HubError, match=os.strerror(errno.EFBIG)):
            load_model(ADDRESS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert part_files(tmp_path) == []
    assert load_model(ADDRESS).space == "tiny"


def test_a_file_that_claims_to_be_too_large_is_not_asked_for(served, tmp_path, monkeypatch):
    monkeypatch.setattr("adain_core.hub.MAX_BYTES", 1000)
    with pytest.raises(HubError, match="at most 1000"):
        load_model(ADDRESS)
    assert served.served == 0


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
                file.write(torch.randn(entry["shape"], generator=generator).mul(0.02).numpy().tobytes())
        file.truncate(8 + len(text) + end)
    return path


def serve_vgg(hub: Hub, path: Path) -> None:
    source = PRESETS["vgg19-torchvision"].sources[0]
    hub.add(f"{source.repo_id}/{source.filename}@{source.revision}", path, path.parent)


@pytest.mark.parametrize(("name", "share"), [("vgg19-torchvision", 0.05), ("vgg19-torchvision-relu5_1", 0.1)])
def test_of_torchvisions_vgg_only_the_layers_in_use_are_transferred(hub, vgg, name, share):
    serve_vgg(hub, vgg)
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


def test_a_hub_without_byte_ranges(hub, vgg, tmp_path):
    hub.ranges = False
    small = tmp_path / "model.safetensors"
    small.write_bytes(save({"features.0.weight": torch.zeros(64, 3, 3, 3)}))
    serve_vgg(hub, small)
    with pytest.raises(HubError, match="does not serve byte ranges"):
        resolve("vgg19-torchvision")


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x04\0\0\0\0\0\0\0nope", save({"a": torch.zeros(3)})])
def test_another_file_in_vggs_place_is_refused(hub, content, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    serve_vgg(hub, path)
    with pytest.raises(HubError, match=r"hf://timm/vgg19\.tv_in1k/model\.safetensors"):
        resolve("vgg19-torchvision")
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []


@pytest.fixture
def normalised(hub, tmp_path, monkeypatch):
    """Serves a small network in the place of the normalised VGG-19, and gives its hash to the preset."""

    def put(place: int, state=None, digest=None) -> None:
        torch.save(sequential_vgg() if state is None else state, tmp_path / "vgg_normalised.pth")
        content = (tmp_path / "vgg_normalised.pth").read_bytes()
        digest = digest or hashlib.sha256(content).hexdigest()
        for name in ("vgg19-normalised", "vgg19-normalised-relu5_1"):
            sources = tuple(replace(source, sha256=digest) for source in PRESETS[name].sources)
            monkeypatch.setitem(PRESETS, name, replace(PRESETS[name], sources=sources))
        source = PRESETS["vgg19-normalised"].sources[place]
        hub.add(f"spaces/{source.repo_id}/{source.filename}@{source.revision}", content, tmp_path)

    return put


@pytest.mark.parametrize("place", [0, 1], ids=["the Space", "its mirror"])
def test_a_decoder_brings_the_normalised_vgg_from_the_hub(hub, normalised, tmp_path, place):
    normalised(place)
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


def test_the_reference_decoder_brings_its_encoder(reference, hub, normalised, tmp_path):
    normalised(0, load_file(reference / "vgg_normalised_relu4_1.safetensors"))
    shutil.copy(reference / "adain_decoder.safetensors", tmp_path / "decoder.safetensors")
    fetched = load_model(tmp_path / "decoder.safetensors")
    expected = load_model(reference)
    assert hub.served > 14_000_000 and fetched.space == expected.space
    for key, x in expected.encoder.state_dict().items():
        torch.testing.assert_close(fetched.encoder.state_dict()[key], x, rtol=0, atol=0)


def test_a_changed_file_in_the_users_cache_is_not_taken_for_the_normalised_vgg(hub, normalised, tmp_path):
    normalised(0)
    source = PRESETS["vgg19-normalised"].sources[0]
    path = download(source)
    assert source.cached() == path
    path.resolve().write_bytes(b"something else")
    assert load_weights(resolve("vgg19-normalised")).encoder.widths == TINY_WIDTHS


def test_a_normalised_vgg_of_another_hash_is_refused(hub, normalised, tmp_path):
    normalised(0, digest="0" * 64)
    with pytest.raises(HubError, match="no such repository"):
        resolve("vgg19-normalised")
    assert list((tmp_path / "cache").rglob("*.pth")) == [] and part_files(tmp_path) == []


def test_without_a_network_the_message_says_what_else_helps(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("ADAIN_OFFLINE", "1")
    save_weights(Weights("vgg19-normalised", decoder=Decoder(TINY_WIDTHS)), tmp_path / "d.safetensors")
    with pytest.raises(WeightsError, match=r"ADAIN_OFFLINE.*beside the decoder"):
        load_model(tmp_path / "d.safetensors")


def test_threads_that_ask_at_once_all_get_it(hub, normalised):
    normalised(0)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(resolve, ["vgg19-normalised"] * 4))
    assert len(set(paths)) == 1 and len(load_file(paths[0])) == 20


def test_two_processes_at_once_with_the_users_own_settings(served, tmp_path):
    """The environment alone, as users set it, and the command line."""
    environment = os.environ | {"HF_ENDPOINT": served.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_t"}
    served.token = "hf_t"
    commands = [
        [sys.executable, "-m", "adain_core", "convert", ADDRESS, "-o", str(tmp_path / f"out{i}")] for i in range(2)
    ]
    processes = [
        subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True) for command in commands
    ]
    for i, process in enumerate(processes):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert load_model(tmp_path / f"out{i}" / "tiny.safetensors").space == "tiny"
    assert len(list((tmp_path / "home").rglob("tiny.safetensors"))) == 1
