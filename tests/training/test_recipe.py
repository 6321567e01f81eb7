"""Recipes: files, changes, and what a resume compares."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.helpers import ROOT
from training.command import TrainingError
from training.fit import learning_rate
from training.recipe import RECIPES, Recipe, load_recipe

fuzz = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
VALUES = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=12),
    st.lists(st.integers(-2, 2**64), max_size=5).map(str),
    st.sampled_from(
        ["true", "[true, true]", "1979-05-27", "{ a = 1 }", "0x" + "f" * 5000, "1" * 5000, "[" * 3000, "+", "inf"]
    ),
)
KEYS = st.sampled_from([*Recipe.__dataclass_fields__]) | st.text(max_size=8)


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
    assert Recipe(widths=(8, 8, 8, 8)).curve() == Recipe().curve()
    assert Recipe(widths=(8, 8, 8, 8), train_encoder=True).curve() != Recipe(train_encoder=True).curve()


def test_learning_rates() -> None:
    paper = Recipe()
    assert learning_rate(paper, 0) == pytest.approx(1e-4)
    assert learning_rate(paper, 20_000) == pytest.approx(1e-4 / 2)
    cosine = Recipe(cosine=True, steps=100, warmup=10, lr=1.0)
    assert learning_rate(cosine, 0) == pytest.approx(0.1, rel=1e-2)
    assert learning_rate(cosine, 50) == pytest.approx(0.505)
    assert learning_rate(cosine, 100) == pytest.approx(0.01)


def as_toml(values: dict[str, str]) -> bytes:
    return "".join(f"{key} = {value}\n" for key, value in values.items()).encode(errors="surrogatepass")


def read(name: str, changes: list[str]) -> None:
    """Read a recipe: what comes out is one whose numbers are usable, or a TrainingError."""
    try:
        recipe = load_recipe(name, changes)
    except TrainingError:
        return
    assert 0 < recipe.steps < 2**63 and 0 <= recipe.lr < float("inf")
    assert all(type(side) is int for side in recipe.size)


@fuzz
@given(changes=st.lists(st.tuples(KEYS, VALUES).map("=".join) | st.text(max_size=12), max_size=3))
def test_any_change_gives_a_recipe_or_a_refusal(changes: list[str]) -> None:
    read("paper", changes)


@fuzz
@given(content=st.binary(max_size=200) | st.dictionaries(KEYS, VALUES, max_size=3).map(as_toml))
@example(content=b"size = " + b"[" * 3000)
def test_any_file_gives_a_recipe_or_a_refusal(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "any.toml").write_bytes(content)
    read(str(tmp_path / "any.toml"), [])


def test_an_installed_package_holds_the_recipes() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = tables["package-data"]["training"]
    packed = {path for pattern in patterns for path in RECIPES.parent.glob(pattern)}
    assert packed == set(RECIPES.glob("*.toml"))
