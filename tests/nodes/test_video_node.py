"""AdaIN Stylize Video."""

import pytest
import torch

from adain_core.films.smoothing import stylize_film
from adain_core.models.weights import load_model
from adain_core.options import FilmOptions
from adain_core.pipeline.transfer import StyleTransfer
from tests.nodes.models import image, load, save_model


def style(comfy, model, seed):
    return comfy.call("AdaINComputeStyleStats", model=model, image=image(seed=seed))[0]


def film(frames=9):
    """A bright square that moves over a still picture."""
    pictures = image(48, 64).repeat(frames, 1, 1, 1)
    for i in range(frames):
        pictures[i, 10:34, 4 * i : 4 * i + 20] = 1.0
    return pictures


def video(comfy, model, frames, **options):
    return comfy.call("AdaINStylizeVideo", model=model, frames=frames, **options)[0]


def test_pictures_may_stand_for_styles_and_the_loader_may_be_left_out(comfy):
    frames, waves, sand = film(3), image(32, 40, seed=1), image(40, 32, seed=2)
    model = load(comfy, "lite", precision="auto")
    measured = [
        comfy.call("AdaINComputeStyleStats", model=model, image=look, detail="covariance")[0] for look in (waves, sand)
    ]
    for transform in ("adain", "wct"):
        expected = video(comfy, model, frames, style=measured[0], style_end=measured[1], transform=transform)
        assert torch.equal(video(comfy, None, frames, style=waves, style_end=sand, transform=transform), expected)


def test_it_gives_what_the_library_gives(comfy, tmp_path):
    name = save_model("m.safetensors")
    weights = load_model(tmp_path / "models" / "adain" / name)
    core = StyleTransfer(weights.encoder, weights.decoder, weights.space, torch.device("cpu"))
    frames, picture = film(), image(seed=1)
    stats = core.compute_style_stats(picture.movedim(-1, 1))
    expected = torch.cat(
        list(stylize_film(core, frames.movedim(-1, 1).split(1), [(stats, None)], film=FilmOptions(0.7, 10.0)))
    )
    model = load(comfy, name)
    result = video(comfy, model, frames, style=style(comfy, model, 1), smoothing=0.7, cut=10.0)
    torch.testing.assert_close(result, expected.movedim(1, -1), atol=1e-5, rtol=0)
    assert not torch.allclose(result, video(comfy, model, frames, style=style(comfy, model, 1), smoothing=0.0))


def test_low_memory_is_approximate_and_says_so(comfy, tiny, caplog):
    frames, waves = image(600, 600, batch=2), style(comfy, tiny, 1)
    close = video(comfy, tiny, frames, style=waves, low_memory=True)
    assert "approximate" in caplog.text
    assert not torch.equal(close, video(comfy, tiny, frames, style=waves))


def test_without_smoothing_it_is_stylize_frame_by_frame(comfy, tiny):
    frames = film(5)
    result = video(comfy, tiny, frames, style=style(comfy, tiny, 1), smoothing=0.0)
    (expected,) = comfy.call("AdaINStylize", model=tiny, content=frames, style=image(seed=1))
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=0)


def test_one_style_turns_into_the_other(comfy, tiny):
    frames, (first, last) = film(6), [style(comfy, tiny, seed) for seed in (1, 2)]
    options = {"smoothing": 0.0, "alpha": 0.8}
    both = video(comfy, tiny, frames, style=first, style_end=last, **options)
    torch.testing.assert_close(both[:1], video(comfy, tiny, frames, style=first, **options)[:1], atol=1e-5, rtol=0)
    torch.testing.assert_close(both[-1:], video(comfy, tiny, frames, style=last, **options)[-1:], atol=1e-5, rtol=0)
    single = video(comfy, tiny, frames[:1], style=first, style_end=last, **options)
    torch.testing.assert_close(single, both[:1], atol=1e-5, rtol=0)


def test_transparency_and_colors_are_kept(comfy, tiny):
    frames = image(40, 56, batch=3, channels=4)
    result = video(comfy, tiny, frames, style=style(comfy, tiny, 1), keep_colors="luminance")
    assert result.shape == frames.shape and torch.equal(result[..., 3], frames[..., 3])


def test_the_bar_reaches_its_end(comfy, tiny):
    import comfy.utils as utils

    waves = style(comfy, tiny, 1)
    utils.bars.clear()
    video(comfy, tiny, film(9), style=waves)
    assert [bar.current / bar.total for bar in utils.bars] == [1]


def test_what_does_not_fit_is_named(comfy, tiny):
    other = load(comfy, save_model("other.safetensors", space="other"))
    with pytest.raises(ValueError, match="'style_end' belongs to the space other, 'model' to tiny"):
        video(comfy, tiny, film(2), style=style(comfy, tiny, 1), style_end=style(comfy, other, 1))
    with pytest.raises(ValueError, match="'mask' is a batch of 2, but 'frames' of 3"):
        video(comfy, tiny, film(3), style=style(comfy, tiny, 1), mask=torch.rand(2, 48, 64))


def test_each_frame_may_have_a_mask_of_its_own(comfy, tiny):
    frames, waves = film(6), style(comfy, tiny, 1)
    masks = torch.zeros(6, 48, 64)
    for i in range(6):
        masks[i, 10:34, 4 * i : 4 * i + 20] = 1.0
    result = video(comfy, tiny, frames, style=waves, mask=masks, smoothing=0.0)
    for i in range(6):
        alone = video(comfy, tiny, frames[i : i + 1], style=waves, mask=masks[i])
        torch.testing.assert_close(result[i : i + 1], alone, atol=1e-5, rtol=0)
    assert not torch.allclose(result, video(comfy, tiny, frames, style=waves, mask=masks[0], smoothing=0.0), atol=1e-3)


def test_a_mask_for_all_frames_is_as_many_that_are_equal(comfy, tiny):
    frames, waves, mask = film(5), style(comfy, tiny, 1), torch.rand(1, 30, 40)
    one, many = (video(comfy, tiny, frames, style=waves, mask=m) for m in (mask, mask.repeat(5, 1, 1)))
    torch.testing.assert_close(one, many)


def test_transform_size_work_size_and_tile_are_those_of_stylize(comfy, tiny):
    frames = image(48, 64, batch=2, channels=4)
    options = {"transform": "wct", "size": 40, "work_size": 24, "tile": "256"}
    (waves,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image(seed=1), detail="covariance")
    result = video(comfy, tiny, frames, style=waves, smoothing=0.0, **options)
    (expected,) = comfy.call("AdaINStylize", model=tiny, content=frames, style=image(seed=1), **options)
    assert result.shape[1:] == (40, 53, 4)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_a_batch_of_styles_is_refused(comfy, tiny):
    (styles,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image(batch=3), batch="each")
    (style,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image())
    options = {"model": tiny, "frames": image(batch=3)}
    for name, given in (("style", {"style": styles}), ("style_end", {"style": style, "style_end": styles})):
        with pytest.raises(ValueError, match=f"'{name}' is a batch of 3 styles"):
            comfy.call("AdaINStylizeVideo", **options, **given)


def test_regions_are_those_of_the_library_and_may_move(comfy, tiny):
    frames, (below, first, second) = film(6), [style(comfy, tiny, seed) for seed in (1, 2, 3)]
    still, moving = torch.zeros(24, 32), torch.zeros(6, 48, 64)
    still[:, :16] = 1
    for i in range(6):
        moving[i, 10:34, 4 * i : 4 * i + 20] = 1
    (regions,) = comfy.call("AdaINRegion", mask=still, style=first)
    (regions,) = comfy.call("AdaINRegion", mask=moving, style=second, regions=regions)
    result = video(comfy, tiny, frames, style=below, regions=regions)
    layers = [(below, None), (first, still), (second, moving.__getitem__)]
    expected = stylize_film(tiny.load(), frames.movedim(-1, 1).split(4), layers)
    torch.testing.assert_close(result, torch.cat(list(expected)).movedim(1, -1), atol=1e-5, rtol=0)
    assert not torch.allclose(result, video(comfy, tiny, frames, style=below), atol=1e-2)


def test_regions_that_do_not_fit_are_named(comfy, tiny):
    waves, elsewhere = style(comfy, tiny, 1), style(comfy, load(comfy, save_model("o.safetensors", space="other")), 1)
    (batch,) = comfy.call("AdaINComputeStyleStats", model=tiny, image=image(batch=3), batch="each")
    full = torch.ones(1, 8, 8)
    for mask, look, message in (
        (torch.ones(2, 8, 8), waves, "'regions' is a batch of 2, but 'frames' of 3"),
        (torch.zeros(1, 64, 64), waves, "A mask in 'regions' is empty"),
        (full, elsewhere, "'regions' belongs to the space other"),
        (full, batch, "'regions' is a batch of 3 styles"),
    ):
        (regions,) = comfy.call("AdaINRegion", mask=mask, style=look)
        with pytest.raises(ValueError, match=message):
            video(comfy, tiny, film(3), style=waves, regions=regions)
