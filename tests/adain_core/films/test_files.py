import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adain_core.films.colors import FilmError
from adain_core.films.files import convert_film, join_films
from adain_core.films.reading import (
    count_frames,
    duration_of,
    frame_times,
    one_for_each,
    read_frames,
    read_masks,
)

av = pytest.importorskip("av")

RATE = Fraction(30000, 1001)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Thirty frames of 64 x 48 in which a block walks to the right, with a tone."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=RATE), container.add_stream("aac", rate=44100)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            pixels = np.full((48, 64, 3), (40, 120, 200), np.uint8)
            pixels[10:30, i : i + 20] = (230, 60, 30)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        tone = np.sin(np.arange(44100) / 20).astype(np.float32)[None]
        for start in range(0, 44100, 1024):
            frame = av.AudioFrame.from_ndarray(tone[:, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, start
            container.mux(audio.encode(frame))
        container.mux(video.encode())
        container.mux(audio.encode())
    return path


def frames(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24").astype(int)) for frame in container.decode(video=0)]


def sound(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return b"".join(bytes(packet) for packet in container.demux(audio=0) if packet.size)


def identity(pictures):
    return pictures


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_times_pictures_and_sound_are_kept(film, tmp_path, suffix):
    target = tmp_path / f"out{suffix}"
    convert_film(film, target, lambda pictures: pictures)
    before, after = frames(film), frames(target)
    delay = after[0][0] - before[0][0]
    assert [t for t, _ in after] == pytest.approx([t + delay for t, _ in before], abs=2e-3)
    assert max(np.abs(a - b).mean() for (_, a), (_, b) in zip(before, after, strict=True)) < 4
    assert sound(target) == sound(film)
    with av.open(str(target)) as container:
        assert container.streams.video[0].average_rate == pytest.approx(RATE, rel=1e-3)


def test_pictures_that_change_their_size_are_refused(tmp_path):
    packets = []
    for width, height in ((32, 24), (24, 32)):
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuvj420p", Fraction(1, 10)
        frame = av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="rgb24")
        frame = frame.reformat(format="yuvj420p")
        frame.pts = 0
        packets += encoder.encode(frame)
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        video = container.add_stream("mjpeg", rate=10)
        video.width, video.height, video.pix_fmt = 32, 24, "yuvj420p"
        for i, packet in enumerate(packets):
            packet.stream, packet.time_base, packet.pts, packet.dts = video, Fraction(1, 10), i, i
            container.mux(packet)
    with pytest.raises(FilmError, match=r"change their size at 0\.10 s"):
        convert_film(tmp_path / "film.mkv", tmp_path / "out.mp4", identity)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("name", ["10:30.mp4", "pipe:0.mp4"])
def test_a_name_with_a_colon_is_no_address(film, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    film.rename(tmp_path / name)
    convert_film(Path(name), Path(f"new {name}"), identity)
    assert len(frames(tmp_path / f"new {name}")) == count_frames(Path(name)) == 30


def test_a_link_stays_one_and_what_it_points_to_is_written(film, tmp_path):
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real.mp4")
    convert_film(film, tmp_path / "link.mp4", identity)
    assert (tmp_path / "link.mp4").is_symlink() and len(frames(tmp_path / "real.mp4")) == 30


def test_results_may_come_in_batches_and_in_another_size(film, tmp_path):
    def change(pictures):
        batch = torch.cat(list(pictures))
        yield from (1 - batch[:, :, :31, :45]).split(7)

    convert_film(film, tmp_path / "out.mp4", change)
    results = frames(tmp_path / "out.mp4")
    assert len(results) == 30 and results[0][1].shape == (32, 46, 3)
    for place in ((2, 40), (31, 40), (2, 45)):  # the last row and column are doubled
        assert np.abs(results[0][1][place] - (255 - np.array((40, 120, 200)))).max() < 8


def turn(film: Path, cosine: int, sine: int) -> None:
    """Write into an .mp4 how to turn its pictures clockwise, as phones do: the matrix of its track, in 16.16."""
    unturned = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", cosine << 16, sine << 16, 0, -sine << 16, cosine << 16, 0, 0, 0, 1 << 30)
    content = film.read_bytes()
    place = content.index(unturned, content.index(b"tkhd"))
    film.write_bytes(content[:place] + turned + content[place + len(turned) :])


@pytest.mark.parametrize(("cosine", "sine", "quarters"), [(0, 1, 1), (-1, 0, 2), (0, -1, 3)])
def test_rotation_is_applied(film, tmp_path, cosine, sine, quarters):
    turn(film, cosine, sine)
    convert_film(film, tmp_path / "out.mp4", lambda pictures: pictures)
    stored, upright = frames(film)[0][1], frames(tmp_path / "out.mp4")[0][1]
    assert np.abs(np.rot90(stored, -quarters) - upright).mean() < 4
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_an_interrupted_film_plays(film, tmp_path):
    def stop_at_ten(pictures):
        for i, picture in enumerate(pictures):
            if i == 10:
                raise KeyboardInterrupt
            yield picture

    with pytest.raises(KeyboardInterrupt):
        convert_film(film, tmp_path / "out.mp4", stop_at_ten)
    assert len(frames(tmp_path / "out.partial.mp4")) == 10 and not (tmp_path / "out.mp4").exists()
    with pytest.raises(KeyboardInterrupt):
        convert_film(film, tmp_path / "part.mov", stop_at_ten, part=True)
    assert not list(tmp_path.glob("*part*.mov"))
    with pytest.raises(KeyboardInterrupt):
        convert_film(film, film, stop_at_ten)
    assert len(frames(film)) == 30


def test_a_film_that_is_interrupted_before_its_first_frame_leaves_what_was_there(film, tmp_path):
    def stop(pictures):
        raise KeyboardInterrupt

    (tmp_path / "out.mp4").write_text("an older result")
    with pytest.raises(KeyboardInterrupt):
        convert_film(film, tmp_path / "out.mp4", stop)
    assert (tmp_path / "out.mp4").read_text() == "an older result"


def test_a_span_without_frames_writes_nothing(film, tmp_path):
    convert_film(film, tmp_path / "part.mov", lambda pictures: pictures, (5.0, 6.0), part=True)
    assert not (tmp_path / "part.mov").exists()


@pytest.mark.parametrize(
    ("codec", "held_by", "suffix"),
    [
        ("libopus", ".mkv", ".mov"),
        ("flac", ".mkv", ".m4v"),
        ("pcm_s16le", ".mov", ".m4v"),
        ("pcm_s16le", ".mkv", ".mp4"),
    ],
)
def test_sound_that_does_not_fit_is_named_before_the_work(tmp_path, codec, held_by, suffix):
    film = tmp_path / f"film{held_by}"
    with av.open(str(film), "w") as container:
        video, audio = container.add_stream("libx264", rate=25), container.add_stream(codec, rate=48000)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        for stream, last in ((audio, frame), (audio, None), (video, None)):
            container.mux(stream.encode(last))

    def never(pictures):
        raise AssertionError("the work began")

    with pytest.raises(FilmError, match=rf"sound of .*{held_by} is .*, which {suffix} cannot hold"):
        convert_film(film, tmp_path / f"out{suffix}", never)


def test_a_failed_film_leaves_nothing(film, tmp_path):
    def fail(pictures):
        for picture in pictures:
            yield picture
            raise ValueError("no style")

    with pytest.raises(ValueError, match="no style"):
        convert_film(film, tmp_path / "out.mp4", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_spans_join_to_the_whole(film, tmp_path):
    parts = [tmp_path / "0.mov", tmp_path / "1.mov"]
    for part, span in zip(parts, [(0.0, 0.4), (0.4, float("inf"))], strict=True):
        convert_film(film, part, lambda pictures: pictures, span, part=True)
    join_films(parts, film, tmp_path / "out.mp4")
    before, after = frames(film), frames(tmp_path / "out.mp4")
    assert [t for t, _ in after] == pytest.approx([t for t, _ in before], abs=1e-3)
    assert sound(tmp_path / "out.mp4") == sound(film)


def timed_sound(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in packets]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (0.4, 0.75), (0.5, float("inf"))])
def test_a_span_becomes_a_film_of_its_own_with_its_sound_in_time(film, tmp_path, suffix, start, end):
    """Also where the sound lies behind all pictures in the file, as in films that were joined."""
    for source in (film, tmp_path / "behind.mp4"):
        if not source.exists():
            convert_film(film, tmp_path / "0.mov", identity, (0.0, float("inf")), part=True)
            join_films([tmp_path / "0.mov"], film, source)
        target = tmp_path / f"out{suffix}"
        convert_film(source, target, identity, (start, end))
        expected = [(t - start, picture) for t, picture in frames(source) if start <= t < end]
        made = frames(target)
        delay = made[0][0] - expected[0][0]  # that of the first packet of AAC, whose time is below 0, in .mkv
        assert delay == pytest.approx(0, abs=2e-3) or (suffix == ".mkv" and start == 0)
        assert [t for t, _ in made] == pytest.approx([t + delay for t, _ in expected], abs=2e-3)
        assert max(np.abs(a - b).mean() for (_, a), (_, b) in zip(made, expected, strict=True)) < 4
        heard = [(t - start, data) for t, data in timed_sound(source) if (start == 0 or t >= start) and t < end]
        assert [data for _, data in timed_sound(target)] == [data for _, data in heard]
        assert [t for t, _ in timed_sound(target)] == pytest.approx([t + delay for t, _ in heard], abs=2e-3)


def test_a_film_of_its_own_needs_frames(film, tmp_path):
    with pytest.raises(FilmError, match=r"has no frames between 5 and 6 s\.$"):
        convert_film(film, tmp_path / "out.mp4", identity, (5.0, 6.0))
    assert not (tmp_path / "out.mp4").exists()


def test_frames_and_masks_of_a_span(film):
    times = frame_times(film)
    assert count_frames(film) == len(times) == 30
    assert duration_of(film) == pytest.approx(30 / RATE, abs=0.01)
    span = (times[7], times[12])
    assert count_frames(film, span) == 5
    whole, some = list(read_frames(film)), list(read_frames(film, span))
    assert len(whole) == 30 and torch.equal(torch.cat(some), torch.cat(whole[7:12]))
    masks = one_for_each(read_masks(film, span), "matte.mp4")
    assert masks(0).shape == (1, 48, 64) and not torch.equal(masks(1), masks(2))
    for number in (3, 4):
        masks(number)
    with pytest.raises(FilmError, match=r"matte\.mp4 ends before the film"):
        masks(5)


def test_progress_rises_to_the_end(film, tmp_path):
    shares = []
    convert_film(film, tmp_path / "out.mp4", lambda pictures: pictures, progress=shares.append)
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1


def test_a_name_as_long_as_a_folder_holds_is_written(film, tmp_path):
    target = tmp_path / (251 * "n" + ".mp4")
    convert_film(film, target, identity)
    assert len(frames(target)) == 30


def test_a_list_of_other_files_is_no_film(film, tmp_path):
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile {film.name}\n")
    with pytest.raises(FilmError, match="a list of other files"):
        duration_of(tmp_path / "list.mp4")


def test_an_animated_avif_is_not_taken_for_its_first_frame(tmp_path):
    pictures = [Image.new("RGB", (32, 32), color) for color in ("red", "green")]
    pictures[0].save(tmp_path / "moves.avif", save_all=True, append_images=pictures[1:])
    (tmp_path / "moves.avif").rename(tmp_path / "moves.mp4")
    with pytest.raises(FilmError, match="AVIF"):
        convert_film(tmp_path / "moves.mp4", tmp_path / "out.mp4", identity)
