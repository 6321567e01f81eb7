from collections.abc import Iterable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from adain_core.films.smoothing import (
    Mask,
    StatisticsFilter,
    StyleOverTime,
    StyleTimeline,
    change,
    stylize_film,
)
from adain_core.images.files import read_picture
from adain_core.images.pictures import scale_short_side
from adain_core.measure.flicker import flicker
from adain_core.measure.losses import style_losses
from adain_core.options import FilmOptions, Options
from adain_core.pipeline.steps import Steps
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.styles.stats import StyleStats
from adain_core.styles.transforms import TRANSFORMS
from tests.helpers import random_picture, tiny_model


def stylize_frames(
    model: Steps,
    frames: Iterable[Tensor],
    style: StyleOverTime | None,
    mask: Mask | None = None,
    regions: Sequence[tuple[Mask, StyleStats]] = (),
    smoothing: float = FilmOptions.smoothing,
    cut: float = FilmOptions.cut,
    **options: object,
) -> Iterator[Tensor]:
    layers = [] if style is None else [(style, mask)]
    layers += [(region_style, where) for where, region_style in regions]
    return stylize_film(model, frames, layers, Options(**options), FilmOptions(smoothing, cut))


def stats(mean: float, std: float = 1.0) -> StyleStats:
    return StyleStats({"relu4_1": torch.full((1, 4, 1, 1), mean)}, {"relu4_1": torch.full((1, 4, 1, 1), std)}, "s")


def test_smoothing_is_exponential_and_carries_over_batches():
    smooth = StatisticsFilter(FilmOptions(0.75, cut=100.0))
    first = smooth(StyleStats.stack([stats(0.0), stats(1.0)]))
    second = smooth(stats(1.0))
    assert first.mean["relu4_1"][:, 0].flatten().tolist() == [0.0, 0.25]
    assert second.mean["relu4_1"][0, 0].item() == pytest.approx(0.25 * 0.75 + 0.25)


def test_statistics_start_anew_at_a_cut():
    smooth = StatisticsFilter(FilmOptions(0.9, cut=0.5))
    smooth(stats(0.0))
    assert smooth(stats(0.4)).mean["relu4_1"][0, 0].item() == pytest.approx(0.04)
    assert smooth(stats(2.0)).mean["relu4_1"][0, 0].item() == 2.0
    assert smooth(stats(2.5)).mean["relu4_1"][0, 0].item() == pytest.approx(2.05)  # no more than that is none


def test_a_slow_change_is_no_cut_however_far_what_is_smoothed_lags_behind():
    smooth = StatisticsFilter(FilmOptions(0.9, cut=0.5))
    values = [smooth(stats(mean)).mean["relu4_1"][0, 0].item() for mean in (0.0, 0.4, 0.8)]
    assert values == pytest.approx([0, 0.04, 0.116])


def test_change_is_in_standard_deviations():
    assert change(stats(1.0, 2.0), stats(2.0, 2.0)) == pytest.approx(0.5)
    assert change(stats(1.0, 1.0), stats(1.0, 3.0)) == pytest.approx(1.0)


def test_different_photos_are_a_cut(examples):
    model = StyleTransfer.from_pretrained("lite", device="cpu", dtype="float32")
    pictures = [scale_short_side(read_picture(path).rgb, 96) for path in sorted(examples.glob("photo_*.jpg"))]
    measured = [model.compute_content_stats(model.encode(picture)) for picture in pictures]
    smooth = StatisticsFilter(FilmOptions())
    for one in measured:
        assert torch.equal(smooth(one).mean["relu4_1"], one.mean["relu4_1"])


def test_styles_change_over_time():
    timeline = StyleTimeline([1.0, 3.0], [stats(0.0), stats(4.0)])
    values = [timeline.at(time).mean["relu4_1"][0, 0].item() for time in (0, 1, 1.5, 3, 9)]
    assert values == [0, 0, 1, 4, 4]


@pytest.mark.parametrize("times", [[], [1.0], [2.0, 1.0], [1.0, 1.0], [0.0, float("nan")]])
def test_times_that_do_not_rise_are_refused(times):
    with pytest.raises(ValueError, match="times"):
        StyleTimeline(times, [stats(0.0), stats(1.0)])


@pytest.mark.parametrize("options", [{"smoothing": 1.0}, {"smoothing": -0.1}, {"cut": 0.0}])
def test_arguments_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        FilmOptions(**options)


@pytest.mark.parametrize("skips", ["plain", "concat-content-adain", "concat-content-transport"])
@pytest.mark.parametrize("masked", [False, True])
def test_frames_without_smoothing_are_pictures_one_by_one(skips, masked):
    model, frames = tiny_model(skips), random_picture(40, 48, batch=3)
    style, mask = model.compute_style_stats(random_picture(32, 32, seed=1)), None
    if masked:
        mask = torch.zeros(40, 48)
        mask[:, 20:23] = 1
    result = torch.cat(list(stylize_frames(model, frames.split(2), style, smoothing=0, mask=mask)))
    torch.testing.assert_close(result, model(frames, style, mask=mask), rtol=0, atol=1e-5)


@pytest.mark.parametrize("skips", ["plain", "concat-content-adain", "concat-content-transport"])
def test_batches_make_no_difference(skips):
    model, frames = tiny_model(skips), random_picture(40, 48, batch=4)
    style = model.compute_style_stats(random_picture(32, 32, seed=1))
    options = {"mask": torch.rand(10, 10), "cut": 100.0}
    one, three = (torch.cat(list(stylize_frames(model, frames.split(n), style, **options))) for n in (1, 3))
    torch.testing.assert_close(one, three)
    assert not torch.allclose(one, model(frames, style, mask=options["mask"]), atol=1e-5)


def walking_mask(frames: int, empty: int) -> list[torch.Tensor]:
    """A square that walks to the right over 40 x 48 pixels and is gone in one frame."""
    masks = [torch.zeros(40, 48) for _ in range(frames)]
    for i in range(frames):
        if i != empty:
            masks[i][8:32, 4 * i : 4 * i + 20] = 1.0
    return masks


@pytest.mark.parametrize("skips", ["plain", "concat-content-adain", "concat-content-transport"])
@pytest.mark.parametrize("batch", [1, 3])
def test_what_is_smoothed_is_what_the_mask_shows(skips, batch):
    model, frames, masks = tiny_model(skips), random_picture(40, 48, batch=6), walking_mask(6, empty=2)
    style = model.compute_style_stats(random_picture(32, 32, seed=1))
    result = torch.cat(
        list(stylize_frames(model, frames.split(batch), style, mask=masks.__getitem__, smoothing=0.75, cut=1e3))
    )
    smooth = StatisticsFilter(FilmOptions(0.75, cut=1e3))
    for i, (frame, mask) in enumerate(zip(frames.split(1), masks, strict=True)):
        features = model.encode(frame)
        if i == 2:
            expected = model.decode(features)
        else:
            content = smooth(model.compute_content_stats(features, mask))
            expected = model.decode(model.blend(features, style, 1.0, mask, "adain", content))
        torch.testing.assert_close(result[i : i + 1], expected, atol=1e-5, rtol=0)


def test_regions_have_statistics_of_their_own():
    model, frames = tiny_model("plain"), random_picture(40, 48, batch=3)
    first, second = (model.compute_style_stats(random_picture(32, 32, seed=i)) for i in (1, 2))
    left = torch.zeros(1, 40, 48)
    left[..., :16] = 1.0
    regions = [(left, first), (lambda number: 1 - left, second)]
    for low_memory in (False, True):
        options = {"smoothing": 0.0, "regions": regions, "low_memory": low_memory}
        result = torch.cat(list(stylize_frames(model, frames.split(2), None, **options)))
        expected = model(frames, regions=[(left, first), (1 - left, second)])
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)
    alone = torch.cat(list(stylize_frames(model, frames.split(2), None, regions=regions[:1], cut=1e3)))
    masked = torch.cat(list(stylize_frames(model, frames.split(2), first, mask=left, cut=1e3)))
    assert torch.equal(alone, masked) and not torch.allclose(alone, model(frames, first, mask=left), atol=1e-5)


def test_low_memory_is_that_of_pictures_smoothed_and_said_once(caplog):
    model, frames = tiny_model("concat-content-adain"), random_picture(600, 560, batch=3)
    style, mask = model.compute_style_stats(random_picture(32, 32, seed=1)), torch.rand(9, 9)
    options = {"mask": mask, "tile": 200, "low_memory": True}
    single = model(frames, style, **options)
    caplog.clear()
    rough, smooth = (
        torch.cat(list(stylize_frames(model, frames.split(1), style, smoothing=s, cut=100.0, **options)))
        for s in (0.0, 0.5)
    )
    torch.testing.assert_close(rough, single)
    assert caplog.text.count("approximate") == 2
    torch.testing.assert_close(smooth[:1], rough[:1])
    assert not torch.allclose(smooth[1:], rough[1:], atol=1e-4)


def test_a_style_may_change_with_the_frame():
    model, frames = tiny_model(), random_picture(32, 32).expand(3, -1, -1, -1)
    styles = [model.compute_style_stats(random_picture(32, 32, seed=i)) for i in (1, 2, 3)]
    result = list(stylize_frames(model, frames.split(1), styles.__getitem__))
    for picture, style in zip(result, styles, strict=True):
        torch.testing.assert_close(picture, model(frames[:1], style))


def jumping_block(background: torch.Tensor, frames: int) -> torch.Tensor:
    """A still picture [1, 3, H, W] with a block that jumps about in its left third."""
    film, color = background.repeat(frames, 1, 1, 1), torch.rand(3, 1, 1)
    for frame in film:
        x, y = torch.randint(0, 40, ()), torch.randint(0, frame.shape[1] - 30, ())
        frame[:, y : y + 30, x : x + 40] = color
    return film


@pytest.mark.parametrize("name", ["lite", "lite-large"])
def test_smoothing_lowers_flicker_and_keeps_the_style(examples, name):
    model = StyleTransfer.from_pretrained(name, device="cpu", dtype="float32")
    film = jumping_block(scale_short_side(read_picture(examples / "photo_coffee.jpg").rgb, 112), 10)
    style = model.compute_style_stats(scale_short_side(read_picture(examples / "style_flow.jpg").rgb, 128))

    def flicker_and_loss(smoothing: float) -> tuple[float, float]:
        result = torch.cat(list(stylize_frames(model, film.split(5), style, smoothing=smoothing)))
        with torch.inference_mode():
            features = model.encoder(result, style.mean.keys())
        return flicker(result, film), sum(loss.item() for loss in style_losses(features, style).values())

    (rough, rough_loss), (smooth, smooth_loss) = flicker_and_loss(0.0), flicker_and_loss(FilmOptions.smoothing)
    assert rough > 1e-3
    assert smooth < 0.7 * rough
    assert smooth_loss < 1.06 * rough_loss


def test_flicker_counts_only_what_stands_still():
    content = torch.zeros(2, 3, 80, 160)
    content[1, 0, :, :20] = 0.05
    frames = content.clone()
    content[1, 1] = 0.02  # as much as what stands still may change
    assert flicker(frames, content) == 0
    frames[1, :, :, 100:] = 0.5
    still = 160 - 20 - 24
    assert flicker(frames, content) == pytest.approx(0.5 * 60 / still)
    assert flicker(frames, torch.stack([torch.zeros(3, 80, 160), torch.ones(3, 80, 160)])) == 0


@pytest.mark.parametrize("tap", ["relu1_1", "relu2_1", "relu4_1"])
def test_covariances_are_smoothed_at_all_taps(tap):
    model, frames = tiny_model("concat-content-transport"), random_picture(32, 32, batch=2)
    measured = [model.compute_content_stats(model.encode(x), detail=("covariance",)) for x in frames.split(1)]
    smooth = StatisticsFilter(FilmOptions(0.75, cut=1e3))
    _, second = (smooth(one).covariance[tap] for one in measured)
    first, last = (one.covariance[tap] for one in measured)
    torch.testing.assert_close(second, 0.75 * first + 0.25 * last)


@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_what_a_transform_takes_from_a_frame_is_smoothed(transform):
    model = tiny_model("plain")
    frames = random_picture(32, 32, batch=3)
    style = model.compute_style_stats(random_picture(32, 32, seed=1), detail=TRANSFORMS[transform].needs)
    plain, smooth = (
        torch.cat(list(stylize_frames(model, [frames], style, transform=transform, smoothing=share, cut=100)))
        for share in (0.0, 0.9)
    )
    assert torch.equal(plain, smooth) == (transform == "efdm")
