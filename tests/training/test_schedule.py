"""Learning rates, and what adds up between two lines of the log."""

from __future__ import annotations

import math
import time

import pytest
import torch

from adain_core.runtime.processes import Processes
from training.command import TrainingError
from training.recipe import Recipe
from training.schedule import Every, Interval, duration, learning_rate

ALONE = Processes(0, 1, torch.device("cpu"))


def test_learning_rates() -> None:
    paper = Recipe()
    assert learning_rate(paper, 0) == pytest.approx(1e-4)
    assert learning_rate(paper, 20_000) == pytest.approx(1e-4 / 2)
    cosine = Recipe(cosine=True, steps=100, warmup=10, lr=1.0)
    assert learning_rate(cosine, 0) == pytest.approx(0.1, rel=1e-2)
    assert learning_rate(cosine, 50) == pytest.approx(0.505)
    assert learning_rate(cosine, 100) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (90, "90 s"), (150, "2 min"), (5400, "90 min"), (90_000, "25 h"), (1e6, "12 days")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_what_is_due_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = Every(10)
    assert not clock.is_due()
    now[0] = 10.0
    assert clock.is_due()
    clock.restart()
    now[0] = 19.9
    assert not clock.is_due()
    assert Every(0).is_due()


def test_an_interval_goes_on_from_its_sums() -> None:
    interval = Interval({"content": 3.0, "style": 5.0}, steps=2)
    interval.add({"content": torch.tensor(1.0), "style": torch.tensor(-1.0)})
    assert interval.sums(ALONE) == {"content": 4.0, "style": 4.0}
    assert interval.steps == 3
    assert Interval({}, 0).sums(ALONE) == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_found_whenever_the_sums_are_read(bad: float) -> None:
    interval = Interval({}, 0)
    for value in (1.0, bad, 1.0, 1.0):
        interval.add({"content": torch.tensor(value)})
    with pytest.raises(TrainingError, match="not finite"):
        interval.sums(ALONE)
