import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from adain_core.networks.encoder import STYLE_TAPS
from adain_core.networks.skips import SKIP_TAPS
from adain_core.pipeline import tiling
from adain_core.pipeline.thumbnails import thumbnail
from adain_core.pipeline.tiling import Tile, for_each_tile, grid_of, plan_tiles
from adain_core.runtime.memory import is_out_of_memory
from adain_core.styles.stats import RunningStats, moments_of
from tests.helpers import random_picture, tiny_model

DECODERS = [
    "plain",
    "add-content",
    "add-style",
    "concat-content",
    "concat-both",
    "concat-both-adain",
    "add-both-transport",
]


@pytest.mark.parametrize("skips", DECODERS)
def test_tiles_give_the_picture_of_the_whole(skips):
    model = tiny_model(skips)
    mask = torch.zeros(50, 60)
    mask[:, 20:] = 1

    @settings(max_examples=5, deadline=None, derandomize=True)
    @given(st.integers(1, 150), st.integers(1, 150), st.integers(40, 130))
    def check(height, width, tile):
        content = random_picture(height, width, seed=height, batch=2)
        options = {"alpha": 0.8, "mask": mask, "regions": [(1 - mask, random_picture(61, 133, seed=2))]}
        whole, tiled = (model(content, random_picture(90, 40, seed=1), tile=t, **options) for t in ("off", tile))
        torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-4)

    check()


@pytest.mark.parametrize("transform", ["wct", "gaussian-ot"])
@pytest.mark.parametrize("skips", ["concat-content-adain", "concat-content-transport"])
def test_covariances_at_all_taps_give_tiles_the_picture_of_the_whole(transform, skips):
    model, content = tiny_model(skips), random_picture(90, 130, batch=2)
    mask = torch.zeros(50, 60)
    mask[:, 20:] = 1
    options = {"alpha": 0.8, "mask": mask, "regions": [(1 - mask, random_picture(61, 133, seed=2))]}
    whole, tiled, adain = (
        model(content, random_picture(90, 40, seed=1), tile=tile, transform=name, **options)
        for tile, name in (("off", transform), (48, transform), ("off", "adain"))
    )
    torch.testing.assert_close(tiled, whole, rtol=0, atol=2e-4)
    assert (whole - adain).abs().mean() > 1e-3


def test_the_picture_would_show_a_halo_that_is_too_small(monkeypatch):
    model, content = tiny_model("plain"), random_picture(150, 150)
    style = model.compute_style_stats(random_picture(64, 64, seed=1))
    whole = model(content, style, tile="off")
    monkeypatch.setattr("adain_core.pipeline.steps.DECODER_HALO", 3)
    assert (model(content, style, tile=64) - whole).abs().max() > 1e-3


def test_statistics_of_tiles_are_those_of_the_whole():
    model, picture, mask = tiny_model("plain"), random_picture(100, 140), torch.rand(30, 20)
    detail = ("covariance",)
    whole, tiled = (model.compute_style_stats(picture, mask, detail=detail, tile=tile) for tile in ("off", 32))
    for part in ("mean", "std", "covariance"):
        assert getattr(whole, part).keys() == set(STYLE_TAPS)
        for tap in STYLE_TAPS:
            torch.testing.assert_close(getattr(tiled, part)[tap], getattr(whole, part)[tap], rtol=1e-4, atol=1e-5)


def test_merging_is_stable_far_from_zero():
    x = 1000 + torch.randn(1, 2, 64, 64, dtype=torch.float64)
    running = RunningStats(1)
    for part in x.float().split(4, dim=2):
        running.add(slice(0, 1), moments_of({"relu1_1": part}))
    expected = (x.var(dim=(2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(running.result("s").std["relu1_1"].double(), expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("tile", ["auto", "off", 8, 100])
def test_tiles_cover_every_cell_once(tile):
    images = torch.zeros(3, 3, 190, 77)
    seen = torch.zeros(3, 1, *grid_of((190, 77)))
    for part in plan_tiles(images, tile, bytes_per_pixel=10, memory=50_000):
        seen[part.at(8)] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("tile", [0, -8, "large", 1.5])
def test_other_tile_sizes_are_refused(tile):
    with pytest.raises(ValueError, match="tile is"):
        tiny_model()(random_picture(16, 16), random_picture(16, 16), tile=tile)


def test_without_memory_the_tiles_become_smaller(caplog):
    done = []

    def work(tile: Tile) -> None:
        if tile.cells > 100:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory")
        done.append(tile)

    for_each_tile([Tile(slice(0, 2), slice(0, 20), slice(0, 20))], work)
    sizes, pictures = [tile.cells for tile in done], [tile.pictures.start for tile in done]
    assert sum(sizes) == 800 and max(sizes) <= 100 and pictures == sorted(pictures)
    assert "Memory is short" in caplog.text


def test_statistics_of_a_tile_that_did_not_fit_are_counted_once(monkeypatch):
    model, picture = tiny_model("concat-content-adain"), random_picture(80, 96)
    weights = [None, (random_picture(80, 96, seed=1)[:, :1] > 0.5).float()]
    tiles = [Tile(slice(0, 1), slice(0, 10), slice(0, 12))]
    expected = tiling.TiledEncoder(model.encoder).measure(picture, ("relu1_1",), weights, tiles)
    calls = []

    def hungry(maps, weight=None, covariance_at=()):
        calls.append(weight)
        if len(calls) == 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return moments_of(maps, weight)

    monkeypatch.setattr(tiling, "moments_of", hungry)
    measured = tiling.TiledEncoder(model.encoder).measure(picture, ("relu1_1",), weights, tiles)
    assert len(calls) > 4
    for one, again in zip(measured, expected, strict=True):
        torch.testing.assert_close(one.result("s").mean["relu1_1"], again.result("s").mean["relu1_1"])
        torch.testing.assert_close(one.result("s").std["relu1_1"], again.result("s").std["relu1_1"])


@pytest.mark.parametrize(("available", "expected"), [(None, 1.5e9), (1e9, 0.25e9), (1e11, 1.5e9)])
def test_tiles_use_a_quarter_of_the_free_memory_and_at_most_1_5_gb(available, expected, monkeypatch):
    monkeypatch.setattr(tiling, "available_memory", lambda _: available)
    assert tiling.default_memory(torch.device("cpu")) == expected


def test_a_batch_is_parted_before_its_pictures_are():
    sides = slice(0, 20), slice(0, 30)
    assert Tile(slice(4, 6), *sides).halves() == [Tile(slice(4, 5), *sides), Tile(slice(5, 6), *sides)]
    one, rows, columns = slice(0, 1), slice(0, 4), slice(6, 36)
    assert Tile(one, rows, columns).halves() == [Tile(one, rows, part) for part in (slice(6, 21), slice(21, 36))]
    assert Tile(one, columns, rows).halves() == [Tile(one, part, rows) for part in (slice(6, 21), slice(21, 36))]


def test_automatic_tiles_with_their_halo_fill_the_memory():
    """Of what 900 cells need, a tile takes the middle of 30 x 30: the rest is its halo."""
    images = torch.zeros(1, 3, 800, 800)
    tiles = plan_tiles(images, "auto", bytes_per_pixel=10, memory=10 * 64 * 900)
    assert tiles[0].grow(tiling.DECODER_HALO, (100, 100)).cells == 26 * 26  # none beyond the picture's edges
    assert tiles[6].grow(tiling.DECODER_HALO, (100, 100)).cells == 900


def test_a_picture_that_fits_exactly_is_one_tile_and_sides_are_rounded_up_to_cells():
    picture = torch.zeros(1, 3, 80, 160)
    assert len(plan_tiles(picture, "auto", bytes_per_pixel=10, memory=10 * 64 * 200)) == 1
    assert plan_tiles(picture, 50, bytes_per_pixel=10, memory=0)[0].cells == 7 * 7


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_wide_maps_are_stretched_as_narrow_ones_whatever_their_number_format(dtype):
    line = torch.rand(1, 1, 600, 1).to(dtype)
    expected = F.interpolate(line.float(), size=(900, 1), mode="bilinear")
    found = tiling._stretch(line[:, :, 300:], 2, slice(500, 900), 600 / 900, 600, 300)
    torch.testing.assert_close(
        found.float(), expected[:, :, 500:], rtol=0, atol=0.01 if dtype == torch.bfloat16 else 1e-4
    )


def test_other_errors_and_hopeless_ones_pass_through():
    def broken(tile: Tile) -> None:
        raise RuntimeError("sizes do not match")

    def hungry(tile: Tile) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    for work, message in ((broken, "sizes"), (hungry, "memory")):
        with pytest.raises(RuntimeError, match=message):
            for_each_tile([Tile(slice(0, 1), slice(0, 64), slice(0, 64))], work)
    assert not is_out_of_memory(RuntimeError("sizes do not match"))


@pytest.mark.parametrize(("height", "below", "mode"), [(21, 3, "reflect"), (3, 13, "replicate")])
def test_pictures_are_continued_by_reflection_or_where_that_is_impossible_by_their_last_pixels(height, below, mode):
    picture = random_picture(height, 30)
    assert torch.equal(tiling.pad_to_grid(picture), F.pad(picture, (0, 2, 0, below), mode=mode))


def test_progress_is_the_share_of_the_cells():
    shares: list[float] = []
    tiles = [Tile(slice(0, 1), slice(0, 2), columns) for columns in (slice(0, 2), slice(2, 3))]
    for_each_tile(tiles, lambda _: None, shares.append)
    assert shares == pytest.approx([0, 2 / 3, 1])


def test_work_can_be_interrupted_between_tiles():
    model, reports = tiny_model(), []

    def stop(share: float) -> None:
        reports.append(share)
        if len(reports) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.encode(random_picture(64, 64), tile=16, progress=stop)
    assert reports == [0, 1 / 16, 2 / 16]


@pytest.mark.parametrize("skips", ["concat-content-adain", "concat-content-transport"])
def test_low_memory_is_close_and_says_so(skips, caplog):
    model, content = tiny_model(skips), random_picture(700, 620)
    style, mask = model.compute_style_stats(random_picture(96, 96, seed=1)), torch.rand(9, 9)
    exact, close = (model(content, style, mask=mask, tile=200, low_memory=low) for low in (False, True))
    assert "approximate" in caplog.text
    assert 0 < (close - exact).abs().mean() < 0.2 * exact.std()


def test_thumbnails_have_512_pixels_along_their_short_side_at_most():
    assert thumbnail(random_picture(700, 620)).shape == (1, 3, 578, 512)
    small = random_picture(20, 600)
    assert thumbnail(small) is small


def test_low_memory_shows_no_seams():
    model, content, style = tiny_model("plain"), random_picture(600, 560), random_picture(96, 96, seed=1)
    options = {"mask": torch.rand(5, 7), "low_memory": True}
    whole, tiled = (model(content, style, tile=tile, **options) for tile in ("off", 150))
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("skips", "transform"), [("add-style", "adain"), ("plain", "wct")])
def test_low_memory_refuses_what_needs_the_whole(skips, transform):
    with pytest.raises(ValueError, match="low_memory"):
        tiny_model(skips)(random_picture(16, 16), random_picture(16, 16), transform=transform, low_memory=True)


@pytest.mark.parametrize(
    ("taps", "halo"), [(SKIP_TAPS, tiling.SKIP_HALO), (("relu4_1",), tiling.ENCODER_HALO)], ids=["skips", "deepest"]
)
def test_a_tiles_maps_are_those_of_the_whole_and_no_smaller_halo_would_do(taps, halo):
    encoder, picture = tiling.TiledEncoder(tiny_model("plain").encoder), random_picture(128, 128)
    whole, middle = (
        tiling.Tile(slice(0, 1), slice(0, 16), slice(0, 16)),
        tiling.Tile(slice(0, 1), slice(6, 10), slice(6, 10)),
    )
    expected = encoder.tile(picture, whole, taps)

    def error(halo: int) -> float:
        maps = encoder.tile(picture, middle, taps, halo)
        return max((maps[tap] - expected[tap][middle.at(tiling.STRIDES[tap])]).abs().max().item() for tap in taps)

    assert error(halo) < 1e-4 < error(halo - 1)
