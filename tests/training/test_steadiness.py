"""What a steady decoder does not show: noise, and where its crop begins."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers import random_picture
from training.steadiness import unsteadiness


def smooth_picture(batch: int = 2) -> Tensor:
    return F.interpolate(random_picture(6, 6, batch=batch), size=(48, 64), mode="bicubic").clamp(0, 1)


def unsteadiness_of(stylize, content: Tensor, numbers: tuple[int, ...] = (3, 4)) -> float:
    return unsteadiness(stylize, content, stylize(content), numbers).item()


def test_what_each_pixel_becomes_by_itself_differs_by_the_noise_alone() -> None:
    assert unsteadiness_of(lambda x: 1 - x, smooth_picture()) == pytest.approx(0.02**2, rel=0.3)
    assert unsteadiness_of(lambda x: 0 * x + 0.5, smooth_picture()) < 1e-10


def test_a_pattern_that_stands_still_while_the_content_moves_is_unsteady() -> None:
    pattern = 0.3 * random_picture(48, 64, seed=5)
    assert unsteadiness_of(lambda x: 0.7 * x + pattern, smooth_picture()) > 2 * 0.02**2


def test_noise_that_is_smoothed_away_is_steady_and_noise_that_is_amplified_is_not() -> None:
    plain, smoothed, sharpened = (
        unsteadiness_of(stylize, smooth_picture())
        for stylize in (
            lambda x: x,
            lambda x: F.avg_pool2d(x, 5, 1, 2, count_include_pad=False),
            lambda x: 4 * x - 3 * F.avg_pool2d(x, 5, 1, 2, count_include_pad=False),
        )
    )
    assert smoothed < 0.3 * plain < plain < 0.2 * sharpened


def test_each_crop_is_moved_by_its_number_whatever_batch_it_is_in() -> None:
    content = smooth_picture()
    single = [unsteadiness_of(torch.sqrt, content[i : i + 1], (number,)) for i, number in enumerate((3, 4))]
    assert unsteadiness_of(torch.sqrt, content) == pytest.approx(sum(single) / 2, rel=1e-4)
    assert unsteadiness_of(torch.sqrt, content[:1], (3,)) != unsteadiness_of(torch.sqrt, content[:1], (4,))


def test_crops_are_shifted_and_scaled_by_a_twentieth_at_most() -> None:
    columns = (2 * torch.arange(64) + 1) / 64 - 1
    ramp, seen = (0.5 + 0.2 * columns).expand(16, 3, 48, 64), []
    unsteadiness(lambda x: seen.append(x) or x, ramp, ramp, range(16))
    columns, places = columns[8:-8], (seen[0].mean(dim=(1, 2))[:, 8:-8] - 0.5) / 0.2  # without the reflected edges
    scales, shifts = (places * columns).mean(dim=1) / columns.square().mean(), places.mean(dim=1)
    assert 0.03 < (scales - 1).abs().max() < 0.06
    assert 0.06 < shifts.abs().max() < 0.11  # of the half side


def test_both_results_are_drawn_to_each_other() -> None:
    content, gain = smooth_picture(), torch.ones(2, requires_grad=True)
    unsteadiness(lambda x: gain[0] * x, content, gain[1] * content, (3, 4)).backward()
    assert gain.grad is not None and (gain.grad.abs() > 1e-6).all()
