import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from adain_core.models.errors import WeightsError
from adain_core.models.presets import VGG19_NORMALIZED
from adain_core.models.spaces import space_of
from adain_core.models.weights import (
    EMBEDDED,
    Weights,
    embedded_models,
    load_encoder,
    load_model,
    load_weights,
    resolve,
    save_weights,
)
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import VGG19_WIDTHS, Encoder
from adain_core.networks.skips import Skips
from tests.helpers import TINY_WIDTHS


@pytest.fixture
def encoder() -> Encoder:
    return Encoder(TINY_WIDTHS)


def decoder(kind: str = "plain") -> Decoder:
    return Decoder(TINY_WIDTHS, Skips.parse(kind))


@pytest.mark.parametrize("kind", ["plain", "concat-both", "add-content-adain"])
def test_a_model_reads_back_as_it_was_written(tmp_path, encoder, kind):
    info = {"license": "MIT", "origin": "here", "training": json.dumps({"steps": 3})}
    save_weights(Weights(space_of("tiny", encoder), encoder, decoder(kind), info), tmp_path / "m.safetensors")
    weights = load_weights(tmp_path / "m.safetensors")
    assert weights.kind == "model" and weights.space.startswith("tiny-")
    assert str(weights.decoder.skips) == kind
    assert weights.info["license"] == "MIT" and json.loads(weights.info["training"]) == {"steps": 3}
    for key, value in encoder.state_dict().items():
        torch.testing.assert_close(weights.encoder.state_dict()[key], value.half().float())


def test_a_model_whose_encoder_goes_on_after_relu4_1_reads_back(tmp_path):
    save_weights(Weights("s", Encoder((*TINY_WIDTHS, 32)), decoder()), tmp_path / "m.safetensors")
    weights = load_weights(tmp_path / "m.safetensors")
    assert (weights.encoder.widths, weights.decoder.widths) == ((*TINY_WIDTHS, 32), TINY_WIDTHS)


def test_networks_come_ready_for_use(tmp_path, encoder):
    save_weights(Weights("s", encoder, decoder()), tmp_path / "m.safetensors")
    weights = load_weights(tmp_path / "m.safetensors")
    for network in (weights.encoder, weights.decoder):
        assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())


def test_the_files_of_ones_own_folder_go_before_the_embedded_ones(tmp_path, encoder, monkeypatch):
    monkeypatch.setenv("ADAIN_MODELS", str(tmp_path))
    save_weights(Weights("s", encoder, decoder()), tmp_path / "lite.safetensors")
    assert load_model("lite").path == tmp_path / "lite.safetensors"


def test_of_another_decoder_it_is_said_what_its_own_file_says(tmp_path, encoder):
    space = space_of("tiny", encoder)
    save_weights(Weights(space, encoder, decoder(), {"license": "MIT", "origin": "here"}), tmp_path / "m.safetensors")
    save_weights(Weights(space, decoder=decoder(), info={"license": "CC0-1.0"}), tmp_path / "d.safetensors")
    info = load_model(tmp_path / "m.safetensors", tmp_path / "d.safetensors").info
    assert (info["license"], info["origin"]) == ("CC0-1.0", "here")


def test_an_encoder_beside_its_decoder_goes_before_those_of_other_folders(tmp_path, encoder, monkeypatch):
    monkeypatch.setenv("ADAIN_MODELS", str(tmp_path / "mine"))
    save_weights(Weights("s", Encoder(TINY_WIDTHS)), tmp_path / "mine" / "encoder.safetensors")
    for part, weights in {"encoder": Weights("s", encoder), "decoder": Weights("s", decoder=decoder())}.items():
        save_weights(weights, tmp_path / f"{part}.safetensors", torch.float32)
    assert torch.equal(load_model(tmp_path / "decoder.safetensors").encoder.conv1_1.weight, encoder.conv1_1.weight)


def test_the_space_of_a_saved_encoder_is_that_of_the_loaded_one(tmp_path, encoder):
    save_weights(Weights(space_of("tiny", encoder), encoder), tmp_path / "e.safetensors")
    loaded = load_weights(tmp_path / "e.safetensors")
    assert space_of("tiny", loaded.encoder) == loaded.space


def test_another_encoder_has_another_space(encoder):
    assert space_of("tiny", encoder) != space_of("tiny", Encoder(TINY_WIDTHS))


def test_an_additive_decoders_strength_is_kept(tmp_path):
    added = Decoder(TINY_WIDTHS, Skips.parse("add-style", strength=0.25))
    save_weights(Weights("s", decoder=added), tmp_path / "d.safetensors")
    assert load_weights(tmp_path / "d.safetensors").decoder.skips.strength == 0.25


def test_a_decoder_brings_the_encoder_of_its_space(tmp_path, encoder):
    space = space_of("tiny", encoder)
    save_weights(Weights(space, encoder), tmp_path / "encoder.safetensors")
    save_weights(Weights(space, decoder=decoder()), tmp_path / "decoder.safetensors")
    for model in (tmp_path / "decoder.safetensors", tmp_path):
        loaded = load_model(model)
        assert loaded.encoder.widths == TINY_WIDTHS and loaded.path == tmp_path / "decoder.safetensors"


def test_a_decoder_for_other_widths_is_refused_with_both(tmp_path, encoder):
    space = space_of("tiny", encoder)
    save_weights(Weights(space, encoder), tmp_path / "encoder.safetensors")
    save_weights(Weights(space, decoder=Decoder((4, 12, 16, 24))), tmp_path / "decoder.safetensors")
    with pytest.raises(WeightsError, match=rf"widths 4, 12, 16, 24, but that of the space {space} has 8, 12, 16, 24"):
        load_model(tmp_path / "decoder.safetensors")


def test_a_decoder_of_another_space_is_refused_with_both_names(tmp_path, encoder):
    save_weights(Weights("tiny-00000001", decoder=decoder()), tmp_path / "d.safetensors")
    save_weights(Weights(space_of("tiny", encoder), encoder, decoder()), tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match=r"d.safetensors decodes the space tiny-00000001, but .*m.safetensors"):
        load_model(tmp_path / "m.safetensors", tmp_path / "d.safetensors")
    with pytest.raises(WeightsError, match="No encoder of the space tiny-00000001"):
        load_model(tmp_path / "d.safetensors")


def test_an_encoder_alone_is_no_model(tmp_path, encoder):
    save_weights(Weights(space_of("tiny", encoder), encoder), tmp_path / "e.safetensors")
    with pytest.raises(WeightsError, match="holds no decoder"):
        load_model(tmp_path / "e.safetensors")


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(WeightsError) as error:
        resolve("no-such-model")
    assert all(name in str(error.value) for name in embedded_models())


@pytest.fixture
def saved(tmp_path, encoder):
    path = tmp_path / "m.safetensors"
    save_weights(Weights(space_of("tiny", encoder), encoder, decoder()), path)
    return path


def rewrite(path, change=lambda tensors: None, **metadata):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        old = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {**old, **metadata})


def test_a_changed_encoder_is_noticed(saved):
    rewrite(saved, lambda tensors: tensors["encoder.conv1_2.bias"].add_(1))
    with pytest.raises(WeightsError, match="damaged or was changed"):
        load_weights(saved)


def test_a_missing_tensor_is_named(saved):
    rewrite(saved, lambda tensors: tensors.pop("decoder.conv2_1.weight"))
    with pytest.raises(WeightsError, match=r"conv2_1.weight"):
        load_weights(saved)


def test_numbers_that_are_not_finite_are_refused(saved):
    rewrite(saved, lambda tensors: tensors["decoder.conv2_1.bias"].fill_(torch.nan))
    with pytest.raises(WeightsError, match="not finite"):
        load_weights(saved)


@pytest.mark.parametrize(
    "metadata",
    [
        {"widths": "8,12"},
        {"widths": "8,12,16,x"},
        {"widths": "8,12,16,999999999"},
        {"decoder": "add-x"},
        {"kind": "cat"},
    ],
)
def test_damaged_metadata_is_refused(saved, metadata):
    rewrite(saved, **metadata)
    with pytest.raises(WeightsError, match=str(saved)):
        load_weights(saved)


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 100, b"not a safetensors file at all"])
def test_what_is_no_safetensors_file_is_refused(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable"):
        load_weights(path)


def test_a_truncated_file_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="not a readable"):
        load_weights(saved)


def test_another_programs_safetensors_file_is_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="no weights file of this package"):
        load_weights(tmp_path / "x.safetensors")


def test_a_failed_write_leaves_the_old_file_and_no_other(saved, encoder, monkeypatch):
    before = saved.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        save_weights(Weights("s", encoder), saved)
    assert saved.read_bytes() == before and list(saved.parent.iterdir()) == [saved]


def test_a_damaged_file_is_passed_over_in_the_search_for_an_encoder_with_one_warning(tmp_path, encoder, caplog):
    space = space_of("e", encoder)
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 100)
    save_weights(Weights(space, decoder=decoder()), tmp_path / "decoder.safetensors")
    save_weights(Weights(space, encoder), tmp_path / "whole.safetensors")
    for _ in range(2):
        assert load_model(tmp_path / "decoder.safetensors").space == space
    (message,) = caplog.messages
    assert f"{tmp_path / 'broken.safetensors'} is not a readable .safetensors file" in message


def test_an_encoder_comes_alone_with_a_decoder_or_by_the_space_of_one(tmp_path, encoder):
    space = space_of("e", encoder)
    for name, weights in {
        "encoder": Weights(space, encoder),
        "model": Weights(space, encoder, decoder()),
        "decoder": Weights(space, decoder=decoder()),
    }.items():
        save_weights(weights, tmp_path / f"{name}.safetensors", torch.float32)
        found, its_space = load_encoder(tmp_path / f"{name}.safetensors")
        assert its_space == space and torch.equal(found.conv1_1.weight, encoder.conv1_1.weight)


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        ({"foo": torch.zeros(1)}, {}, "has 'foo', which"),
        ({"conv1_1.bias": None}, {}, r"lacks 'conv1_1\.bias', which"),
        ({"conv1_1.bias": torch.zeros(3)}, {}, r"'conv1_1\.bias' has the shape \(3,\), expected \(8,\)"),
        ({}, {"space": ""}, "names no space"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, encoder, change, metadata, message):
    path = tmp_path / "e.safetensors"
    save_weights(Weights("s", encoder), path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata() | metadata
    tensors = {key: x for key, x in (load_file(path) | change).items() if x is not None}
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsError, match=message):
        load_weights(path)


def test_the_study_has_a_small_decoder_for_all_that_it_compares():
    models = {name.removeprefix("study-"): load_model(name) for name in embedded_models() if name.startswith("study-")}
    kinds = [f"{join}-{source}" for join in ("add", "concat") for source in ("content", "style", "both")]
    skips = {kind: kind for kind in ("plain", *kinds, "concat-content-adain")}
    others = [*(f"style-weight-{weight}" for weight in (1, 5, 20)), "pre-normalized"]
    normalizations = [f"norm-{kind}" for kind in ("batch", "instance", "conditional")]
    expected = skips | dict.fromkeys((*others, *normalizations), "plain")
    assert {name: str(model.decoder.skips) for name, model in models.items()} == expected
    assert {name for name, model in models.items() if model.decoder.style_inside} == {"norm-batch"}
    assert len({model.space for name, model in models.items() if name != "pre-normalized"}) == 1
    assert len({model.encoder.widths for model in models.values()}) == 1
    assert len({json.loads(model.info["training"])["steps"] for model in models.values()}) == 1
    for model in models.values():
        assert sum(p.numel() for p in model.decoder.parameters()) * 2 < 1.3e6
        assert sum(p.numel() for p in model.encoder.parameters()) * 2 < 2e6


@pytest.mark.parametrize("kind", ["plain", "concat-content-adain"])
def test_vgg19_has_a_decoder_at_its_own_width(kind):
    weights = load_weights(EMBEDDED / f"vgg19-{kind}.safetensors")
    assert (weights.space, weights.encoder, str(weights.decoder.skips)) == (VGG19_NORMALIZED, None, kind)
    assert weights.decoder.widths == VGG19_WIDTHS


def test_an_empty_name_is_no_model():
    with pytest.raises(WeightsError, match="There is no model ''"):
        resolve("")
