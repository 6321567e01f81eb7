import math
import re
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from adain_core.gatys import (
    PRESETS,
    Losses,
    Settings,
    Step,
    Style,
    estimate_memory,
    settings_of,
    stylize,
    synthesize_texture,
)
from adain_core.gatys.gram import Objective, gram_distance, gram_matrix
from adain_core.gatys.optimization import _POOLING, _style_memory
from adain_core.images.files import read_picture
from adain_core.images.pictures import resize
from adain_core.measure.losses import total_variation
from adain_core.models.weights import EMBEDDED, load_weights
from adain_core.networks.encoder import Encoder
from adain_core.options import GatysOptions
from adain_core.runtime.tables import options_of
from tests.helpers import TINY_WIDTHS, random_picture

QUICK = Settings(iterations=30)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder(TINY_WIDTHS).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def lite() -> Encoder:
    return load_weights(EMBEDDED / "lite.safetensors").encoder


@pytest.fixture
def content() -> Tensor:
    return random_picture(40, 48)


@pytest.fixture
def style() -> Style:
    return Style(random_picture(36, 44, seed=1))


def test_a_few_evaluations_remove_90_percent_of_the_loss(lite, examples):
    content = resize(read_picture(examples / "photo_coffee.jpg").rgb, (64, 80))
    style = Style(resize(read_picture(examples / "style_flow.jpg").rgb, (64, 80)))
    losses = stylize(lite, content, [style], replace(QUICK, iterations=40)).losses
    assert losses[-1].total < 0.1 * losses[0].total


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_same_seed_gives_the_same_picture(encoder, content, style, optimizer):
    settings = replace(QUICK, optimizer=optimizer, iterations=8, seed=3)
    first, second = (stylize(encoder, content, [style], settings, "noise").picture for _ in range(2))
    assert torch.equal(first, second)
    other = stylize(encoder, content, [style], replace(settings, seed=4), "noise").picture
    assert not torch.equal(first, other)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_result_is_the_best_picture_and_in_range(encoder, content, style, optimizer):
    steps: list[Step] = []
    result = stylize(encoder, content, [style], replace(QUICK, optimizer=optimizer), on_step=steps.append)
    best = min(steps, key=lambda step: step.losses.total)
    assert torch.equal(result.picture, best.picture)
    assert result.picture.min() >= 0 and result.picture.max() <= 1
    assert best.losses.total < 0.5 * steps[0].losses.total


def test_iterations_are_evaluations_over_all_scales(encoder, content, style):
    steps: list[Step] = []
    content = random_picture(64, 80)
    result = stylize(encoder, content, [style], replace(QUICK, iterations=20, scales=3), on_step=steps.append)
    assert [step.iteration for step in steps] == list(range(1, 21))
    assert steps[-1].share == 1
    assert result.losses == [step.losses for step in steps]
    assert list(dict.fromkeys(tuple(step.picture.shape[-2:]) for step in steps)) == [(32, 40), (45, 57), (64, 80)]
    assert result.picture.shape == content.shape


def test_styles_are_scaled_with_the_picture(encoder):
    seen = set()
    encoder.conv1_1.register_forward_pre_hook(lambda _, inputs: seen.add(tuple(inputs[0].shape[-2:])))
    stylize(encoder, random_picture(64, 80), [Style(random_picture(40, 60))], Settings(iterations=2, scales=2))
    assert seen == {(45, 57), (28, 42), (64, 80), (40, 60)}


def test_scales_with_a_short_side_below_32_pixels_are_left_out(encoder, style):
    steps: list[Step] = []
    synthesize_texture(encoder, [style], (40, 90), Settings(iterations=3, scales=3), steps.append)
    assert {tuple(step.picture.shape[-2:]) for step in steps} == {(40, 90)}


def test_a_start_outside_of_0_to_1_begins_at_its_bounds(encoder, content, style):
    start = 3 * content - 1
    assert torch.equal(stylize(encoder, content, [style], Settings(iterations=1), start).picture, start.clamp(0, 1))


def test_fewer_iterations_than_scales_are_kept(encoder, style):
    assert len(stylize(encoder, random_picture(64, 64), [style], Settings(iterations=1, scales=3)).losses) == 1


def test_an_early_stop_saves_evaluations(encoder, content, style):
    settings = Settings(iterations=200, tolerance=0.9)
    assert 20 < len(stylize(encoder, content, [style], settings).losses) < 100


def test_without_tolerance_no_evaluation_is_left_out(encoder, content):
    settings = replace(QUICK, optimizer="adam")
    assert len(stylize(encoder, content, [Style(content)], settings).losses) == settings.iterations


def test_an_exception_in_the_callback_ends_it_at_once(encoder, content, style):
    seen = []

    def stop(step: Step) -> None:
        seen.append(step.iteration)
        if step.iteration == 3:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        stylize(encoder, content, [style], QUICK, on_step=stop)
    assert seen == [1, 2, 3]


def test_an_exception_in_a_hook_of_the_encoder_ends_it_at_that_layer(encoder, content, style):
    seen = []

    def stop(*_: object) -> None:
        seen.append(1)
        if len(seen) == 3:
            raise InterruptedError("enough")

    encoder.get_submodule("conv3_2").register_forward_pre_hook(stop)
    steps: list[Step] = []
    with pytest.raises(InterruptedError, match="enough"):
        stylize(encoder, content, [style], QUICK, on_step=steps.append)
    assert len(seen) == 3 and not steps


def test_it_works_inside_inference_mode_with_weights_made_there(content, style):
    with torch.inference_mode():
        encoder = Encoder(TINY_WIDTHS)
        content, image = content.clone(), style.image.clone()
        mask = torch.ones(40, 48)
        assert encoder.conv1_1.weight.is_inference() and content.is_inference()
        result = stylize(encoder, content, [Style(image, mask=mask)], replace(QUICK, iterations=3), content.flip(3))
    assert result.losses[-1].total < result.losses[0].total


def test_the_encoder_stays_as_it_was_and_computes_in_float32(encoder, content, style):
    encoder.to(torch.bfloat16)
    before = {name: x.clone() for name, x in encoder.state_dict().items()}
    settings = replace(QUICK, iterations=2, pooling="average")
    losses = stylize(encoder, content, [style], settings).losses
    assert losses == stylize(deepcopy(encoder).float(), content, [style], settings).losses
    after = encoder.state_dict()
    assert all(torch.equal(after[name], x) and after[name].dtype == x.dtype for name, x in before.items())
    assert isinstance(encoder.pool, torch.nn.MaxPool2d)


def test_a_style_that_is_the_content_leaves_nothing_to_do(encoder, content):
    losses = stylize(encoder, content, [Style(content)], replace(QUICK, iterations=3)).losses
    assert losses[0].total < 1e-12


def test_content_weight_total_variation_and_pooling_do_what_they_say(lite, content, style):
    def run(**changes) -> Tensor:
        return stylize(lite, content, [style], replace(QUICK, **changes)).picture

    plain = run()
    assert (run(content_weight=1e3) - content).square().mean() < 0.5 * (plain - content).square().mean()
    assert total_variation(run(variation_weight=200.0)) < 0.5 * total_variation(plain)
    assert not torch.equal(run(pooling="average"), plain)


def test_several_styles_pull_by_their_weights(lite, content, style):
    other = Style(random_picture(40, 40, seed=2).flip(1) ** 3)

    def distance_to(target: Style, weights: tuple[float, float]) -> float:
        styles = [replace(style, weight=weights[0]), replace(other, weight=weights[1])]
        picture = stylize(lite, content, styles, QUICK).picture
        maps = [lite(image, ["relu2_1"])["relu2_1"] for image in (picture, target.image)]
        return gram_distance(*map(gram_matrix, maps)).item()

    assert distance_to(style, (9, 1)) < distance_to(style, (1, 9))
    assert distance_to(other, (1, 9)) < distance_to(other, (9, 1))


def test_weights_of_styles_are_relative_to_one_another(encoder, content, style):
    start, other, once = (
        random_picture(40, 48, seed=5),
        Style(random_picture(40, 40, seed=2), 3.0),
        Settings(iterations=1),
    )
    few, many = (
        stylize(encoder, content, [replace(s, weight=factor * s.weight) for s in (style, other)], once, start)
        for factor in (1, 10)
    )
    assert many.losses[0].style == pytest.approx(few.losses[0].style, rel=1e-5)


def test_a_mask_keeps_the_rest(encoder, style):
    content, mask = random_picture(48, 96), torch.zeros(12, 24)
    mask[:, :12] = 1
    moved = (stylize(encoder, content, [replace(style, mask=mask)], QUICK).picture - content).abs()
    assert moved[..., 80:].mean() < 0.1 * moved[..., :48].mean()


def test_a_texture_has_any_size_and_the_gram_matrices_of_its_style(encoder, style):
    result = synthesize_texture(encoder, [style], (33, 57), replace(QUICK, iterations=60))
    assert result.picture.shape == (1, 3, 33, 57)
    assert result.losses[-1].total < 0.02 * result.losses[0].total
    assert result.losses[0].content == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (17, 33)])
def test_small_and_odd_pictures_work(encoder, size):
    settings = replace(QUICK, iterations=3, variation_weight=0.1)
    result = stylize(encoder, random_picture(*size), [Style(random_picture(5, 1))], settings)
    assert result.picture.shape[-2:] == size
    assert all(math.isfinite(losses.total) for losses in result.losses)


def test_layers_that_the_encoder_lacks_are_left_out(encoder, content, style):
    used = stylize(encoder, content, [style], replace(QUICK, iterations=1)).settings
    assert used.content_tap == "relu4_1"
    assert used.style_taps == ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    deep = Encoder((*TINY_WIDTHS, 24)).requires_grad_(False)
    used = stylize(deep, content, [style], replace(QUICK, iterations=1)).settings
    assert used.content_tap == "relu4_2" and used.style_taps[-1] == "relu5_1"


def test_the_tutorial_preset_uses_the_first_five_convolutions():
    tutorial = PRESETS["tutorial"].for_encoder(Encoder(TINY_WIDTHS))
    assert tutorial.content_tap == "conv2_2"
    assert tutorial.style_taps == ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
    assert (tutorial.style_weight, tutorial.iterations) == (1e6, 300)


def test_the_losses_of_the_tutorial_preset_are_those_of_the_tutorial(style):
    """Its Gram matrix is ``F F^T / (C H W)``, its losses are mean squares and its style weight is 1e6."""
    encoder = Encoder(TINY_WIDTHS).requires_grad_(False)
    settings = replace(PRESETS["tutorial"], iterations=1)
    content, start = random_picture(41, 47), random_picture(41, 47, seed=5)
    losses = stylize(encoder, content, [style], settings, start).losses[0]
    x, y, c = (encoder(image, settings.style_taps) for image in (start, style.image, content))

    def gram(f: Tensor) -> Tensor:
        return f[0].flatten(1) @ f[0].flatten(1).T / f[0].numel()

    style_loss = sum((gram(x[tap]) - gram(y[tap])).square().mean() for tap in settings.style_taps)
    assert losses.style == pytest.approx(1e6 * style_loss.item(), rel=1e-4)
    assert losses.content == pytest.approx((x["conv2_2"] - c["conv2_2"]).square().mean().item(), rel=1e-4)


def test_losses_that_are_not_finite_are_refused(encoder, content, style):
    with pytest.raises(ValueError, match="not finite"):
        stylize(encoder, content, [style], replace(QUICK, style_weight=1e60))


def test_a_step_that_is_not_finite_leaves_the_best_picture(encoder, content, style, monkeypatch):
    """From the fifth evaluation on the network fails now and then."""
    calls = []

    class Failing(Objective):
        def __call__(self, picture: Tensor) -> dict[str, Tensor]:
            calls.append(1)
            parts = super().__call__(picture)
            return parts | ({"style": parts["style"] * math.nan} if len(calls) > 4 and len(calls) % 3 == 0 else {})

    monkeypatch.setattr("adain_core.gatys.optimization.Objective", Failing)
    for optimizer in ("lbfgs", "adam"):
        calls.clear()
        result = stylize(encoder, content, [style], replace(QUICK, optimizer=optimizer))
        assert len(calls) == 30
        assert result.picture.isfinite().all()
        totals = [losses.total for losses in result.losses]
        assert min(totals) < 0.5 * totals[0] and len(set(totals[-5:])) > 1  # it goes on


def test_too_large_requests_are_refused_with_the_number_before_anything_is_allocated(encoder, style):
    with pytest.raises(ValueError, match=r"A picture of 900000x800000 would need about \d+\.\d GiB .* at most \d+x\d+"):
        synthesize_texture(encoder, [style], (800_000, 900_000))


def test_the_size_that_is_offered_instead_would_fit(encoder, style, monkeypatch):
    monkeypatch.setattr("adain_core.gatys.optimization.available_memory", lambda device: 2**30)
    with pytest.raises(ValueError) as refusal:
        synthesize_texture(encoder, [style], (8000, 9000))
    width, height = map(int, re.search(r"at most (\d+)x(\d+)", str(refusal.value)).groups())
    assert 0.99 * 2**30 < estimate_memory(encoder, (height, width), Settings()) <= 2**30


def test_a_style_that_is_too_large_is_refused_with_a_size_that_would_fit(encoder, content, style, monkeypatch):
    monkeypatch.setattr("adain_core.gatys.optimization.available_memory", lambda device: 2**28)
    styles = [style, Style(torch.zeros(1, 3, 1, 1).expand(-1, -1, 3000, 4000))]
    with pytest.raises(ValueError, match=r"A style of 4000x3000 would need about .* at most \d+x\d+") as refusal:
        stylize(encoder, content, styles, QUICK)
    width, height = map(int, re.search(r"at most (\d+)x(\d+)", str(refusal.value)).groups())
    fixed = estimate_memory(encoder, (0, 0), Settings())
    assert 0.99 * 2**28 < fixed + _style_memory(encoder, (height, width), Settings()) <= 2**28


def test_the_estimate_of_memory_covers_what_the_gradient_keeps(lite):
    """Everything that autograd saves for one evaluation, which is most of the peak."""
    picture = torch.rand(1, 3, 96, 128)
    settings = Settings().for_encoder(lite)
    objective = Objective(lite, picture, [Style(picture)], (96, 128), 1.0, settings)
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in lite.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        parts = objective(picture.requires_grad_())
        total = sum(size for pointer, size in saved.items() if pointer not in weights)
        assert sum(parts.values()).requires_grad
    whole, fixed = (estimate_memory(lite, size, replace(settings, optimizer="adam")) for size in ((96, 128), (0, 0)))
    estimate = whole - fixed
    assert 0.4 * estimate < total < estimate


def test_the_estimate_of_memory_counts_two_copies_of_the_weights_and_two_pictures_for_each_pair(lite):
    weights = 4 * sum(parameter.numel() for parameter in lite.parameters())
    fixed, fixed_of_none = (estimate_memory(encoder, (0, 0), Settings()) for encoder in (lite, Encoder((1, 1, 1, 1))))
    assert fixed - fixed_of_none == pytest.approx(2 * weights, rel=0.01)
    plain, tutorial = (_style_memory(lite, (96, 128), PRESETS[name]) for name in ("gatys", "tutorial"))
    assert plain < tutorial  # which keeps maps before their ReLUs besides
    few, many = (estimate_memory(lite, (96, 128), Settings(history=history)) for history in (10, 20))
    assert many - few == 10 * 2 * 4 * 3 * 96 * 128


def test_every_choice_of_the_table_is_known():
    assert tuple(PRESETS) == options_of(GatysOptions)["preset"].choices
    assert tuple(_POOLING) == options_of(Settings)["pooling"].choices


def test_the_settings_of_a_preset_are_its_own_but_for_what_is_given():
    settings = settings_of(GatysOptions(preset="tutorial", style_weight=0.5), iterations=7, seed=None)
    assert settings == replace(PRESETS["tutorial"], style_weight=5e5, iterations=7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 0}, "iterations is 0"),
        ({"style_weight": math.nan}, "style_weight is nan"),
        ({"variation_weight": -1}, "variation_weight is -1"),
        ({"optimizer": "sgd"}, "lbfgs or adam"),
        ({"pooling": "min"}, "max or average"),
        ({"seed": -1}, "seed is -1"),
        ({"style_taps": ("relu9_1",)}, "none of the layers relu9_1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(encoder, content, style, changes, message):
    with pytest.raises(ValueError, match=message):
        stylize(encoder, content, [style], replace(QUICK, **changes))


def test_pictures_and_styles_that_do_not_fit_are_refused(encoder, content, style):
    with pytest.raises(ValueError, match=r"The content has the shape \[2, 3, 40, 48\]"):
        stylize(encoder, content.expand(2, -1, -1, -1), [style])
    with pytest.raises(ValueError, match="no style"):
        stylize(encoder, content, [])
    with pytest.raises(ValueError, match=r"The size \(0, 40\) is empty"):
        synthesize_texture(encoder, [style], (0, 40))
    with pytest.raises(ValueError, match="not all 0"):
        stylize(encoder, content, [replace(style, weight=0)])
    for mask, message in (
        (torch.zeros(1, 8, 8), "mask has the shape"),
        (torch.zeros(8, 8), "mask is zero everywhere"),
        (torch.full((8, 8), math.nan), "mask holds NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            stylize(encoder, content, [replace(style, mask=mask)])
    nan = content * math.nan
    for broken in ({"content": nan}, {"styles": [Style(nan)]}, {"init": nan}):
        with pytest.raises(ValueError, match="A picture holds NaN"):
            stylize(encoder, **({"content": content, "styles": [style]} | broken))
    with pytest.raises(ValueError, match="init is 'zero'"):
        stylize(encoder, content, [style], init="zero")


def test_losses_add_up():
    assert Losses(1.0, 2.0, 3.5).total == 6.5
