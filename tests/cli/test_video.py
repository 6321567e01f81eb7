from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import ROOT

av = pytest.importorskip("av")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Ten frames of 48 x 32 in ten colours, a second long."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        for i in range(10):
            pixels = np.full((32, 48, 3), (20 * i, 120, 255 - 20 * i), np.uint8)
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


def test_processes_share_a_film(film, painting, tmp_path):
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "adain_core"]
    command = [sys.executable, "-m", *launcher, "video", film, painting, "-o", tmp_path / "out.mp4", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=ROOT, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert times(tmp_path / "out.mp4") == pytest.approx(times(film))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--keyframe"),
        (("painting.png", "--keyframe", "0:painting.png"), "one of the two"),
        (("--keyframe", "soon:painting.png"), "not a time"),
        (("--keyframe", "0:painting.png", "--weights", "1"), "leave them out"),
        (("painting.png", "--mask", "nowhere.png"), "nowhere.png"),
        (("painting.png", "--smoothing", "1"), "smoothing is 1"),
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
