"""The warm start of a small encoder and decoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adain_core.pipeline import StyleTransfer
from tests.helpers import random_picture
from training import distil, fit


def test_a_small_pair_learns_from_a_teacher(
    data: Path, tmp_path: Path, fit_arguments: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit.main(fit_arguments(tmp_path / "teacher", "steps=1")) == 0
    teacher = str(tmp_path / "teacher" / "teacher.safetensors")
    folders = [
        "--content",
        str(data / "content"),
        "--style",
        str(data / "style"),
        "--out",
        str(tmp_path / "out.safetensors"),
    ]
    sizes = ["--widths", "4", "4", "8", "8", "--steps", "4", "--batch", "2", "--crop", "32", "--workers", "0"]
    assert distil.main([*folders, "--teacher-encoder", teacher, "--teacher-decoder", teacher, *sizes]) == 0
    model = StyleTransfer.from_pretrained(tmp_path / "out.safetensors", device="cpu")
    assert model.encoder.widths == (4, 4, 8, 8)
    assert model(random_picture(32, 32), random_picture(32, 32, seed=1)).isfinite().all()
    assert distil.main([*folders, "--teacher-encoder", "no.safetensors", "--teacher-decoder", teacher, *sizes]) == 2
    assert "no.safetensors" in capsys.readouterr().err
