from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adain_core.cli import parse
from adain_core.cli.video import at_frames, masks_of, stylizer
from adain_core.films.reading import frame_times, read_frames
from adain_core.films.smoothing import StyleTimeline
from adain_core.styles.stats import StyleStats
from tests.helpers import ROOT

av = pytest.importorskip("av")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Ten frames of 96 x 32 in ten colors, a second long."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 96, 32, "yuv420p"
        for i in range(10):
            pixels = np.full((32, 96, 3), (20 * i, 120, 255 - 20 * i), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
    return path


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]


def test_a_film_in_the_style_of_a_picture(run_here, film, painting, tmp_path):
    done = run_here(
        "video", film, painting, "-o", tmp_path / "out.mp4", "--smoothing", 0.5, "--keep-colors", "luminance"
    )
    assert done.returncode == 0, done.stderr
    assert times(tmp_path / "out.mp4") == pytest.approx(times(film))


def test_styles_over_time(run_here, film, painting, photo, tmp_path):
    keyframes = ("--keyframe", f"0:{painting}", "--keyframe", f"0.8:{photo}")
    done = run_here(
        "video", film, "-o", tmp_path / "out.mkv", *keyframes, "--size", 24, "--work-size", 16, "--low-memory"
    )
    assert done.returncode == 0, done.stderr
    assert len(times(tmp_path / "out.mkv")) == 10


def test_keyframes_are_in_seconds_where_frames_come_unevenly(tmp_path):
    path, ticks = tmp_path / "uneven.mkv", [500, 550, 600, 1500, 2500]  # milliseconds
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=20)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        for tick in ticks:
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 48, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    moments = [
        StyleStats({"relu4_1": torch.full((1, 1, 1, 1), x)}, {"relu4_1": torch.ones(1, 1, 1, 1)}, "s")
        for x in (0.0, 2.0)
    ]
    for first, own in ((0, [0.0, 0.05, 0.1, 1.0, 2.0]), (2, [0.1, 1.0, 2.0])):
        style = at_frames(StyleTimeline([0.0, 2.0], moments), frame_times(path), first)
        assert [style(i).mean["relu4_1"].item() for i in range(len(own))] == pytest.approx(own, abs=2e-3)


def save_masks(folder: Path, count: int) -> Path:
    """Masks of which one half is white, the left and the right in turn, with numbers that are not padded."""
    folder.mkdir()
    for i in range(count):
        mask = Image.new("L", (48, 32))
        mask.paste(255, (0, 0, 24, 32) if i % 2 == 0 else (24, 0, 48, 32))
        mask.save(folder / f"mask{i}.png")
    return folder


def film_of(masks: Path) -> Path:
    """A film of such masks beside their folder; .mkv does not say how many frames there are."""
    path = masks.with_suffix(".mkv")
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        for i in range(len(list(masks.iterdir()))):
            container.mux(video.encode(av.VideoFrame.from_image(Image.open(masks / f"mask{i}.png"))))
        container.mux(video.encode())
    return path


def halves(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    return [(picture[:, :16], picture[:, -16:]) for picture in pictures]


@pytest.mark.parametrize("kind", ["film", "folder"])
def test_each_frame_may_have_a_mask_of_its_own(run_here, film, painting, tmp_path, kind, caplog):
    masks = save_masks(tmp_path / "masks", 11)
    if kind == "film":
        masks = film_of(masks)
    options = ("--overwrite", "--dtype", "float32", "--smoothing", 0)
    plain, masked = tmp_path / "plain.mp4", tmp_path / "masked.mp4"
    assert run_here("video", film, painting, "-o", plain, *options, "--alpha", 0).returncode == 0
    for given in (("--mask", masks), ("--region", masks, painting)):
        styles = [painting] if given[0] == "--mask" else []
        done = run_here("video", film, *styles, "-o", masked, *options, *given)
        assert done.returncode == 0, done.stderr
        assert f"{masks} has 11 masks, but {film} has 10 frames; the masks are taken in order" in caplog.text
        for i, (bare, changed) in enumerate(zip(halves(plain), halves(masked), strict=True)):
            left, right = (np.abs(a - b).mean() for a, b in zip(bare, changed, strict=True))
            assert left > 2 * right if i % 2 == 0 else right > 2 * left


@pytest.mark.parametrize("kind", ["film", "folder"])
def test_masks_from_a_frame_on_are_counted_not_timed(tmp_path, kind):
    masks = save_masks(tmp_path / "masks", 4)
    mask = masks_of(film_of(masks) if kind == "film" else masks, first=1)
    for number, white in enumerate(("right", "left", "right")):
        left, right = (part.mean() for part in mask(number).chunk(2, dim=-1))
        assert (right > 0.9 > 0.1 > left) if white == "right" else (left > 0.9 > 0.1 > right)


@pytest.mark.parametrize("kind", ["film", "folder"])
def test_too_few_masks_are_named_before_the_work(run_here, film, painting, tmp_path, kind):
    masks = save_masks(tmp_path / "masks", 4)
    masks = film_of(masks) if kind == "film" else masks
    for given in (("--mask", masks), ("--region", masks, painting)):
        done = run_here("video", film, painting, "-o", tmp_path / "out.mp4", *given)
        assert done.returncode == 2 and f"{masks} has 4 masks, but {film} has 10 frames" in done.stderr
        assert not (tmp_path / "out.mp4").exists()


def test_a_process_that_begins_amid_a_film_takes_the_masks_from_there(film, painting, tmp_path):
    arguments = ["video", film, painting, "-o", tmp_path / "out.mp4", "--mask", save_masks(tmp_path / "masks", 10)]
    args = parse([*map(str, arguments), "--smoothing", "0", "--device", "cpu", "--dtype", "float32"])
    frames = list(read_frames(film))
    whole = list(stylizer(args)(iter(frames)))
    part = list(stylizer(args, frame_times(film)[5])(iter(frames[5:7])))
    torch.testing.assert_close(torch.cat(part), torch.cat(whole[5:7]))


def test_an_animated_picture_is_a_film(run_here, painting, tmp_path):
    frames = [Image.new("RGB", (32, 24), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:], duration=100)
    done = run_here("video", tmp_path / "moves.gif", painting, "-o", tmp_path / "out.mp4")
    assert done.returncode == 0, done.stderr
    assert len(times(tmp_path / "out.mp4")) == 3


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".jpg"])
def test_pictures_that_are_no_films_are_named(run_here, painting, tmp_path, suffix):
    frames = [Image.new("RGB", (32, 24), color) for color in ("red", "green", "blue")]
    several = {} if suffix == ".jpg" else {"save_all": True, "append_images": frames[1:]}
    frames[0].save(tmp_path / f"moves{suffix}", **several)
    done = run_here("video", tmp_path / f"moves{suffix}", painting, "-o", tmp_path / "out.mp4")
    assert done.returncode == 2 and f"moves{suffix} is a picture" in done.stderr
    assert "animated PNG or GIF" in done.stderr and not (tmp_path / "out.mp4").exists()


def test_a_film_that_exists_is_left(run_here, film, painting, tmp_path):
    out = tmp_path / "out.mp4"
    assert run_here("video", film, painting, "-o", out, "--skip-existing").stdout == f"Wrote {out}\n"
    before = out.read_bytes()
    done = run_here("video", film, painting, "-o", out, "--skip-existing", "--alpha", 0)
    assert (done.returncode, done.stdout) == (0, "Left what exists: 1\n") and out.read_bytes() == before


def test_processes_share_a_film(film, painting, tmp_path):
    out = tmp_path / f"{'long' * 60}.mp4"
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "adain_core"]
    command = [sys.executable, "-m", *launcher, "video", film, painting, "-o", out, "--device", "cpu"]
    command += ["--mask", save_masks(tmp_path / "masks", 10)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=ROOT, timeout=120, env=environment
    )
    assert (done.returncode, done.stdout) == (0, f"Wrote {out}\n"), done.stderr
    assert times(out) == pytest.approx(times(film))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "There is no style"),
        (("painting.png", "--keyframe", "0:painting.png"), "one of the two"),
        (("--keyframe", "soon:painting.png"), "not a time"),
        (("--keyframe", "0:painting.png", "--weights", "1"), "leave them out"),
        (("painting.png", "--mask", "nowhere.png"), "nowhere.png"),
        (("painting.png", "--smoothing", "1"), "'1' is not a number from 0 to 0.99"),
    ],
)
def test_what_does_not_fit_is_refused(run_here, film, painting, tmp_path, arguments, message):
    given = [str(painting) if argument == "painting.png" else argument for argument in arguments]
    done = run_here("video", film, *given, "-o", tmp_path / "out.mp4")
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_other_suffixes_and_films_that_are_none_are_refused(run_here, film, painting, tmp_path):
    assert "no known film suffix" in run_here("video", film, painting, "-o", tmp_path / "out.txt").stderr
    (tmp_path / "text.mp4").write_text("not a film")
    assert (
        "cannot be read as a film"
        in run_here("video", tmp_path / "text.mp4", painting, "-o", tmp_path / "o.mp4").stderr
    )
