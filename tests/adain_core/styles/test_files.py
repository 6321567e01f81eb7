import io
from typing import get_args

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from adain_core.images.pictures import resize
from adain_core.pipeline.blend import Blend
from adain_core.styles.files import StyleFileError, list_styles, read_style
from adain_core.styles.stats import Detail, StyleStats, mix, mix_by_transport
from adain_core.styles.transforms import TRANSFORMS
from tests.helpers import random_picture, tiny_model


@pytest.fixture
def saved(tmp_path):
    style = tiny_model().compute_style_stats(random_picture(60, 200))
    path = tmp_path / "waves.safetensors"
    style.save(path, "Waves")
    return style, path


def test_a_style_comes_back(saved):
    style, path = saved
    loaded = StyleStats.load(path)
    assert loaded.space == style.space and loaded.image is None
    for tap in style.mean:
        torch.testing.assert_close(loaded.mean[tap], style.mean[tap], rtol=0, atol=0)
        torch.testing.assert_close(loaded.std[tap], style.std[tap], rtol=0, atol=0)


def test_a_file_is_small_and_tells_what_it_is(saved):
    style, path = saved
    assert path.stat().st_size < 16_384
    (listed,) = list_styles(path.parent)
    assert (listed.name, listed.space, listed.thumbnail.shape) == ("Waves", style.space, (1, 3, 29, 96))
    assert (listed.thumbnail - resize(style.image, (29, 96))).abs().mean() < 0.03


def test_a_folder_is_listed_with_the_folders_in_it(saved):
    style, path = saved
    (path.parent / "sea").mkdir()
    style.save(path.parent / "sea" / "foam.safetensors")
    listed = list_styles(path.parent)
    assert [style.path for style in listed] == [path.parent / "sea" / "foam.safetensors", path]
    assert [style.name for style in listed] == ["foam", "Waves"]


def test_a_saved_style_stylizes_as_the_measured_one(saved):
    style, path = saved
    model, content = tiny_model(), random_picture(40, 40, seed=3)
    torch.testing.assert_close(model(content, StyleStats.load(path)), model(content, style))


@pytest.fixture
def detailed(tmp_path):
    """A style of 7 x 9 cells with all its detail, and what its file gives."""
    features = torch.randn(1, 6, 7, 9, generator=torch.Generator().manual_seed(2))
    mixed = torch.einsum("dc,bchw->bdhw", torch.eye(6) + 0.4, features)
    style = StyleStats.measure({"relu4_1": mixed}, "s", detail=get_args(Detail))
    style.save(tmp_path / "detailed.safetensors")
    return style, StyleStats.load(tmp_path / "detailed.safetensors")


def test_a_style_of_large_features_and_of_dead_channels_comes_back(tmp_path):
    features = 1e4 * torch.randn(1, 6, 7, 9, generator=torch.Generator().manual_seed(2)).relu()
    features[:, 3] = 0
    weight = torch.rand(1, 1, 7, 9, generator=torch.Generator().manual_seed(3))
    style = StyleStats.measure({"relu4_1": features}, "s", weight, detail=get_args(Detail))
    assert style.covariance["relu4_1"].max() > 1e7 and style.covariance["relu4_1"][0, 3, 3] == 0
    style.save(tmp_path / "large.safetensors")
    assert StyleStats.load(tmp_path / "large.safetensors") == style


@pytest.mark.parametrize("name", [name for name, transform in TRANSFORMS.items() if transform.needs])
def test_a_loaded_style_gives_what_a_transform_promises(detailed, name):
    style, loaded = detailed
    content = torch.randn(1, 6, 9, 7, generator=torch.Generator().manual_seed(3))
    result = Blend(loaded, transform=TRANSFORMS[name]).apply(content, content, "relu4_1")
    (detail,) = TRANSFORMS[name].needs
    measured = StyleStats.measure({"relu4_1": result}, "s", detail=TRANSFORMS[name].needs)
    for part in ("mean", "std", detail):
        found, expected = (getattr(stats, part)["relu4_1"] for stats in (measured, style))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_loaded_detail_mixes_as_the_measured_one(detailed):
    style, loaded = detailed
    for mixed in (mix, mix_by_transport):
        for detail in get_args(Detail):
            found, expected = (getattr(mixed([style, other], [1, 3]), detail) for other in (loaded, style))
            torch.testing.assert_close(found, expected)


def test_many_sorted_values_are_thinned_out_evenly(tmp_path):
    values = torch.linspace(-1, 1, 10_000).view(1, 1, 100, 100)
    StyleStats.measure({"relu4_1": values}, "s", detail=["quantiles"]).save(tmp_path / "large.safetensors")
    (thinned,) = StyleStats.load(tmp_path / "large.safetensors").quantiles["relu4_1"][0]
    torch.testing.assert_close(thinned, torch.linspace(-1 + 1 / 4096, 1 - 1 / 4096, 4096), rtol=0, atol=1e-4)


def test_another_models_style_is_refused(saved):
    with pytest.raises(ValueError, match="space tiny, but this model's is other"):
        tiny_model(space="other")(random_picture(32, 32), StyleStats.load(saved[1]))


def test_other_files_are_passed_over_in_a_list_with_one_warning_each(saved, caplog):
    save_file({"weight": torch.zeros(3)}, saved[1].parent / "model.safetensors", {"format": "adain-1", "kind": "model"})
    (saved[1].parent / "empty.safetensors").write_bytes(b"")
    for _ in range(2):
        assert [style.path for style in list_styles(saved[1].parent)] == [saved[1]]
    empty, model = sorted(caplog.messages)
    assert "empty.safetensors is not a readable" in empty
    assert "model.safetensors is of the kind 'model', not a style" in model


def jpeg(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "JPEG")
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


STYLE = {"format": "adain-1", "kind": "style", "space": "s"}
GOOD = {"mean.relu4_1": torch.zeros(4), "std.relu4_1": torch.ones(4)}


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        (GOOD, STYLE | {"kind": "decoder"}, "is of the kind 'decoder', not a style"),
        (GOOD, {}, "not a style"),
        (GOOD | {"std.relu4_1": torch.ones(5)}, STYLE, "differs in channels"),
        ({"mean.relu4_1": torch.zeros(4)}, STYLE, "differs in channels"),
        (GOOD | {"mean.relu4_1": torch.zeros(2, 2)}, STYLE, "expected .C."),
        (GOOD | {"mean.relu9_9": torch.zeros(4)}, STYLE, "no tensor 'mean.relu9_9'"),
        ({"mean.relu1_1": torch.zeros(4), "std.relu1_1": torch.ones(4)}, STYLE, "lacks the statistics of relu4_1"),
        (GOOD | {"mean.relu4_1": torch.full((4,), torch.nan)}, STYLE, "no statistics"),
        (GOOD | {"std.relu4_1": -torch.ones(4)}, STYLE, "no statistics"),
        (GOOD | {"std.relu4_1": torch.full((4,), 3e38)}, STYLE, "no statistics"),
        (GOOD | {"mean.relu4_1": torch.full((4,), -3e38)}, STYLE, "no statistics"),
        (GOOD | {"covariance.relu4_1": torch.full((4, 4), 3e38)}, STYLE, "no statistics"),
        (GOOD | {"thumbnail": torch.tensor([1, 2, 3], dtype=torch.uint8)}, STYLE, "thumbnail cannot be read"),
        (GOOD | {"thumbnail": torch.zeros(0, dtype=torch.uint8)}, STYLE, "thumbnail cannot be read"),
        (GOOD | {"thumbnail": torch.zeros(4, 4, dtype=torch.uint8)}, STYLE, r"It has the shape .4, 4."),
        (GOOD | {"thumbnail": torch.tensor(1, dtype=torch.uint8)}, STYLE, r"It has the shape ..\."),
        (GOOD | {"thumbnail": torch.zeros(2**20 + 1, dtype=torch.uint8)}, STYLE, r"It has the shape .1048577."),
        (GOOD | {"thumbnail": torch.zeros(4)}, STYLE, "It has numbers of the type torch.float32"),
        (GOOD | {"covariance.relu4_1": torch.eye(3)}, STYLE, "differs in channels"),
        (GOOD | {"covariance.relu3_1": torch.eye(4)}, STYLE, "differs in channels"),
        (GOOD | {"covariance.relu4_1": torch.ones(4, 3)}, STYLE, "expected .C, C."),
        (GOOD | {"covariance.relu4_1": torch.ones(4, 4).triu()}, STYLE, "no statistics"),
        (GOOD | {"covariance.relu4_1": -torch.eye(4)}, STYLE, "no statistics"),
        (GOOD | {"covariance.relu4_1": torch.full((4, 4), torch.inf)}, STYLE, "no statistics"),
        (GOOD | {"quantiles.relu4_1": torch.zeros(4, 0)}, STYLE, "expected .C, 1 to 4096."),
        (GOOD | {"quantiles.relu4_1": torch.zeros(4, 4097)}, STYLE, "expected .C, 1 to 4096."),
        (GOOD | {"quantiles.relu4_1": torch.arange(4.0).flip(0).expand(4, 4)}, STYLE, "no statistics"),
        ({"mean.relu4_1": torch.zeros(2**24)}, STYLE, "too large"),
        ({"mean.relu4_1": torch.zeros(0), "std.relu4_1": torch.zeros(0)}, STYLE, "expected .C."),
        ({"mean.relu4_1": torch.zeros(4097), "std.relu4_1": torch.ones(4097)}, STYLE, "expected .C."),
        (GOOD | {"thumbnail": jpeg(513, 8)}, STYLE, "It has 513 x 8 pixels"),
    ],
)
def test_what_is_no_sound_style_is_refused(tmp_path, tensors, metadata, message):
    path = tmp_path / "style.safetensors"
    save_file({key: x.clone() for key, x in tensors.items()}, path, metadata)
    with pytest.raises(StyleFileError, match=message):
        read_style(path)


def test_a_style_without_a_name_has_that_of_its_file(tmp_path):
    save_file(GOOD, tmp_path / "waves.safetensors", STYLE)
    assert read_style(tmp_path / "waves.safetensors")[0].name == "waves"


def test_cut_files_and_missing_ones_are_refused(saved):
    _, path = saved
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(StyleFileError, match="not a readable"):
        StyleStats.load(path)
    with pytest.raises(StyleFileError, match="no style file"):
        StyleStats.load(path.with_name("other.safetensors"))
    with pytest.raises(StyleFileError, match="no folder"):
        list_styles(path)


def test_a_batch_and_another_suffix_are_refused(saved, tmp_path):
    style, path = saved
    with pytest.raises(ValueError, match="one style, not 2"):
        StyleStats.stack([style, style]).save(path)
    with pytest.raises(StyleFileError, match=r"end in \.safetensors"):
        style.save(tmp_path / "waves.pt")
    style.save(tmp_path / "WAVES.SAFETENSORS")
    assert set(load_file(path)) == {"thumbnail", *(f"{part}.{tap}" for part in ("mean", "std") for tap in style.mean)}
