"""Recipes: files, changes, and what a resume compares."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.command import TrainingError
from training.fit import learning_rate
from training.recipe import Recipe, load_recipe


def test_paper_is_the_default() -> None:
    assert load_recipe("paper", []) == Recipe()


def test_changes_are_read_as_toml_or_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("lr = 3e-4\nsize = [64, 128]\n")
    recipe = load_recipe(str(file), ["crop=64", "decoder=add-both", "encoder=some/file.safetensors", "cosine=true"])
    assert recipe == Recipe(
        lr=3e-4, size=(64, 128), crop=64, decoder="add-both", encoder="some/file.safetensors", cosine=True
    )
    assert load_recipe("paper", ["size=300"]).size == (300, 300)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("lr=fast", "a number from 0"),
        ("batch_size=2.5", "a whole number from 1"),
        ("cosine=1", "true or false"),
        ("convention=l2", "mse or euclidean"),
        ("size=[300,200]", "the smaller side first"),
        ("widths=[8,8]", "4 whole numbers"),
        ("crop", "expected key=value"),
        ("nothing_like_a_key=1", "the keys are"),
    ],
)
def test_what_a_recipe_refuses(change: str, expected: str) -> None:
    with pytest.raises(TrainingError, match=expected):
        load_recipe("paper", [change])


def test_unknown_recipes_and_files_that_are_no_toml(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="concat-content"):
        load_recipe("papers", [])
    (tmp_path / "bad.toml").write_text("lr = = 3")
    with pytest.raises(TrainingError, match="is not a TOML file"):
        load_recipe(str(tmp_path / "bad.toml"), [])


def test_the_curve_depends_on_what_has_an_effect() -> None:
    assert Recipe(workers=4, checkpoint_every=7).curve() == Recipe().curve()
    assert Recipe(seed=1).curve() != Recipe().curve()
    assert Recipe(widths=(8, 8, 8, 8)).curve() != Recipe().curve()
    assert Recipe(widths=(8, 8, 8, 8), start="x").curve() == Recipe(start="x").curve()


def test_learning_rates() -> None:
    paper = Recipe()
    assert learning_rate(paper, 0) == pytest.approx(1e-4)
    assert learning_rate(paper, 20_000) == pytest.approx(1e-4 / 2)
    cosine = Recipe(cosine=True, steps=100, warmup=10, lr=1.0)
    assert learning_rate(cosine, 0) == pytest.approx(0.1, rel=1e-2)
    assert learning_rate(cosine, 50) == pytest.approx(0.505)
    assert learning_rate(cosine, 100) == pytest.approx(0.01)
