import torch
from torch import Tensor

from adain_core.gatys.lbfgs import minimize


class Quadratic:
    """An ill-conditioned bowl around a point that may lie outside of 0..1."""

    def __init__(self, center: Tensor) -> None:
        self.center = center
        self.stiffness = torch.logspace(0, 3, center.numel()).view(center.shape)
        self.losses: list[float] = []
        self.last = center

    def __call__(self, x: Tensor) -> tuple[float, Tensor]:
        self.last = x
        self.losses.append((0.5 * self.stiffness * (x - self.center).square()).sum().item())
        return self.losses[-1], self.stiffness * (x - self.center)


def test_it_finds_the_minimum_faster_than_gradient_descent():
    bowl = Quadratic(torch.rand(1, 3, 4, 4))
    minimize(bowl, torch.full((1, 3, 4, 4), 0.5), 20, lambda: len(bowl.losses) >= 150)
    assert min(bowl.losses) < 1e-6 * bowl.losses[0]


def test_the_minimum_in_bounds_is_the_clamped_one_of_a_separable_bowl():
    center = torch.linspace(-0.5, 1.5, 48).view(1, 3, 4, 4)
    bowl = Quadratic(center)
    minimize(bowl, torch.full((1, 3, 4, 4), 0.5), 20, lambda: len(bowl.losses) >= 200)
    torch.testing.assert_close(bowl.last, center.clamp(0, 1), rtol=0, atol=1e-3)


def test_pairs_of_a_falling_slope_are_left_out():
    """A valley that bends, from where it bends the wrong way: with such pairs it takes a third more."""
    losses: list[float] = []

    def valley(picture: Tensor) -> tuple[float, Tensor]:
        x = (2 * picture - 1).requires_grad_()
        loss = (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum()
        losses.append(loss.item())
        return losses[-1], 2 * torch.autograd.grad(loss, x)[0]

    minimize(valley, torch.zeros(1, 3, 4, 4), 20, lambda: len(losses) >= 50)
    assert min(losses) < 1e-9


def test_it_starts_anew_where_what_it_remembers_leads_nowhere():
    """A sum of distances has no curvature but kinks."""
    center, stiffness, losses = torch.rand(1, 3, 4, 4), torch.logspace(0, 3, 48).view(1, 3, 4, 4), []

    def distances(picture: Tensor) -> tuple[float, Tensor]:
        losses.append((stiffness * (picture - center).abs()).sum().item())
        return losses[-1], stiffness * (picture - center).sign()

    minimize(distances, torch.zeros(1, 3, 4, 4), 20, lambda: len(losses) >= 200)
    assert len(losses) > 150


def test_it_ends_by_itself_where_nothing_lowers_the_loss():
    bowl = Quadratic(torch.full((1, 3, 2, 2), 0.5))
    minimize(bowl, torch.full((1, 3, 2, 2), 0.5), 20, lambda: len(bowl.losses) >= 1000)
    assert len(bowl.losses) < 20
