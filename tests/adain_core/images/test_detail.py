import pytest
import torch

from adain_core.images.detail import restore_detail, shrink
from adain_core.images.files import read_picture
from adain_core.images.pictures import resize
from adain_core.measure.losses import psnr
from tests.helpers import random_picture, tiny_model


def test_a_result_that_is_the_content_becomes_the_content(examples):
    content = read_picture(examples / "photo_chelsea.jpg").rgb
    work = shrink(content, 100)
    enlarged = resize(work, content.shape[-2:])
    assert psnr(restore_detail(work, work, content), content) > psnr(enlarged, content) + 4


def test_a_negative_brings_back_its_detail_inverted(examples):
    content = read_picture(examples / "photo_chelsea.jpg").rgb
    work = shrink(content, 100)
    enlarged = resize(1 - work, content.shape[-2:])
    assert psnr(restore_detail(1 - work, work, content), 1 - content) > psnr(enlarged, 1 - content) + 4


def test_nothing_happens_at_the_contents_size():
    content, result = random_picture(30, 40), random_picture(30, 40, seed=1)
    assert shrink(content, 30) is content and shrink(content, 500) is content and shrink(content, None) is content
    assert restore_detail(result, content, content) is result


@pytest.mark.parametrize("size", [(64, 90), (1, 50), (3, 3)])
def test_the_result_has_the_contents_size(size):
    model = tiny_model()
    result = model(random_picture(*size), random_picture(32, 32), work_size=16)
    assert result.shape[-2:] == size and result.isfinite().all()


def test_a_flat_picture_stays_flat():
    content = torch.full((1, 3, 64, 64), 0.3)
    torch.testing.assert_close(
        restore_detail(torch.full((1, 3, 16, 16), 0.7), shrink(content, 16), content), content + 0.4
    )


def test_a_working_size_is_positive():
    with pytest.raises(ValueError, match="work_size is 0"):
        tiny_model()(random_picture(16, 16), random_picture(16, 16), work_size=0)


@pytest.mark.parametrize(("span", "factor", "expected"), [(0.4, 3, 1.5), (0.4, -3, -1.5), (0.004, 3, 0)])
def test_detail_is_amplified_by_half_as_much_again_at_most_and_not_where_it_is_noise(span, factor, expected):
    """Where a result has three times its content's contrast, the content's fine lines come back 1.5 times."""
    slope = torch.linspace(0.5 - span / 2, 0.5 + span / 2, 64).expand(1, 3, 64, 64)
    lines = 0.02 * torch.tensor([1.0, -1.0]).repeat(32).view(64, 1)
    content = slope + lines
    work = shrink(content, 16)
    result = restore_detail(0.5 + factor * (work - 0.5).clamp(-0.15, 0.15), work, content)
    inner = result[..., 24:40, 24:40]
    contrast = (inner[..., 0::2, :] - inner[..., 1::2, :]).mean() / 0.04
    assert contrast.item() == pytest.approx(expected, abs=0.03)


def test_a_flat_result_stays_flat_up_to_its_borders():
    content, flat = random_picture(64, 64), torch.full((1, 3, 16, 16), 0.7)
    restored = restore_detail(flat, shrink(content, 16), content)
    torch.testing.assert_close(restored, torch.full_like(content, 0.7), rtol=0, atol=1e-3)


def test_restored_detail_stays_in_range():
    content = (random_picture(64, 64) > 0.5).float()
    work = shrink(content, 16)
    restored = restore_detail(work, work, content)
    assert restored.min() == 0 and restored.max() == 1
