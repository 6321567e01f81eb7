"""The lineage of the embedded models: complete, valid, and replayed by one command."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, embedded_models, load_model, load_weights, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.pipeline.transfer import StyleTransfer
from tests.helpers import TINY_WIDTHS, random_picture
from training import average, chroma, fit, remake
from training.recipe import load_recipe

SMALL = """
[[first]]
do = "fit"
recipe = "lite"

[[first]]
do = "distill"
options = {{ widths = "4,4,8,8", teacher-encoder = "{teacher}", teacher-decoder = "{teacher}", steps = 2, crop = 32 }}

[[second]]
do = "resize"
start = "first:1"
options = {{ decoder = "add-content", pairs = 2, crop = 32 }}

[[second]]
do = "fit"
recipe = "study-encoder"
options = {{ decoder = "add-content", style_weight = 3.0 }}
note = "in a hurry"

[[second]]
do = "chroma"
options = {{ share = 0.7 }}
"""


def test_every_embedded_model_has_its_lineage() -> None:
    assert set(embedded_models()) <= remake.read_lineage().keys()


@pytest.mark.parametrize("name", sorted(remake.read_lineage()))
def test_every_stage_has_a_command_that_takes_it(name: str, tmp_path: Path) -> None:
    lineage = remake.read_lineage()
    args = remake.parse_arguments([name, "--content", "photos", "--style", "paintings", "--out", str(tmp_path)])
    known: set[str] = set()
    for model, number in remake.plan(lineage, name):
        stage, arguments = lineage[model][number - 1], remake.arguments_of(args, lineage, model, number)
        parsed = remake.COMMANDS[stage.do].parse_arguments(arguments)
        starts = [getattr(parsed, key, None) for key in ("model", "start", "before", "after")]
        if stage.do == "fit":
            starts = [load_recipe(parsed.recipe, parsed.set).start]
        assert known.issuperset(filter(None, starts)), "a stage begins with what earlier ones have left"
        known.add(str(remake.result_of(tmp_path, lineage, model, number)))
    assert str(tmp_path / name / f"{name}.safetensors") in known


def test_the_stages_have_the_steps_that_the_notes_count() -> None:
    notes = (remake.LINEAGE.parent / "results" / "NOTES.md").read_text(encoding="utf-8")
    lineage = remake.read_lineage()
    for name, steps in (
        ("vgg19-plain", 63_664),
        ("vgg19-concat-content-adain", 67_671),
    ):
        assert f"{steps:,}" in notes
        stages = [lineage[model][number - 1] for model, number in remake.plan(lineage, name)]
        in_recipes = [load_recipe(stage.recipe, []).steps if stage.do == "fit" else 0 for stage in stages]
        assert sum(stage.options.get("steps", n) for stage, n in zip(stages, in_recipes, strict=True)) == steps


def test_a_lineage_is_replayed_and_goes_on_after_a_break(
    tmp_path: Path, data: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(SMALL.format(teacher=run / "paper.safetensors"))
    monkeypatch.setattr(remake, "LINEAGE", tmp_path / "small.toml")
    changes = ["steps=2", "crop=32", "size=[40,64]", "batch_size=2", "workers=0", f"widths={list(TINY_WIDTHS)}"]
    changes.append(f"loss_network={data / 'loss.safetensors'}")
    settings = [part for change in changes for part in ("--set", change)]
    folders = ["--content", str(data / "content"), "--style", str(data / "style"), "--out", str(tmp_path / "out")]
    arguments = ["second", *folders, *settings, "--device", "cpu"]
    assert remake.main([*arguments, "--minutes", "0"]) == fit.OUT_OF_TIME
    assert "The same command goes on" in capsys.readouterr().err
    assert remake.main(arguments) == 0
    said = capsys.readouterr().err
    assert "4 of 4: second, stage 3, chroma" in said and "stage 2, fit study-encoder (in a hurry)" in said
    assert not (tmp_path / "out" / "first").exists()  # its second stage leads nowhere here
    model = StyleTransfer.from_pretrained(tmp_path / "out" / "second" / "second.safetensors", device="cpu")
    assert str(model.decoder.skips) == "add-content" and model.encoder.widths == TINY_WIDTHS
    assert model(random_picture(32, 32), random_picture(32, 32, seed=1)).isfinite().all()
    decoders = [
        load_weights(tmp_path / "out" / name / f"{name}.safetensors").decoder for name in ("second-2", "second")
    ]
    chroma.smooth_chroma(decoders[0], 0.7)
    assert torch.equal(decoders[0].conv1_1.weight, decoders[1].conv1_1.weight)

    assert remake.main(["first", *arguments[1:]]) == 0
    assert load_weights(tmp_path / "out" / "first" / "first.safetensors").encoder.widths == (4, 4, 8, 8)
    assert remake.main(["first", *arguments[1:]]) == 0
    assert "1 of 2" not in capsys.readouterr().err.split("Done")[-1]


def test_an_average_lies_between_two_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / f"{name}.safetensors" for name in ("before", "after", "other")]
    for seed, (path, widths) in enumerate(zip(files, (TINY_WIDTHS, TINY_WIDTHS, (4, 4, 8, 12)), strict=True)):
        torch.manual_seed(seed)
        encoder, decoder = Encoder(widths), Decoder(widths)
        save_weights(Weights(space_of(path.stem, encoder), encoder, decoder), path, torch.float32)
    options = ["--before", str(files[0]), "--out", str(tmp_path / "out.safetensors")]
    assert average.main([*options, "--after", str(files[1]), "--share", "0.75"]) == 0
    before, after, between = map(load_model, [*files[:2], tmp_path / "out.safetensors"])
    for part in ("encoder", "decoder"):
        old, new, found = (getattr(model, part).state_dict() for model in (before, after, between))
        for key in found:
            torch.testing.assert_close(found[key], 0.25 * old[key] + 0.75 * new[key])
    capsys.readouterr()
    assert average.main([*options, "--after", str(files[2])]) == 2
    assert "differ in their layers" in capsys.readouterr().err
    assert average.main([*options, "--after", str(files[1]), "--share", "1.5"]) == 2
    assert "expected a number from 0 to 1" in capsys.readouterr().err


def test_smooth_chroma_leaves_luminance_alone() -> None:
    decoder = Decoder(TINY_WIDTHS).requires_grad_(False)
    features = torch.rand(1, TINY_WIDTHS[3], 4, 4)
    before = decoder(features)
    chroma.smooth_chroma(decoder, 1.0)
    after = decoder(features)
    torch.testing.assert_close(after.mean(dim=1), before.mean(dim=1))
    weight = decoder.conv1_1.weight
    assert (weight - weight.mean(dim=0)).std(dim=(2, 3)).max() < 1e-6
    assert not torch.allclose(after, before)


def test_a_model_that_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        remake.main(["papers", "--content", "c", "--style", "s"])
    assert stop.value.code == 2
    assert "lite-large" in capsys.readouterr().err
