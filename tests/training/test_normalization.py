"""What stands in AdaIN's place, and what inference has for it."""

from __future__ import annotations

import pytest
import torch

from adain_core.networks.decoder import Decoder
from adain_core.networks.normalization import adaptive_instance_norm
from tests.helpers import TINY_WIDTHS
from training.normalization import PACE, LearnedNormalization

CHANNELS = TINY_WIDTHS[-1]


@pytest.fixture
def features() -> torch.Tensor:
    return 3 * torch.rand(4, CHANNELS, 5, 6)


def test_batch_normalization_folds_into_the_decoder(features: torch.Tensor) -> None:
    normalization, decoder = LearnedNormalization("batch", CHANNELS), Decoder(TINY_WIDTHS)
    torch.nn.init.uniform_(normalization.batch.weight)
    torch.nn.init.uniform_(normalization.batch.bias)
    normalization(features, torch.zeros(4, dtype=torch.long))
    normalization.eval()
    expected = decoder(normalization(features, torch.zeros(4, dtype=torch.long)))
    folded = normalization.fold_into(decoder)
    torch.testing.assert_close(folded(features), expected)
    assert folded.style_inside and not decoder.style_inside
    assert not torch.allclose(decoder(features), expected)


def test_learned_pairs_are_styles(features: torch.Tensor) -> None:
    normalization = LearnedNormalization("conditional", CHANNELS, styles=3)
    torch.nn.init.normal_(normalization.gamma)
    torch.nn.init.normal_(normalization.beta)
    chosen = torch.tensor([2, 0, 1, 2])
    result = normalization(features, chosen)
    styles = normalization.styles("space")
    for i, number in enumerate(chosen.tolist()):
        mean, std = styles[number].mean["relu4_1"], styles[number].std["relu4_1"]
        assert (std >= 0).all()
        torch.testing.assert_close(result[i : i + 1], adaptive_instance_norm(features[i : i + 1], mean, std))


def test_instance_normalization_has_one_pair_for_all_styles(features: torch.Tensor) -> None:
    normalization = LearnedNormalization("instance", CHANNELS)
    one, other = (normalization(features, torch.full((4,), number)) for number in (0, 3))
    torch.testing.assert_close(one, other)
    assert len(normalization.styles("space")) == 1


def test_scales_and_shifts_begin_at_one_and_zero_and_move_faster_than_the_rate(features: torch.Tensor) -> None:
    normalization = LearnedNormalization("instance", CHANNELS)
    (style,) = normalization.styles("space")
    assert (style.std["relu4_1"] - 1).abs().max() < 1e-6 and not style.mean["relu4_1"].any()
    optimizer = torch.optim.Adam(normalization.parameters(), lr=1e-3)
    (normalization(features, torch.zeros(4, dtype=torch.long)) - 5).square().sum().backward()
    optimizer.step()
    (style,) = normalization.styles("space")
    torch.testing.assert_close(style.mean["relu4_1"], torch.full((1, CHANNELS, 1, 1), 1e-3 * PACE))
