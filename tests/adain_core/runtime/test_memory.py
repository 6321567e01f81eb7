from __future__ import annotations

import pytest
import torch

from adain_core.images.pictures import resize
from adain_core.images.sheets import contact_sheet
from adain_core.runtime import memory
from adain_core.runtime.memory import check_fits
from tests.helpers import random_picture, tiny_model


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 12 MiB left."""
    monkeypatch.setattr(memory, "available_memory", lambda device: 12 * 2**20)


@pytest.mark.usefixtures("little")
def test_a_request_is_compared_with_the_memory_before_the_work() -> None:
    check_fits(12 * 2**20, torch.device("cpu"), "It")
    with pytest.raises(ValueError, match="It would need"):
        check_fits(12 * 2**20 + 1, torch.device("cpu"), "It")
    with pytest.raises(
        ValueError, match=r"^It would need about 1\.0 GiB of memory, but 0\.0 GiB are free; use a smaller"
    ):
        check_fits(2**30, torch.device("cpu"), "It")


@pytest.mark.usefixtures("little")
def test_a_picture_larger_than_the_memory_is_refused_by_its_size() -> None:
    picture = random_picture(16, 16)
    assert resize(picture, (512, 512)).shape == (1, 3, 512, 512)
    with pytest.raises(ValueError, match=r"^A picture of 2048 x 1024 pixels would need about"):
        resize(picture, (1024, 2048))


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("option", ["size", "style_size"])
def test_sizes_that_users_ask_for_are_held_to_the_memory(option: str) -> None:
    with pytest.raises(ValueError, match=r"^A picture of 9000 x 9000 pixels would need"):
        tiny_model()(random_picture(16, 16), random_picture(16, 16), **{option: 9000})


@pytest.mark.usefixtures("little")
def test_a_contact_sheet_too() -> None:
    rows = [[torch.rand(1, 3, 4, 4)] * 8] * 8
    assert contact_sheet(rows, [""] * 8, [""] * 8, cell=16).shape[0] == 1
    with pytest.raises(ValueError, match="contact sheet of 8 x 8 pictures of 2048 pixels would need"):
        contact_sheet(rows, [""] * 8, [""] * 8, cell=2048)
