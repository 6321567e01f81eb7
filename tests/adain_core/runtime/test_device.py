from __future__ import annotations

import pytest
import torch

from adain_core.runtime import device
from adain_core.runtime.device import DeviceError, resolve_device, resolve_dtype


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((8, 9), torch.bfloat16), ((9, 0), torch.bfloat16)],
)
def test_graphics_cards_compute_in_bfloat16_from_capability_8_on(
    capability: tuple[int, int], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    device._is_faster_in_bfloat16.cache_clear()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert resolve_dtype("auto", torch.device("cuda", 0)) == expected
    device._is_faster_in_bfloat16.cache_clear()


@pytest.mark.parametrize(("seconds", "expected"), [(0.7, torch.bfloat16), (0.9, torch.float32), (1.1, torch.float32)])
def test_a_cpu_computes_in_bfloat16_where_that_takes_clearly_less_time(
    seconds: float, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    device._is_faster_in_bfloat16.cache_clear()
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    monkeypatch.setattr(device, "_matmul_seconds", {torch.float32: 1.0, torch.bfloat16: seconds}.__getitem__)
    assert resolve_dtype("auto", torch.device("cpu")) == expected
    device._is_faster_in_bfloat16.cache_clear()


def test_a_dtype_by_name_is_taken_as_it_is() -> None:
    assert resolve_dtype("float16", torch.device("cpu")) == torch.float16
    with pytest.raises(DeviceError, match="'int8' is no dtype; expected auto, float32"):
        resolve_dtype("int8", torch.device("cpu"))


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match="'tpu' cannot be used here"):
        resolve_device("tpu")


@pytest.mark.gpu
def test_a_graphics_card_is_what_auto_means() -> None:
    assert resolve_device("auto").type == "cuda"
