"""Colors of films, with planes made from the formulas of ITU-R BT.601, BT.709 and BT.2020."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from adain_core.films.colors import FilmError
from adain_core.films.files import convert_film
from adain_core.films.reading import read_frames, read_masks

av = pytest.importorskip("av")

# The weights of red and blue in luma, by the matrix's number in ITU-T H.273.
LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
COLORS = ((0.8, 0.3, 0.2), (0.1, 0.6, 0.2), (0.2, 0.2, 0.9), (0.9, 0.9, 0.9))


def planes_of(color: tuple[float, ...], matrix: int, full: bool) -> list[int]:
    red, green, blue = color
    of_red, of_blue = LUMA[matrix]
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    chroma = (blue - luma) / (2 - 2 * of_blue), (red - luma) / (2 - 2 * of_red)
    if full:
        return [round(255 * luma), *(round(128 + 255 * c) for c in chroma)]
    return [round(16 + 219 * luma), *(round(128 + 224 * c) for c in chroma)]


def make_film(
    path: Path, planes: list[list[int]], size: tuple[int, int] = (64, 64), codec: str = "libx264", **tags: int
) -> Path:
    """A film of flat frames of these numbers, tagged or not."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25, options={"crf": "1"} if codec == "libx264" else {"q": "1"})
        video.width, video.height, video.pix_fmt = *size, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for name, value in tags.items():
            setattr(video.codec_context, name, value)
        for numbers in planes:
            frame = av.VideoFrame(*size, video.pix_fmt)
            for plane, number in zip(frame.planes, numbers, strict=True):
                plane.update(bytes([number]) * plane.buffer_size)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return path


def planes_in(path: Path) -> tuple[list[list[float]], av.VideoCodecContext]:
    with av.open(str(path)) as container:
        means = []
        for frame in container.decode(video=0):
            luma, chroma = np.split(frame.to_ndarray(), [frame.height])
            means.append([luma.mean(), *(half.mean() for half in np.split(chroma, 2))])
        return means, container.streams.video[0].codec_context


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize(("matrix", "primaries"), [(1, 1), (5, 5), (6, 6), (9, 9)])
@pytest.mark.parametrize("full", [False, True])
def test_colors_come_out_as_they_went_in(tmp_path, suffix, matrix, primaries, full):
    planes = [planes_of(color, matrix, full) for color in COLORS]
    tags = {"colorspace": matrix, "color_primaries": primaries, "color_trc": 1, "color_range": 2 if full else 1}
    film = make_film(tmp_path / f"film{suffix}", planes, **tags)
    seen = []

    def look(frames):
        for frame in frames:
            seen.append(frame)
            yield frame

    convert_film(film, tmp_path / f"out{suffix}", look)
    for frame, color in zip(seen, COLORS, strict=True):
        assert (frame.mean(dim=(0, 2, 3)) - torch.tensor(color)).abs().max() < 3.5 / 255
    results, context = planes_in(tmp_path / f"out{suffix}")
    assert np.abs(np.array(results) - planes).max() <= 1.5
    assert {name: getattr(context, name) for name in tags} == tags


@pytest.mark.parametrize(("size", "matrix"), [((64, 64), 6), ((1280, 64), 1), ((64, 720), 1), ((64, 576), 6)])
def test_films_that_do_not_say_are_what_players_take_them_for(tmp_path, size, matrix):
    film = make_film(tmp_path / "film.mp4", [planes_of(COLORS[0], matrix, False)], size)
    (frame,) = read_frames(film)
    assert (frame.mean(dim=(0, 2, 3)) - torch.tensor(COLORS[0])).abs().max() < 3.5 / 255
    convert_film(film, tmp_path / "out.mp4", lambda frames: (frame[..., :32, :32] for frame in frames))
    (numbers,), context = planes_in(tmp_path / "out.mp4")
    assert context.colorspace == matrix and context.color_range == 1
    assert np.abs(np.array(numbers) - planes_of(COLORS[0], matrix, False)).max() <= 1.5


def test_what_is_brighter_than_white_or_darker_than_black_stays_in_range(tmp_path):
    dark, bright = read_frames(make_film(tmp_path / "film.mp4", [[2, 128, 128], [252, 128, 128]]))
    assert dark.max() == 0 and bright.min() == 1


def test_masks_are_black_and_white_whatever_compression_made_of_them(tmp_path):
    black, white = read_masks(make_film(tmp_path / "film.mp4", [[19, 128, 128], [232, 128, 128]]))
    assert black.shape == (1, 64, 64) and black.max() == 0 and white.min() == 1


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_a_high_dynamic_range_is_refused_before_the_work(tmp_path, transfer, name):
    film = make_film(tmp_path / "film.mp4", [[90, 128, 128]], colorspace=9, color_primaries=9, color_trc=transfer)

    def never(frames):
        raise AssertionError("the work began")

    with pytest.raises(FilmError, match=rf"high dynamic range \({name}\).*convert it to BT\.709"):
        convert_film(film, tmp_path / "out.mp4", never)
    with pytest.raises(FilmError, match=name):
        next(read_frames(film))
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_a_matrix_that_is_not_known_is_refused(tmp_path):
    film = make_film(tmp_path / "film.mkv", [[90, 128, 128]], colorspace=8)
    with pytest.raises(FilmError, match="color matrix 8"):
        next(read_frames(film))


def test_a_film_of_rgb_has_its_colors(tmp_path):
    pixels = np.full((64, 64, 3), (204, 77, 51), np.uint8)
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        video = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        video.width, video.height, video.pix_fmt = 64, 64, "rgb24"
        container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
    (frame,) = read_frames(tmp_path / "film.mkv")
    assert (frame.mean(dim=(0, 2, 3)) * 255 - torch.tensor([204.0, 77, 51])).abs().max() < 0.5
    convert_film(tmp_path / "film.mkv", tmp_path / "out.mp4", lambda frames: frames)
    (numbers,), context = planes_in(tmp_path / "out.mp4")
    assert np.abs(np.array(numbers) - planes_of((0.8, 0.302, 0.2), 1, False)).max() <= 1.5
    assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)


def test_a_film_of_photographs_has_the_full_range(tmp_path):
    film = make_film(tmp_path / "film.mov", [planes_of(color, 5, True) for color in COLORS], codec="mjpeg")
    for frame, color in zip(read_frames(film), COLORS, strict=True):
        assert (frame.mean(dim=(0, 2, 3)) - torch.tensor(color)).abs().max() < 5 / 255
    convert_film(film, tmp_path / "out.mp4", lambda frames: frames)
    assert planes_in(tmp_path / "out.mp4")[1].color_range == 2
