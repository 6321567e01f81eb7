"""The core with the public AdaIN weights, where they are at hand: the pictures that everyone knows, and those of this
project's own decoders for the same encoder."""

import pytest
import torch

from adain_core.images.files import read_picture
from adain_core.images.pictures import scale_short_side
from adain_core.measure.losses import content_loss, style_losses
from adain_core.models.presets import VGG19_NORMALIZED
from adain_core.models.weights import load_model
from adain_core.networks.encoder import STYLE_TAPS
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats
from tests.helpers import SHARED


@pytest.mark.parametrize("decoder", ["public", "vgg19-plain", "vgg19-concat-content-adain"])
def test_a_decoder_of_vgg19_gives_a_good_adain_picture(reference, decoder):
    folder = SHARED / "data" / "eval_public"
    if not folder.is_dir():
        pytest.skip("the evaluation pictures are not on this machine")
    path = reference / "adain_decoder.safetensors" if decoder == "public" else decoder
    weights = load_model(reference / "vgg_normalised_relu4_1.safetensors", path)
    assert weights.space == VGG19_NORMALIZED
    model = StyleTransfer(weights.encoder, weights.decoder, weights.space, torch.device("cpu"))
    content, style = (
        scale_short_side(read_picture(min((folder / kind).glob("*.jpg"))).rgb, 256) for kind in ("content", "style")
    )
    result = model(content, style)

    with torch.no_grad():
        goal = StyleStats.measure(model.encoder(style, STYLE_TAPS), "")
        target = model.blend(model.encode(content), model.compute_style_stats(style)).current

        def losses(picture: torch.Tensor) -> tuple[float, float]:
            features = model.encoder(picture, STYLE_TAPS)
            style_loss = sum(style_losses(features, goal).values())
            return content_loss(features["relu4_1"], target).item(), style_loss.item()

        assert losses(result)[0] < (1 if decoder == "public" else 1.5) * losses(content)[0]
        assert losses(result)[1] < 0.25 * losses(content)[1]
