from __future__ import annotations

import pytest
import torch
from torch import Tensor

from adain_core.images.batches import one_by_one
from adain_core.images.color import COLOR_METHODS, ColorMethod, preserve_color
from adain_core.images.pictures import scale_short_side
from adain_core.options import Options
from adain_core.pipeline.features import Features
from adain_core.pipeline.layers import Layer
from adain_core.pipeline.runner import run
from adain_core.pipeline.transfer import StyleTransfer
from adain_core.runtime.progress import Progress, ignore_progress
from adain_core.styles.transforms import TRANSFORMS
from tests.helpers import random_picture, tiny_model


@pytest.fixture
def model() -> StyleTransfer:
    return tiny_model("concat-content-adain")


def style_of(model: StyleTransfer, *seeds: int) -> Layer:
    pictures = torch.cat([random_picture(32, 32, seed=seed) for seed in seeds])
    return Layer(model.compute_style_stats(pictures, each=True))


def test_a_stream_gives_what_its_pictures_give_alone(model: StyleTransfer) -> None:
    contents = [random_picture(40, 48), random_picture(24, 64, seed=1, batch=3), random_picture(40, 48, seed=2)]
    layer = style_of(model, 5)
    results = list(run(model, contents, [layer], Options(alpha=0.7)))
    assert [result.shape for result in results] == [content.shape for content in contents]
    for content, result in zip(contents, results, strict=True):
        for i in range(len(content)):
            alone = model(content[i : i + 1], layer.style, alpha=0.7)
            torch.testing.assert_close(result[i : i + 1], alone, atol=1e-5, rtol=0)


def test_layers_may_depend_on_the_number_and_on_the_picture(model: StyleTransfer) -> None:
    layers, seen = [style_of(model, seed) for seed in (5, 6, 7)], []

    def present(numbers: range, work: Tensor, _: object) -> list[Layer]:
        seen.append((numbers, work.shape[-1]))
        return [layers[numbers.start]]

    contents = [random_picture(40, 48, seed=i) for i in range(3)]
    results = list(run(model, contents, present, Options(work_size=20)))
    assert seen == [(range(i, i + 1), 24) for i in range(3)]
    for content, layer, result in zip(contents, layers, results, strict=True):
        assert torch.equal(result, model(content, layer.style, work_size=20))


def test_one_content_in_several_styles_is_encoded_once(model: StyleTransfer, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, encode, shares = [], model.encode, []

    def counted(image: Tensor, *args: object, **options: object) -> Features:
        before = len(shares)
        features = encode(image, *args, **options)
        encoded.append((len(image), len(shares) > before))
        return features

    monkeypatch.setattr(model, "encode", counted)
    content, layer = random_picture(40, 48), style_of(model, 5, 6, 7)
    (result,) = run(model, [content], [layer], progress=shares.append)
    assert encoded == [(1, True)] and result.shape == (3, 3, 40, 48)
    for i in range(3):
        alone = model(content, layer.style.part(slice(i, i + 1)))
        torch.testing.assert_close(result[i : i + 1], alone, atol=1e-5, rtol=0)


def test_one_content_in_several_styles_in_low_memory_is_measured_small(
    model: StyleTransfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adain_core.pipeline.thumbnails._THUMBNAIL_SIDE", 16)
    content, layer, shown = random_picture(40, 48), style_of(model, 5, 6), []
    before = content.clone()
    (result,) = run(model, [content], [layer], Options(low_memory=True), preview=lambda now: shown.append(now.clone()))
    assert torch.equal(content, before) and torch.equal(shown[-1], result)
    for i in range(2):
        alone = model(content, layer.style.part(slice(i, i + 1)), low_memory=True)
        torch.testing.assert_close(result[i : i + 1], alone, atol=1e-5, rtol=0)
    assert not torch.allclose(result[:1], model(content, layer.style.part(slice(0, 1))), atol=1e-3)


@pytest.mark.parametrize("options", [Options(), Options(size=32, work_size=16, keep_colors="luminance")])
def test_progress_rises_to_the_end_of_the_stream(model: StyleTransfer, options: Options) -> None:
    shares: list[float] = []
    contents = [random_picture(40, 48, batch=2), random_picture(40, 48)]
    list(run(model, contents, [style_of(model, 5)], options, progress=shares.append, total=3))
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert any(0.1 < share < 0.6 for share in shares)


def test_an_exception_of_the_callback_ends_the_work(model: StyleTransfer) -> None:
    def stop(share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run(model, [random_picture(40, 48)], [style_of(model, 5)], progress=stop))


def test_what_nothing_is_done_to_is_not_copied() -> None:
    pictures = random_picture(8, 8, batch=3)
    assert one_by_one(lambda picture: picture, pictures, ignore_progress) is pictures
    changed = one_by_one(lambda a, b: a + b, pictures, ignore_progress, pictures[:1])
    assert torch.equal(changed, pictures + pictures[:1])


@pytest.mark.parametrize("batch", [1, 2])
def test_without_layers_the_content_is_rebuilt(model: StyleTransfer, batch: int) -> None:
    content = random_picture(24, 32, batch=batch)
    (result,) = run(model, [content], [])
    assert torch.equal(result, model.decode(model.encode(content)))


@pytest.mark.parametrize("name", ["wct", "efdm"])
def test_a_transform_that_needs_detail_stylizes_a_batch_one_by_one(model: StyleTransfer, name: str) -> None:
    detail = TRANSFORMS[name].needs
    contents = random_picture(24, 32, batch=3)
    layer = Layer(model.compute_style_stats(random_picture(32, 32, seed=5), detail=detail))
    (result,) = run(model, [contents], [layer], Options(transform=name))
    for i in range(3):
        (alone,) = run(model, [contents[i : i + 1]], [layer], Options(transform=name))
        torch.testing.assert_close(result[i : i + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", COLOR_METHODS)
def test_the_size_and_the_colors_are_those_that_were_asked_for(model: StyleTransfer, method: ColorMethod) -> None:
    content, layer = random_picture(40, 48), style_of(model, 5)
    (result,) = run(model, [content], [layer], Options(size=20, keep_colors=method))
    small = scale_short_side(content, 20)
    assert result.shape == small.shape
    torch.testing.assert_close(result, preserve_color(model(small, layer.style), small, method))


def test_smoothed_statistics_take_the_place_of_the_measured_ones(model: StyleTransfer) -> None:
    content, layer = random_picture(40, 48), style_of(model, 5)
    others = model.compute_content_stats(model.encode(random_picture(40, 48, seed=1)))
    (result,) = run(model, [content], [layer], smoothing=lambda number, measured, mask: others)
    features = model.blend(model.encode(content), layer.style, content=others)
    torch.testing.assert_close(result, model.decode(features), atol=1e-6, rtol=0)
    assert not torch.allclose(result, model(content, layer.style), atol=1e-3)


def test_progress_never_falls_while_layers_are_measured_and_with_several_styles(model: StyleTransfer) -> None:
    shares: list[float] = []

    def present(numbers: range, work: Tensor, progress: Progress) -> list[Layer]:
        for share in (0.0, 0.5, 1.0):
            progress(share)
        return [style_of(model, 5, 6)]

    list(run(model, [random_picture(40, 48)], present, progress=shares.append))
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
