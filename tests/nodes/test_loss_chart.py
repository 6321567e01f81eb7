from __future__ import annotations

import math
from types import ModuleType


def test_a_falling_loss_falls_in_the_chart(pack: ModuleType) -> None:
    chart = pack.nodes.loss_chart.loss_chart({"total": [1000.0, 100.0, 10.0, float("nan"), 1.0]})
    dark = (chart[0].amax(dim=0) < 0.3)[20:355, 75:]
    height = [dark[:, x].nonzero().float().mean() for x in (10, 270, 500)]
    assert height[0] < height[1] < height[2]


def test_a_chart_of_nothing_is_empty_but_there(pack: ModuleType) -> None:
    assert pack.nodes.loss_chart.loss_chart({"total": [0.0, math.inf]}).shape[1] == 3
