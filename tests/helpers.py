"""Pictures and small networks that the tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from adain_core.images.files import read_picture
from adain_core.images.pictures import Picture
from adain_core.models.convert import find_networks
from adain_core.models.spaces import digest
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.networks.skips import Skips
from adain_core.pipeline.transfer import StyleTransfer

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
TINY_WIDTHS = (8, 12, 16, 24)


def tiny_model(skips: str = "plain", space: str = "tiny", dtype: torch.dtype = torch.float32) -> StyleTransfer:
    """A model with small random networks: what holds for it holds for any weights. They keep the contrast, so that
    differences of styles and of statistics and halos show in its pictures."""
    torch.manual_seed(1)
    encoder, decoder = Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS, Skips.parse(skips))
    for module in (encoder, decoder):
        module.eval().requires_grad_(False)
        for parameter in module.parameters():
            if parameter.ndim == 4:
                torch.nn.init.kaiming_normal_(parameter)
            else:
                parameter.zero_()
    decoder.conv1_1.weight.mul_(0.1)
    decoder.conv1_1.bias.fill_(0.5)
    return StyleTransfer(encoder, decoder, space, torch.device("cpu"), dtype)


posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such shell or signal")


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk without room: no file grows beyond so many bytes."""
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def random_picture(height: int, width: int, seed: int = 0, batch: int = 1) -> Tensor:
    """A smooth random picture [B, 3, H, W] in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    return (0.9 * smooth + 0.1 * torch.rand(batch, 3, height, width, generator=generator)).clamp(0, 1)


def through_a_file(path: Path, image: Image.Image, **options: Any) -> Picture:
    """An image as it is read back, after it was saved with Pillow's options."""
    image.save(path, **options)
    return read_picture(path)


def write_jpeg_with_damaged_tags(path: Path) -> None:
    """A turned photograph whose maker is said to be a fraction, on which Pillow fails when it turns it upright."""
    tags = Image.Exif()
    tags.update({0x0112: 6, 0x010F: "maker", 0x0110: 60 * "m"})
    Image.new("RGB", (40, 30), "red").save(path, exif=tags)
    text, fraction = 2, 10
    kind = b"\x01\x0f\x00%c"
    path.write_bytes(path.read_bytes().replace(kind % text, kind % fraction))


def sequential_vgg(widths=TINY_WIDTHS, blocks=5) -> dict[str, torch.Tensor]:
    """A small network of random weights in the layout of ``vgg_normalised.pth``."""
    places = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42)[: 9 if blocks == 4 else 13]
    deepest = widths[3]
    outs = [*[widths[0]] * 2, *[widths[1]] * 2, *[widths[2]] * 4, *[deepest] * 5]
    state = {"0.weight": torch.rand(3, 3, 1, 1), "0.bias": torch.rand(3)}
    for place, out, channels in zip(places, outs, [3, *outs], strict=False):
        state |= {f"{place}.weight": torch.randn(out, channels, 3, 3) / 10, f"{place}.bias": torch.randn(out)}
    return state


def normalized_digest(state: dict[str, torch.Tensor]) -> str:
    """By which the normalized VGG-19 would be known if it were this network."""
    (found,) = find_networks(state)
    return digest({key: x for key, x in found.encoder()[1].items() if key.startswith(("color.", "conv1_1."))})
