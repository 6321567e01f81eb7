"""Recipes: files, changes, and what a resume compares."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adain_core.models.weights import embedded_models
from tests.helpers import ROOT
from training.command import TrainingError
from training.gallery import LOGS
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
KEYS = st.sampled_from([*Recipe.model_fields]) | st.text(max_size=8)


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
        ("lr=fast", "expected a number"),
        ("batch_size=2.5", "a whole number"),
        ("cosine=1", "true or false"),
        ("convention=l2", "'mse' or 'euclidean'"),
        ("size=[300,200]", "the smaller side first"),
        ("size=[300.5,400]", "a whole number"),
        ("widths=[8,8]", "4 whole numbers"),
        ("widths=[8,8,8,99999999]", "at most 4096"),
        ("workers=100000", "at most 256"),
        ("lr=-1", "at least 0"),
        ("lr=nan", "a finite number"),
        ("epochs=1e300", "at most 1000000"),
        ("ema=1", "less than 1"),
        ("epoch=3", "did you mean 'epochs'"),
        ("batch_size=" + "9" * 5000, "a whole number"),
        ("crop", "expected key=value"),
        ("nothing_like_a_key=1", "the keys are"),
    ],
)
def test_what_a_recipe_refuses(change: str, expected: str) -> None:
    with pytest.raises(TrainingError, match=expected):
        load_recipe("paper", [change])


def test_a_run_needs_something_to_learn_from() -> None:
    nothing = ["content_weight=0", "style_weight=0"]
    with pytest.raises(TrainingError, match="'color_teacher' = '': expected a teacher"):
        load_recipe("paper", nothing)
    assert load_recipe("paper", [*nothing, "color_teacher=vgg19-plain"]).imitates_only
    assert not load_recipe("paper", ["content_weight=0"]).imitates_only
    with pytest.raises(TrainingError, match="expected a teacher"):
        load_recipe("paper", [*nothing, "color_teacher=vgg19-plain", "color_weight=0"])
    for key in ("chroma_weight", "imitation_weight"):
        with pytest.raises(TrainingError, match=f"'{key}' = 4.0: expected 0 without a color_teacher"):
            load_recipe("paper", [f"{key}=4"])


def test_pre_normalized_images_have_a_teacher_only_to_imitate() -> None:
    changes = ["normalize_input=true", "color_teacher=vgg19-plain"]
    with pytest.raises(TrainingError, match="nothing with normalize_input"):
        load_recipe("paper", changes)
    assert load_recipe("paper", [*changes, "content_weight=0", "style_weight=0"]).normalize_input


def test_unknown_recipes_and_files_that_are_no_toml(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="concat-content"):
        load_recipe("papers", [])
    (tmp_path / "bad.toml").write_text("lr = = 3")
    with pytest.raises(TrainingError, match="is not a TOML file"):
        load_recipe(str(tmp_path / "bad.toml"), [])


def test_a_recipe_changes_its_base(tmp_path: Path) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text('base = "concat-content"\nlr = 2e-4\nsteps = 7\n')
    second.write_text(f"base = '{first}'\nsteps = 8\n")
    assert load_recipe(str(second), ["seed=3"]) == Recipe(decoder="concat-content", lr=2e-4, steps=8, seed=3)
    first.write_text(f"base = '{second}'\n")
    with pytest.raises(TrainingError, match="leads back to"):
        load_recipe(str(second), [])
    first.write_text("base = 3\n")
    with pytest.raises(TrainingError, match="no recipe '3'"):
        load_recipe(str(first), [])


def test_the_curve_depends_on_what_has_an_effect() -> None:
    assert Recipe(workers=4, checkpoint_seconds=7).curve() == Recipe().curve()
    assert Recipe(seed=1).curve() != Recipe().curve()
    assert Recipe(widths=(8, 8, 8, 8)).curve() == Recipe().curve()
    assert Recipe(widths=(8, 8, 8, 8), train_encoder=True).curve() != Recipe(train_encoder=True).curve()


def test_epochs_are_rounds_through_the_contents() -> None:
    recipe = load_recipe("paper", ["epochs=2.5", "batch_size=4"]).for_images(10)
    assert (recipe.steps, recipe.epochs) == (7, 0.0)
    assert recipe.for_images(1000) == recipe
    assert load_recipe("paper", ["steps=30"]).for_images(10).steps == 30


def test_what_a_recipe_holds_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().steps = 1


def test_every_key_is_documented_or_says_all_by_its_name() -> None:
    plain = {"encoder", "content_weight", "style_weight", "lr"}
    assert {name for name, field in Recipe.model_fields.items() if not field.description} == plain


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


def test_an_installed_package_holds_recipes_lineage_and_logs() -> None:
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = tables["package-data"]["training"]
    packed = {path for pattern in patterns for path in RECIPES.parent.glob(pattern)}
    logs = {LOGS / f"{name}.csv" for name in embedded_models() if name.startswith("study-")}
    assert packed == {*RECIPES.glob("*.toml"), RECIPES.parent / "lineage.toml", *logs}
