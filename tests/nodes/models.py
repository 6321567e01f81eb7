"""Small models of random weights in the fake's ``models/adain``, and pictures as ComfyUI has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adain_core.models.weights import Weights, save_weights
from adain_core.networks.convolution import Conv3x3
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.networks.skips import Skips
from tests.helpers import TINY_WIDTHS, random_picture

OWN_DECODER = "the model's own"


@torch.no_grad()
def save_model(name: str, space: str = "tiny", skips: str = "plain", parts: str = "both", seed: int = 0) -> str:
    """Write a model, or the encoder or the decoder alone, and give its name in the loader."""
    import folder_paths

    torch.manual_seed(seed)
    encoder, decoder = Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS, Skips.parse(skips))
    for conv in (m for network in (encoder, decoder) for m in network.modules() if isinstance(m, Conv3x3)):
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    # Pictures around a middle gray: were all values clamped to black, any two would be equal.
    decoder.conv1_1.weight.mul_(0.1)
    decoder.conv1_1.bias.fill_(0.5)
    weights = Weights(space, encoder if parts != "decoder" else None, decoder if parts != "encoder" else None)
    save_weights(weights, Path(folder_paths.models_dir) / "adain" / name, torch.float32)
    return name


def load(comfy: Any, name: str, decoder: str = OWN_DECODER, precision: str = "float32", hub_address: str = "") -> Any:
    """What Load AdaIN Model gives."""
    inputs = {"model": name, "decoder": decoder, "precision": precision, "hub_address": hub_address}
    return comfy.call("AdaINModelLoader", **inputs)[0]


def image(height: int = 40, width: int = 56, seed: int = 0, batch: int = 1, channels: int = 3) -> Tensor:
    """An IMAGE [B, H, W, C]."""
    rgb = random_picture(height, width, seed, batch).movedim(1, -1)
    if channels == 3:
        return rgb.contiguous()
    return torch.cat([rgb, torch.linspace(0, 1, width).expand(batch, height, width)[..., None]], dim=-1)
