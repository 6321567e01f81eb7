"""Load AdaIN Model with files from the Hub, against a local server."""

import hashlib
import io
import logging
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.helpers import normalized_digest, sequential_vgg
from tests.nodes.fake import PACK
from tests.nodes.models import OWN_DECODER, image, load, save_model

ADDRESS = "hf://someone/styles/tiny.safetensors"
NAME = "vgg19-normalised"


@pytest.fixture(autouse=True)
def consent(monkeypatch) -> None:
    """That of most users; without it nothing is downloaded."""
    monkeypatch.setenv("ADAIN_ALLOW_DOWNLOADS", "1")


@pytest.fixture
def shared(comfy, hub, tmp_path) -> str:
    """The address of a model on the Hub."""
    import folder_paths

    path = Path(folder_paths.models_dir) / "adain" / save_model("tiny.safetensors")
    hub.add("someone/styles/tiny.safetensors", path.read_bytes(), tmp_path)
    path.unlink()
    return ADDRESS


@pytest.fixture
def vgg(comfy, hub, tmp_path, monkeypatch) -> str:
    """What the loader lists for the normalized VGG-19, in whose place a small network is served."""
    file = io.BytesIO()
    state = sequential_vgg()
    torch.save(state, file)
    presets = sys.modules[f"{PACK}.adain_core.models.presets"].PRESETS
    source = replace(presets[NAME].sources[0], sha256=hashlib.sha256(file.getvalue()).hexdigest())
    sources = (source, *presets[NAME].sources[1:])
    monkeypatch.setitem(presets, NAME, replace(presets[NAME], sources=sources))
    known = sys.modules[f"{PACK}.adain_core.models.spaces"]
    monkeypatch.setattr(known, "_NORMALIZED", normalized_digest(state))
    hub.add(f"spaces/{source.repo_id}/{source.filename}@{source.revision}", file.getvalue(), tmp_path)
    return listed(comfy, NAME)


def listed(comfy, name):
    options = comfy.nodes["AdaINModelLoader"].info()["input"]["required"]["model"][1]["options"]
    return next(option for option in options if option.startswith(f"{name} "))


def fingerprint(comfy, **inputs):
    defaults = {"model": "lite", "decoder": OWN_DECODER, "precision": "float32", "hub_address": ""}
    return comfy.nodes["AdaINModelLoader"].fingerprint_inputs(**defaults | inputs)


def test_an_entry_says_from_where_and_how_much(comfy):
    assert listed(comfy, NAME) == f"{NAME} (Hub: dataroots/SofaStyler, 80 MB)"


def test_nothing_is_asked_before_a_model_is_loaded(comfy, hub, shared, vgg):
    load(comfy, "lite")
    node = comfy.nodes["AdaINModelLoader"]
    for inputs in ({"model": vgg}, {"hub_address": shared}):
        before = fingerprint(comfy, **inputs)
        assert node.validate_inputs(model=vgg) is True
        assert hub.requests == [] and before != fingerprint(comfy)


def test_an_address_loads_once_with_a_bar_and_a_line_in_the_log(comfy, hub, shared, caplog):
    import comfy.utils as utils

    before = fingerprint(comfy, hub_address=shared)
    with caplog.at_level(logging.INFO):
        model = load(comfy, "lite", hub_address=shared)
    assert model.space == "tiny" and model.name == shared
    assert f"Downloading {shared}@main" in caplog.text and "MB" in caplog.text
    assert utils.bars[-1].current == utils.bars[-1].total
    served = hub.served
    assert load(comfy, "lite", hub_address=shared) is model
    assert hub.served == served and fingerprint(comfy, hub_address=shared) == before


@pytest.mark.parametrize("address", ["../../secret.safetensors", "/etc/passwd", "hf://a/b/c.pth", "https://a/b"])
def test_an_address_opens_nothing_on_this_machine(comfy, hub, address):
    with pytest.raises(ValueError, match="is no address on the Hub; expected hf://"):
        load(comfy, "lite", hub_address=address)
    assert hub.requests == []


@pytest.mark.parametrize("choice", ["model", "hub_address"])
def test_where_downloads_are_switched_off_the_error_says_how_to_get_the_file_by_hand(
    comfy, hub, shared, vgg, monkeypatch, choice
):
    monkeypatch.setenv("ADAIN_OFFLINE", "1")
    inputs = {"model": {"name": vgg}, "hub_address": {"name": "lite", "hub_address": shared}}
    page = {"model": "spaces/dataroots/SofaStyler/resolve", "hub_address": "someone/styles/resolve"}
    expected = rf"ADAIN_OFFLINE.*by hand, download {hub.endpoint}/{page[choice]}.*belong into .*adain"
    with pytest.raises(ValueError, match=expected):
        load(comfy, **inputs[choice])
    assert hub.requests == []


@pytest.mark.parametrize("choice", ["model", "hub_address", "encoder"])
@pytest.mark.parametrize("without", [None, "", "0"])
def test_without_the_users_consent_the_hub_is_not_even_asked(comfy, hub, shared, vgg, monkeypatch, choice, without):
    monkeypatch.delenv("ADAIN_ALLOW_DOWNLOADS")
    if without is not None:
        monkeypatch.setenv("ADAIN_ALLOW_DOWNLOADS", without)
    if choice == "encoder":
        vgg = save_model("decoder.safetensors", space=NAME, parts="decoder")
    inputs = {"name": "lite", "hub_address": shared} if choice == "hub_address" else {"name": vgg}
    source = r"someone/styles.* \(at most 2\.1 GB\)" if choice == "hub_address" else r"SofaStyler/.* \(80 MB\)"
    expected = f"{source} was not .* takes your consent: make an empty file .*adain.allow_downloads, or set ADAIN_ALLOW"
    with pytest.raises(ValueError, match=expected):
        load(comfy, **inputs)
    assert hub.requests == []


def test_consent_is_a_file_of_the_users_own_and_what_was_downloaded_needs_none(comfy, hub, shared, vgg, monkeypatch):
    import folder_paths

    monkeypatch.delenv("ADAIN_ALLOW_DOWNLOADS")
    file = Path(folder_paths.models_dir) / "adain" / "allow_downloads"
    file.touch()
    models = [load(comfy, vgg).space, load(comfy, "lite", hub_address=shared).space]
    file.unlink()
    hub.requests.clear()
    assert models == [load(comfy, vgg).space, load(comfy, "lite", hub_address=shared).space] == [NAME, "tiny"]
    assert hub.requests == []


def test_a_decoder_brings_its_encoder_from_the_hub_and_says_so(comfy, hub, vgg, caplog):
    name = save_model("decoder.safetensors", space=NAME, parts="decoder")
    with caplog.at_level(logging.INFO):
        model = load(comfy, name)
    assert model.space == NAME
    assert f"The encoder of {NAME} is not among the files here" in caplog.text
    result = comfy.call("AdaINStylize", model=model, content=image(), style=image(seed=1))[0]
    assert result.shape == (1, 40, 56, 3)


def test_a_decoder_from_the_hub_finds_its_encoder_among_ones_own_files(comfy, hub, tmp_path):
    import folder_paths

    folder = Path(folder_paths.models_dir) / "adain"
    save_model("encoder.safetensors", parts="encoder")
    decoder = folder / save_model("decoder.safetensors", parts="decoder")
    hub.add("someone/styles/decoder.safetensors", decoder.read_bytes(), tmp_path)
    decoder.unlink()
    address = "hf://someone/styles/decoder.safetensors"
    assert load(comfy, "lite", hub_address=address).space == "tiny"


def test_an_encoder_alone_serves_gatys_and_takes_another_decoder(comfy, hub, vgg):
    encoder = load(comfy, vgg)
    picture = image(32, 32)
    (result, _) = comfy.call("AdaINGatys", model=encoder, content=picture, style=picture, size=0, iterations=1)
    assert result.shape == picture.shape
    assert comfy.call("AdaINComputeStyleStats", model=encoder, image=picture)[0].space == NAME
    with pytest.raises(ValueError, match=rf"'model' is {NAME}, an encoder alone; choose a 'decoder' for its space"):
        comfy.call("AdaINEncode", model=encoder, image=picture)
    whole = load(comfy, vgg, save_model("decoder.safetensors", space=NAME, parts="decoder"))
    assert comfy.call("AdaINEncode", model=whole, image=picture)
