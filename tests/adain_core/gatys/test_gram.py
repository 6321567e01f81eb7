import torch

from adain_core.gatys.gram import gram_distance, gram_matrix


def test_the_gram_matrix_is_the_mean_of_products():
    x = torch.randn(2, 3, 4, 5)
    expected = torch.stack([a.flatten(1) @ a.flatten(1).T / 20 for a in x])
    torch.testing.assert_close(gram_matrix(x), expected)
    torch.testing.assert_close(gram_matrix(x, torch.full((1, 1, 4, 5), 0.3)), expected)


def test_the_gram_matrix_under_a_mask_is_that_of_the_part():
    x, mask = torch.randn(1, 3, 4, 6), torch.zeros(1, 1, 4, 6)
    mask[..., :2] = 1
    torch.testing.assert_close(gram_matrix(x, mask), gram_matrix(x[..., :2]))


def test_the_gram_distance_is_that_of_the_paper():
    """Equation 4 of Gatys et al. 2016 has 1 / (4 C^2 M^2) and sums of products."""
    x, y = torch.randn(1, 3, 4, 5).flatten(2), torch.randn(1, 3, 4, 5).flatten(2)
    paper = ((x @ x.mT - y @ y.mT) ** 2).sum() / (4 * 3**2 * 20**2)
    distance = gram_distance(gram_matrix(x.view(1, 3, 4, 5)), gram_matrix(y.view(1, 3, 4, 5)))
    torch.testing.assert_close(distance, 4 / 3**2 * paper)
