"""Gatys Style Transfer and Texture Synthesis."""

import pytest
import torch

from tests.nodes.models import image

OPTIONS = {"preset": "gatys", "iterations": 12, "optimizer": "lbfgs", "seed": 3}
STYLIZE = {"size": 32, "style_weight": 1.0, "init": "content", **OPTIONS}


def gatys(comfy, model, content, style, **options):
    return comfy.call("AdaINGatys", model=model, content=content, style=style, **(STYLIZE | options))


def test_it_optimizes_under_inference_mode(comfy, tiny):
    content = image(40, 60, channels=4)
    result, chart = gatys(comfy, tiny, content, image(seed=1))
    assert result.shape == (1, 32, 48, 4) and torch.isfinite(result).all()
    assert not torch.equal(result[..., :3], gatys(comfy, tiny, content, image(seed=2))[0][..., :3])
    assert chart.shape[0] == 1 and chart.shape[-1] == 3 and chart.std() > 0


def test_a_seed_gives_the_same_picture_again(comfy, tiny):
    again = [gatys(comfy, tiny, image(), image(seed=1), init="noise", seed=seed)[0] for seed in (1, 1, 2)]
    assert torch.equal(again[0], again[1]) and not torch.equal(again[0], again[2])


def test_more_style_weight_moves_further_from_the_content(comfy, tiny):
    content = image(32, 48)
    weak, strong = (gatys(comfy, tiny, content, image(seed=1), style_weight=w)[0] for w in (0.0, 100.0))
    assert (weak - content).abs().mean() < (strong - content).abs().mean()


@pytest.mark.parametrize("change", [lambda x: x * 255, lambda x: (x * 255).byte(), lambda x: x / 0])
@pytest.mark.parametrize("name", ["content", "style", "start"])
def test_what_is_no_picture_is_refused(comfy, tiny, name, change):
    pictures = {key: image(40, 48) for key in ("content", "style", "start")}
    with pytest.raises(ValueError, match=r"A picture h(as|olds) .*(divide by 255|infinite)"):
        gatys(comfy, tiny, **(pictures | {name: change(pictures[name])}), iterations=1)


def test_a_start_picture_takes_precedence(comfy, tiny):
    start = image(32, 48, seed=7)
    (begun, _) = gatys(comfy, tiny, image(32, 48), image(seed=1), start=start, iterations=1)
    torch.testing.assert_close(begun, start)


def test_each_content_of_a_batch_has_its_own_start_or_all_have_the_same(comfy, tiny):
    contents, starts = image(32, 48, batch=2), image(32, 48, seed=7, batch=2)
    for start in (starts, starts[:1]):
        (begun, _) = gatys(comfy, tiny, contents, image(seed=1), start=start, iterations=1)
        torch.testing.assert_close(begun, start.expand(2, -1, -1, -1))
    for count in (1, 3):
        with pytest.raises(ValueError, match=f"'start' is a batch of 2, but 'content' of {count}; connect one picture"):
            gatys(comfy, tiny, image(batch=count), image(seed=1), start=starts)


def test_the_style_is_measured_at_its_size_or_else_at_the_results(comfy, tiny):
    content, style = image(32, 48), image(64, 96, seed=1)

    def run(**sizes):
        return gatys(comfy, tiny, content, style, iterations=3, **sizes)[0]

    assert torch.equal(run(size=32), run(size=32, style_size=32))
    assert torch.equal(run(size=0), run(size=32, style_size=64))
    assert not torch.equal(run(size=0), run(size=32))


def test_batches_are_done_one_by_one_with_a_chart_each(comfy, tiny):
    result, charts = gatys(comfy, tiny, image(batch=2), image(seed=1, batch=2), iterations=3)
    assert len(result) == len(charts) == 2


def test_a_texture_has_the_size_that_was_asked_for(comfy, tiny):
    result, chart = comfy.call("AdaINTextureSynthesis", model=tiny, style=image(), width=48, height=32, **OPTIONS)
    assert result.shape == (1, 32, 48, 3)
    blue = torch.tensor([40, 110, 190]) / 255  # of a third curve; the content's would be nothing but 0
    assert chart.ndim == 4 and not (chart - blue).abs().amax(dim=-1).lt(0.02).any()


def test_the_bar_moves_with_every_step_of_every_picture_and_reaches_its_end(comfy, tiny, monkeypatch):
    import comfy.utils as utils

    seen, update = [], utils.ProgressBar.update_absolute

    def record(bar, value, **others):
        seen.append(value)
        update(bar, value, **others)

    monkeypatch.setattr(utils.ProgressBar, "update_absolute", record)
    gatys(comfy, tiny, image(batch=2), image(seed=1))
    bar = utils.bars[-1]
    assert bar.current == bar.total
    assert seen == sorted(seen) and {round(i / 24 * bar.total) for i in range(1, 25)} <= set(seen)


def test_the_bar_reaches_its_end_where_nothing_is_left_to_do_before(comfy, tiny):
    import comfy.utils as utils

    gatys(comfy, tiny, image(32, 48), image(32, 48), iterations=1000)
    assert utils.bars[-1].current == utils.bars[-1].total


def test_stop_ends_it_within_one_step(comfy, tiny):
    import comfy.utils as utils
    from comfy import model_management

    model_management.stop_after = 100
    with pytest.raises(model_management.InterruptProcessingException):
        gatys(comfy, tiny, image(), image(seed=1), iterations=1000)
    assert 0 < utils.bars[-1].current < 10


@pytest.mark.parametrize("checks", [4, 13, 22, 31], ids=["content", "style", "picture", "gradient"])
def test_stop_ends_the_first_evaluation_between_two_of_its_nine_layers(comfy, tiny, checks):
    import comfy.utils as utils
    from comfy import model_management

    model_management.stop_after = checks
    with pytest.raises(model_management.InterruptProcessingException):
        gatys(comfy, tiny, image(), image(seed=1), iterations=1)
    assert utils.bars[-1].current == 0


def test_other_models_make_room_for_the_picture_or_the_style_whichever_takes_more(comfy, tiny):
    from comfy import model_management

    def asked(node, **options):
        comfy.call(node, model=tiny, **(OPTIONS | {"iterations": 1} | options))
        return model_management.required[-1]

    small = asked("AdaINTextureSynthesis", style=image(), width=32, height=32)
    assert 80 * 2**20 < small < asked("AdaINTextureSynthesis", style=image(), width=512, height=512)
    assert small < asked("AdaINTextureSynthesis", style=image(1000, 1000), width=32, height=32)
    options = {"content": image(), "size": 64, "style_weight": 1.0, "init": "content"}
    assert small < asked("AdaINGatys", style=image(), **options)
