"""The table of options: what fits, what is refused, and in which words."""

import inspect
import math
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace

import numpy
import pytest

from adain_core import options
from adain_core.options import FilmOptions, GatysOptions, GridOptions, Optimization, Options, StyleOptions
from adain_core.runtime.tables import Option, Table, options_of

TABLES = [t for _, t in inspect.getmembers(options, is_dataclass) if issubclass(t, Table)]


@pytest.mark.parametrize("table", TABLES)
def test_every_field_is_an_option_with_a_sentence_and_a_default_that_fits(table):
    table()
    assert [f.name for f in fields(table)] == list(options_of(table))
    for name, option in options_of(table).items():
        assert option.sentence[0] != " " and option.sentence.endswith("."), name
        assert option.default is not None or option.unset, name
        if option.low is not None and option.high is not None:
            assert option.low < option.high and type(option.low) is type(option.high), name


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"alpha": 1.01}, "alpha is 1.01; expected a number from 0 to 1."),
        ({"alpha": math.nan}, "alpha is nan; expected a number from 0 to 1."),
        ({"alpha": None}, "alpha is None; expected a number from 0 to 1."),
        ({"alpha": "0.5"}, "alpha is '0.5'; expected a number from 0 to 1."),
        ({"size": 0}, "size is 0; expected a whole number from 1 to 16384."),
        ({"size": 512.0}, "size is 512.0; expected a whole number from 1 to 16384."),
        ({"work_size": 10**9}, "work_size is 1000000000; expected a whole number from 1 to 16384."),
        ({"size": True}, "size is True; expected a whole number from 1 to 16384."),
        ({"size": 10**400}, "size is 1000"),
        ({"tile": "huge"}, "tile is 'huge'; expected auto, off or a whole number from 8 to 16384."),
        ({"keep_colors": "hue"}, "keep_colors is 'hue'; expected luminance, covariance or histogram."),
        ({"transform": None}, "transform is None; expected adain, "),
        ({"low_memory": "yes"}, "low_memory is 'yes'; expected True or False."),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_the_words_of_the_user(values, expected):
    with pytest.raises(ValueError) as error:
        Options(**values)
    assert str(error.value).startswith(expected)


def test_bounds_belong_to_the_range():
    assert Options(alpha=0, size=1, tile=8).alpha == 0
    assert Options(alpha=1, size=16384, tile="off", keep_colors=None).size == 16384
    assert GatysOptions(size=None).size is None
    assert Options(alpha=numpy.float32(0.5), size=numpy.int64(64)).size == 64
    with pytest.raises(ValueError, match=r"smoothing is 1; expected a number from 0 to 0\.99"):
        FilmOptions(smoothing=1)


def test_a_number_without_an_upper_bound_is_finite():
    assert Optimization(style_weight=1e30).style_weight == 1e30
    with pytest.raises(ValueError, match="style_weight is inf; expected a finite number from 0 on"):
        replace(Optimization(), style_weight=math.inf)


def test_a_list_is_refused_for_one_of_its_values():
    assert StyleOptions(weights=(2, 1)).weights == (2, 1)
    for weights in ((1, -1), (), (1, "a"), 3):
        with pytest.raises(ValueError, match=r"weights is .*; expected numbers from 0 to 100 with commas in between"):
            StyleOptions(weights=weights)


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        (options_of(Options)["alpha"], "0.25", 0.25),
        (options_of(Options)["tile"], "off", "off"),
        (options_of(Options)["tile"], "256", 256),
        (options_of(StyleOptions)["weights"], "2, 1", (2.0, 1.0)),
        (options_of(StyleOptions)["detail"], "both", "both"),
        (options_of(StyleOptions)["filename_prefix"], "a,b", "a,b"),
    ],
)
def test_texts_become_values_of_the_options_type(option, text, value):
    assert option.parse(text) == value and type(option.parse(text)) is type(value)


def test_a_value_is_shown_as_users_write_it():
    entries = options_of(GridOptions)
    assert entries["alphas"].shown((0.25, 1.0)) == "0.25, 1" and entries["cell"].shown(64) == "64"
    assert entries["alphas"].parse(entries["alphas"].shown((0.25, 1.0))) == (0.25, 1.0)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("alpha", "much", "'much' is not a number from 0 to 1"),
        ("alpha", "1\n2", "'1\\n2' is not a number from 0 to 1"),
        ("alpha", "nan", "'nan' is not a number from 0 to 1"),
        ("size", "2.5", "'2.5' is not a whole number from 1 to 16384"),
        ("tile", "-8", "'-8' is not auto, off or a whole number from 8 to 16384"),
        ("transform", "warp", "'warp' is not adain, "),
    ],
)
def test_texts_that_do_not_fit_are_refused(name, text, expected):
    with pytest.raises(ValueError) as error:
        options_of(Options)[name].parse(text)
    assert str(error.value).startswith(expected)


def test_what_is_left_out_means_what_it_always_did():
    """Programs, command lines and figures that do not name an option count on these."""
    layers = tuple(f"relu{block}_1" for block in range(1, 6))
    assert Options() == Options(1.0, "adain", None, None, None, None, 1.0, "auto", False)
    assert FilmOptions() == FilmOptions(0.8, 0.35)
    assert GridOptions() == GridOptions((0.25, 0.5, 0.75, 1.0), 256, 512)
    assert GatysOptions() == GatysOptions(256, None, 1.0, "content", "gatys")
    assert Optimization() == Optimization("relu4_2", layers, 1.0, 1e5, 0.0, "lbfgs", 300, 1, 20, 0.0, "max", 0)


def test_options_cannot_change():
    with pytest.raises(FrozenInstanceError):
        Options().alpha = 0.5
    with pytest.raises(TypeError):
        options_of(Options)["alpha"] = Option(1.0, "Something else.")
