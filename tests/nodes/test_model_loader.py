"""Load AdaIN Model."""

import os
from pathlib import Path

import pytest
import torch

from adain_core.models.weights import embedded_models
from tests.nodes.models import OWN_DECODER, image, load, save_model


def options(comfy, name):
    return comfy.nodes["AdaINModelLoader"].info()["input"]["required"][name][1]["options"]


def workflow(model, decoder=OWN_DECODER, picture=None):
    loader = {"model": model, "decoder": decoder, "precision": "float32"}
    return {
        "1": {"class_type": "AdaINModelLoader", "inputs": loader},
        "2": {"class_type": "LoadImage", "inputs": {"image": picture}},
        "3": {"class_type": "AdaINEncode", "inputs": {"model": ["1", 0], "image": ["2", 0]}},
        "4": {"class_type": "AdaINDecode", "inputs": {"model": ["1", 0], "features": ["3", 0]}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
    }


@pytest.fixture
def folder():
    import folder_paths

    return Path(folder_paths.models_dir) / "adain"


@pytest.fixture
def picture(comfy):
    import folder_paths
    from PIL import Image

    Image.linear_gradient("L").resize((40, 32)).save(Path(folder_paths.get_input_directory()) / "p.png")
    return "p.png"


def test_it_lists_the_files_that_are_there_at_the_time(comfy, folder):
    before = options(comfy, "model")
    save_model("sub/mine.safetensors")
    (folder / "notes.pth").write_bytes(b"x")
    assert set(options(comfy, "model")) - set(before) == {"sub/mine.safetensors"}
    assert {OWN_DECODER, *embedded_models(), "sub/mine.safetensors"} == set(options(comfy, "decoder"))
    (folder / "sub" / "mine.safetensors").unlink()
    assert options(comfy, "model") == before


@pytest.mark.parametrize("name", ["../tiny.safetensors", "/etc/passwd", "gone.safetensors", ""])
def test_a_name_that_is_not_listed_is_refused_before_and_during_execution(comfy, folder, name):
    save_model("tiny.safetensors")
    save_model("../tiny.safetensors")
    answer = comfy.nodes["AdaINModelLoader"].validate_inputs(model=name)
    assert f"'model' is '{name}'" in answer and "tiny.safetensors" in answer
    with pytest.raises(ValueError, match="not there"):
        load(comfy, name)


def test_a_missing_model_stops_the_workflow_before_it_runs(comfy, picture):
    import execution

    with pytest.raises(execution.InvalidWorkflow, match=r"'model' is 'gone\.safetensors'.*models/adain; press R"):
        comfy.run(workflow("gone.safetensors", picture=picture))


def test_a_missing_decoder_is_refused_by_the_loader(comfy, picture):
    with pytest.raises(ValueError, match=r"'decoder' is 'gone\.safetensors'; expected one of: the model's own, lite"):
        comfy.run(workflow(save_model("tiny.safetensors"), "gone.safetensors", picture))
    assert comfy.executed == []


def test_a_second_queue_runs_nothing_and_a_replaced_file_is_noticed(comfy, folder, picture):
    wf = workflow(save_model("tiny.safetensors"), picture=picture)
    first = comfy.run(wf)["5"].ui.image
    assert comfy.executed == ["1", "2", "3", "4", "5"]
    comfy.run(wf)
    assert comfy.executed == []
    save_model("tiny.safetensors", seed=1)
    second = comfy.run(wf)["5"].ui.image
    assert comfy.executed == ["1", "3", "4", "5"]
    assert not torch.equal(first, second)


def test_a_connected_choice_is_left_out_of_the_fingerprint(comfy):
    fingerprint = comfy.nodes["AdaINModelLoader"].fingerprint_inputs
    model, decoder = save_model("model.safetensors"), save_model("decoder.safetensors", parts="decoder", seed=1)
    whole = fingerprint(model=model, decoder=decoder, precision="auto", hub_address="")
    assert len(whole) == 2
    assert fingerprint(model=model, decoder=None, precision=None, hub_address=None) == whole[:1]
    assert fingerprint(model=None, decoder=decoder, precision="auto", hub_address="") == whole[1:]
    assert fingerprint(model=None, decoder=OWN_DECODER, precision="auto", hub_address="") == []
    assert fingerprint(model=None, decoder=None, precision="auto", hub_address=" hf://a/b/c ") == ["hf://a/b/c"]
    assert fingerprint(model=None, decoder=decoder, hub_address="hf://a/b/c") == ["hf://a/b/c", *whole[1:]]


def test_weights_are_read_again_only_when_their_content_changes(comfy, folder):
    model = load(comfy, save_model("tiny.safetensors"))
    os.utime(folder / "tiny.safetensors", (1, 1))
    assert load(comfy, "tiny.safetensors") is model
    assert load(comfy, "tiny.safetensors", precision="bfloat16") is not model
    save_model("tiny.safetensors", seed=1)
    assert load(comfy, "tiny.safetensors") is not model


def test_the_four_models_that_were_used_last_stay_loaded(comfy):
    names = [save_model(f"{i}.safetensors", seed=i) for i in range(5)]
    models = [load(comfy, name) for name in (*names[:4], names[0], names[4])]
    assert models[4] is models[0] is load(comfy, names[0])
    assert load(comfy, names[1]) is not models[1]


@pytest.mark.parametrize("fit", [True, False])
def test_on_a_graphics_card_auto_is_comfyuis_own_judgment(pack, monkeypatch, fit):
    from comfy import model_management

    monkeypatch.setattr(model_management, "get_torch_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(model_management, "should_use_bf16", lambda device: fit)
    assert pack.nodes.models._dtype("auto") == (torch.bfloat16 if fit else torch.float32)


def test_the_precision_is_that_of_the_convolutions(comfy):
    name = save_model("tiny.safetensors")
    for precision in ("float32", "bfloat16", "float16"):
        decoder = load(comfy, name, precision=precision).networks.decoder
        assert next(decoder.parameters()).dtype == getattr(torch, precision)


def test_a_decoder_alone_finds_its_encoder_beside_it(comfy):
    save_model("encoder.safetensors", parts="encoder")
    model = load(comfy, save_model("decoder.safetensors", parts="decoder"))
    assert model.space == "tiny"


def test_another_decoder_for_the_same_encoder(comfy):
    model = load(comfy, save_model("a.safetensors"), save_model("b.safetensors", skips="concat-content"))
    assert str(model.networks.decoder.skips) == "concat-content"


def test_a_model_with_another_decoder_is_named_after_both(comfy):
    model, decoder = save_model("one.safetensors"), save_model("other.safetensors", parts="decoder", seed=1)
    assert load(comfy, model).name == model
    assert load(comfy, model, decoder).name == f"{model} + {decoder}"


def test_a_decoder_of_another_space_is_refused_by_name(comfy):
    with pytest.raises(
        ValueError, match=r"Choose a 'decoder' for .* 'model' belongs to the space tiny, 'decoder' to other"
    ):
        load(comfy, save_model("a.safetensors"), save_model("b.safetensors", space="other"))


def test_weights_go_through_comfyuis_model_management(comfy, tiny):
    from comfy import model_management

    comfy.call("AdaINEncode", model=tiny, image=image())
    assert model_management.loaded == [tiny.patcher] and model_management.whole[-1]
