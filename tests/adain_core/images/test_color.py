import pytest
import torch

from adain_core.images.color import COLOR_METHODS, luminance, match_color, preserve_color, replace_luminance
from tests.helpers import random_picture, tiny_model


def covariance(picture):
    return picture[0].flatten(1).cov(correction=0)


def test_covariance_matching_gives_mean_and_covariance():
    picture, reference = 0.4 + 0.2 * random_picture(40, 50), 0.3 + 0.3 * random_picture(30, 60, seed=1)
    matched = match_color(picture, reference, "covariance")
    torch.testing.assert_close(matched.mean((2, 3)), reference.mean((2, 3)), rtol=0, atol=1e-3)
    torch.testing.assert_close(covariance(matched), covariance(reference), rtol=0, atol=3e-4)


def test_histogram_matching_gives_the_sorted_values():
    picture, reference = random_picture(40, 50), random_picture(40, 50, seed=1)
    matched = match_color(picture, reference, "histogram")
    torch.testing.assert_close(matched.flatten(2).sort().values, reference.flatten(2).sort().values, rtol=0, atol=1e-2)


def test_histograms_are_finer_than_levels():
    picture, reference = random_picture(40, 50), random_picture(40, 50, seed=1)
    matched = match_color(picture, reference, "histogram")
    error = matched.flatten(2).sort().values - reference.flatten(2).sort().values
    assert error.square().mean().sqrt() < 0.25 / 255


@pytest.mark.parametrize("method", ["covariance", "histogram"])
def test_colors_stay_in_range_and_what_lies_beyond_counts_as_its_bounds_in_a_histogram(method):
    picture, reference = 1.6 * random_picture(40, 50) - 0.3, 1.4 * random_picture(40, 50, seed=1) - 0.2
    matched = match_color(picture, reference, method)
    assert matched.min() >= 0 and matched.max() <= 1
    if method == "histogram":
        assert torch.equal(matched, match_color(picture.clamp(0, 1), reference.clamp(0, 1), method))


@pytest.mark.parametrize("method", ["covariance", "histogram"])
def test_one_picture_takes_the_colors_of_each_reference(method):
    picture, references = random_picture(20, 30), random_picture(30, 20, seed=1, batch=2)
    single = [match_color(picture, reference, method) for reference in references.split(1)]
    with torch.no_grad():
        torch.testing.assert_close(match_color(picture, references, method), torch.cat(single))


def test_a_flat_picture_takes_the_references_median():
    reference = random_picture(40, 50, seed=1)
    matched = match_color(torch.full((1, 3, 8, 8), 0.5), reference, "histogram")
    torch.testing.assert_close(matched[0, :, 0, 0], reference[0].flatten(1).median(dim=1).values, rtol=0, atol=1e-2)


def test_histograms_of_large_pictures_are_counted_in_parts(monkeypatch):
    picture, reference = random_picture(40, 50), random_picture(30, 50, seed=1)
    whole = match_color(picture, reference, "histogram")
    monkeypatch.setattr("adain_core.images.color._CHUNK_PIXELS", 700)
    assert torch.equal(match_color(picture, reference, "histogram"), whole)


def test_a_picture_with_its_own_colors_stays_as_it_is():
    picture = (random_picture(30, 40) * 255).round() / 255
    for method in COLOR_METHODS:
        torch.testing.assert_close(preserve_color(picture, picture, method), picture, rtol=0, atol=1e-4)


def test_luminance_is_exact_and_hues_stay():
    colors, light = random_picture(30, 40), random_picture(30, 40, seed=1)
    result = replace_luminance(colors, light)
    torch.testing.assert_close(luminance(result), luminance(light), rtol=0, atol=1e-5)
    before, after = colors - luminance(colors), result - luminance(result)
    torch.testing.assert_close(torch.cross(before, after, dim=1), torch.zeros_like(before), rtol=0, atol=1e-5)
    for beyond, end in ((1.2, 1), (-0.2, 0)):
        assert (replace_luminance(colors, torch.full_like(light, beyond)) == end).all()


@pytest.mark.parametrize("method", COLOR_METHODS)
def test_gray_and_flat_pictures_stay_finite(method):
    flat, picture = torch.full((1, 3, 20, 30), 0.5), random_picture(20, 30)
    gray = luminance(picture).expand(-1, 3, -1, -1)
    for stylized, content in ((flat, picture), (picture, flat), (flat, flat), (gray, picture), (picture, gray)):
        result = preserve_color(stylized, content, method)
        assert result.isfinite().all() and result.min() >= 0 and result.max() <= 1


@pytest.mark.parametrize("method", COLOR_METHODS)
def test_a_batch_is_its_pictures_one_by_one(method):
    stylized, contents = random_picture(20, 30, batch=2), random_picture(20, 30, seed=1, batch=2)
    single = [preserve_color(a, b, method) for a, b in zip(stylized.split(1), contents.split(1), strict=True)]
    torch.testing.assert_close(preserve_color(stylized, contents, method), torch.cat(single))


def test_what_does_not_fit_is_refused():
    picture = random_picture(20, 30)
    with pytest.raises(ValueError, match="does not match colors"):
        match_color(picture, picture, "hue")
    with pytest.raises(ValueError, match="differ in size"):
        preserve_color(picture, random_picture(20, 31))
    with pytest.raises(ValueError, match="2 pictures but 3"):
        match_color(picture.expand(2, -1, -1, -1), picture.expand(3, -1, -1, -1))
    with pytest.raises(ValueError, match="3 pictures but 2"):
        preserve_color(picture.expand(3, -1, -1, -1), picture.expand(2, -1, -1, -1))


@pytest.mark.parametrize("method", COLOR_METHODS)
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_pictures_that_are_not_finite_are_refused(method, place, value):
    pictures = [random_picture(8, 9), random_picture(8, 9, seed=1)]
    pictures[place][0, 1, 2, 3] = value
    with pytest.raises(ValueError, match="holds NaN or infinite"):
        preserve_color(*pictures, method)


def test_the_pipeline_keeps_the_contents_colors():
    model, content = tiny_model(), random_picture(40, 48)
    kept = model(content, random_picture(40, 40, seed=1), keep_colors="luminance")
    plain = model(content, random_picture(40, 40, seed=1))
    torch.testing.assert_close(luminance(kept), luminance(plain), rtol=0, atol=1e-5)
    matched = match_color(random_picture(40, 40, seed=1), content, "covariance")
    torch.testing.assert_close(
        model(content, random_picture(40, 40, seed=1), keep_colors="covariance"), model(content, matched)
    )


def test_a_style_without_a_picture_cannot_change_its_colors():
    model = tiny_model()
    style = model.compute_style_stats(random_picture(32, 32, batch=2))
    with pytest.raises(ValueError, match="no picture whose colors"):
        model(random_picture(32, 32), style, keep_colors="histogram")


def test_an_unknown_method_is_answered_with_those_that_there_are():
    with pytest.raises(ValueError, match="expected luminance, covariance, histogram"):
        preserve_color(random_picture(4, 4), random_picture(4, 4), "hue")
