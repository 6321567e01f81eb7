from pathlib import Path

import numpy as np
import pytest

from adain_core.films.colors import FilmError
from adain_core.films.files import convert_film
from adain_core.films.reading import duration_of, read_masks

av = pytest.importorskip("av")


def lively(path: Path, codec: str = "libx264", count: int = 40, **options: str) -> Path:
    """A film whose every frame is another noise, so that each has bytes to damage."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25, options=options)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for i in range(count):
            noise = np.random.default_rng(i).integers(0, 255, (8, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            container.mux(video.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(video.encode())
    return path


def test_a_film_is_as_long_as_its_header_says_in_every_container(tmp_path):
    for suffix in (".mp4", ".mkv"):
        assert duration_of(lively(tmp_path / f"film{suffix}")) == pytest.approx(40 / 25, abs=0.05)


def test_what_compression_leaves_a_little_off_in_masks_is_black_and_white(tmp_path):
    film = tmp_path / "masks.mkv"
    with av.open(str(film), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"qp": "0"})
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        pixels = np.full((32, 32, 3), 4, np.uint8)
        pixels[:, 16:] = 251
        container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode())
    (mask,) = read_masks(film)
    assert (mask[..., :14] == 0).all() and (mask[..., 18:] == 1).all()


def test_sound_alone_is_no_film(tmp_path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        audio = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        for last in (frame, None):
            container.mux(audio.encode(last))
    with pytest.raises(FilmError, match="has no pictures, only sound"):
        duration_of(tmp_path / "sound.mp4")


def test_what_is_no_film_is_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(FilmError, match="cannot be read as a film"):
        duration_of(tmp_path / "text.mp4")
    with pytest.raises(FilmError, match="no film"):
        duration_of(tmp_path / "missing.mp4")


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_damaged_frames_are_named(tmp_path, codec):
    film = lively(tmp_path / "film.mkv", codec)
    with av.open(str(film)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    content = bytearray(film.read_bytes())
    for packet in packets[15:25]:
        middle = content.index(packet) + len(packet) // 2
        content[middle : middle + 20] = bytes(byte ^ 0x55 for byte in content[middle : middle + 20])
    film.write_bytes(content)
    with pytest.raises(FilmError, match=r"damaged|could not be made"):
        convert_film(film, tmp_path / "out.mp4", lambda pictures: pictures)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("share", [0.5, 0.6])
def test_a_film_that_breaks_off_is_refused_before_the_work(tmp_path, suffix, share):
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    film = lively(tmp_path / "whole.mkv")
    with av.open(str(film)) as source, av.open(str(tmp_path / f"film{suffix}"), "w", options=options) as target:
        video = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
    film = tmp_path / f"film{suffix}"
    film.write_bytes(film.read_bytes()[: int(share * film.stat().st_size)])

    def never(pictures):
        raise AssertionError("the work began")

    with pytest.raises(FilmError, match=r"it should last 1\.\d s and ends after 0\.\d s|cannot be read to its end"):
        convert_film(film, tmp_path / "out.mp4", never)


def test_frames_that_a_decoder_leaves_out_are_missed(tmp_path):
    film = lively(tmp_path / "film.mkv", "libx265")
    with av.open(str(film)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    content = bytearray(film.read_bytes())
    for packet in packets[30:32]:  # units of a reserved kind, which decoders pass over
        length = 4
        content[content.index(packet) + length] = 41 << 1
    film.write_bytes(content)
    with pytest.raises(FilmError, match=r"lacks \d+ frames from 1\.\d\d s on"):
        convert_film(film, tmp_path / "out.mp4", lambda pictures: pictures)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_film_whose_beginning_was_cut_off_is_fine(tmp_path, suffix):
    film = lively(tmp_path / "film.mkv", "libx264", **{"x264-params": "open-gop=1:keyint=12:scenecut=0:bframes=3"})
    with av.open(str(film)) as source, av.open(str(tmp_path / f"cut{suffix}"), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is not None and number >= 12:
                packet.stream = video
                target.mux(packet)
    convert_film(tmp_path / f"cut{suffix}", tmp_path / "out.mp4", lambda pictures: pictures)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert 10 < sum(1 for _ in container.decode(video=0)) <= 28
