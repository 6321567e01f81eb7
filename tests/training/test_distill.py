"""The warm start of a small encoder and decoder, or of a decoder alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adain_core.models.weights import EMBEDDED, load_weights
from adain_core.pipeline.transfer import StyleTransfer
from tests.helpers import random_picture
from training import distill, fit


@pytest.fixture
def teacher(data: Path, tmp_path: Path, fit_arguments: Callable[..., list[str]]) -> Path:
    assert fit.main(fit_arguments(tmp_path / "teacher", "steps=1")) == 0
    return tmp_path / "teacher" / "teacher.safetensors"


@pytest.fixture
def arguments(data: Path, tmp_path: Path, teacher: Path) -> list[str]:
    """Arguments of a run of a few small steps, but for the encoder."""
    folders = ["--content", str(data / "content"), "--style", str(data / "style")]
    sizes = ["--steps", "4", "--batch", "2", "--crop", "32", "--workers", "0"]
    return [*folders, *sizes, "--out", str(tmp_path / "out.safetensors"), "--teacher-decoder", str(teacher)]


def test_a_small_pair_learns_from_a_teacher(
    arguments: list[str], teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments += ["--widths", "4,4,8,8"]
    assert distill.main([*arguments, "--teacher-encoder", str(teacher)]) == 0
    model = StyleTransfer.from_pretrained(tmp_path / "out.safetensors", device="cpu")
    assert model.encoder.widths == (4, 4, 8, 8)
    assert model(random_picture(32, 32), random_picture(32, 32, seed=1)).isfinite().all()
    assert distill.main([*arguments, "--teacher-encoder", "no.safetensors"]) == 2
    assert "no.safetensors" in capsys.readouterr().err


def test_the_losses_fall(
    arguments: list[str], teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments += ["--widths", "8,8,16,16", "--teacher-encoder", str(teacher)]
    last = []
    for steps in ("1", "60"):
        assert distill.main([*arguments, "--steps", steps]) == 0
        *_, line = capsys.readouterr().out.splitlines()
        words = line.split()
        last.append({name: float(words[words.index(name) + 1]) for name in ("inversion", "relu3_1", "relu4_1")})
    assert all(last[1][name] < 0.8 * last[0][name] for name in last[0]), last


@pytest.mark.parametrize("kind", ["study-add-content", "lite"])
def test_a_teacher_with_skips_is_refused(kind: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    decoder = EMBEDDED / f"{kind}.safetensors"
    assert distill.main([*arguments, "--teacher-encoder", str(decoder), "--teacher-decoder", str(decoder)]) == 2
    assert "name a plain decoder" in capsys.readouterr().err


def test_a_decoder_alone_learns_for_the_teachers_encoder(
    arguments: list[str], teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert distill.main([*arguments, "--teacher-encoder", str(teacher), "--keep-encoder"]) == 0
    assert "relu4_1" not in capsys.readouterr().out
    learned = load_weights(tmp_path / "out.safetensors")
    assert learned.encoder is None
    assert learned.space == load_weights(teacher).space
    model = StyleTransfer.from_pretrained(teacher, tmp_path / "out.safetensors", device="cpu")
    assert model(random_picture(32, 32), random_picture(32, 32, seed=1)).isfinite().all()
