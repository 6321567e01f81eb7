"""AdaIN Stylize Video: VIDEO in, VIDEO out."""

import io
import sys
import weakref
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from adain_core.films.reading import count_frames, frame_times, read_frames, read_masks
from tests.nodes.fake import PACK
from tests.nodes.models import image, load, save_model

av = pytest.importorskip("av")

RATE = 25


@pytest.fixture(params=["0.3.64", "0.33.0"])
def api(request, comfy):
    """The V3 API of a version of ComfyUI, while the test lasts."""
    from comfy_api import latest

    latest.use(request.param)
    yield latest
    latest.use(latest.OLDEST)


@pytest.fixture
def newest(comfy):
    """The V3 API of the newest version, which trims."""
    from comfy_api import latest

    latest.use(latest.NEWEST)
    yield latest
    latest.use(latest.OLDEST)


def moving(frames=12, height=48, width=64):
    """A bright square that moves over a still picture, as an IMAGE."""
    pictures = image(height, width).repeat(frames, 1, 1, 1)
    for i in range(frames):
        pictures[i, 10:34, 4 * i : 4 * i + 20] = 1.0
    return pictures


def components(latest, pictures, sound=True):
    tone = torch.sin(torch.arange(len(pictures) * 16000 // RATE) / 9)[None, None]
    audio = {"waveform": tone, "sample_rate": 16000} if sound else None
    return latest.InputImpl.VideoFromComponents(latest.Types.VideoComponents(pictures, Fraction(RATE), audio))


@pytest.fixture
def file(comfy, tmp_path) -> Path:
    """Twelve frames with a tone."""
    from comfy_api import latest

    path = tmp_path / "input" / "film.mp4"
    components(latest, moving()).save_to(str(path))
    return path


def style(comfy, model, seed=1):
    return comfy.call("AdaINComputeStyleStats", model=model, image=image(seed=seed))[0]


def stylize(comfy, model, video, **options):
    (result,) = comfy.call("AdaINStylizeFilm", model=model, video=video, **{"style": image(seed=1)} | options)
    return Path(result.get_stream_source())


def stylized_frames(comfy, model, pictures, **options):
    """What AdaIN Stylize Frames makes of the same."""
    frames = torch.cat(list(pictures)).movedim(1, -1)
    options = {"style": image(seed=1)} | options
    return comfy.call("AdaINStylizeVideo", model=model, frames=frames, **options)[0].movedim(-1, 1)


@pytest.fixture
def written(monkeypatch) -> list:
    """The pictures that become frames of films, before they are compressed."""
    colors = sys.modules[f"{PACK}.adain_core.films.colors"].Colors
    pictures, to_frame = [], colors.to_frame

    def record(self, picture):
        pictures.append(picture)
        return to_frame(self, picture)

    monkeypatch.setattr(colors, "to_frame", record)
    return pictures


@pytest.fixture
def read(monkeypatch) -> list:
    """The pictures that frames of films become."""
    colors = sys.modules[f"{PACK}.adain_core.films.colors"].Colors
    pictures, to_tensor = [], colors.to_tensor

    def record(self, frame):
        pictures.append(to_tensor(self, frame))
        return pictures[-1]

    monkeypatch.setattr(colors, "to_tensor", record)
    return pictures


def assert_are(written, expected):
    torch.testing.assert_close(torch.cat(written), expected, atol=1e-4, rtol=0)


def packets(path, kind="audio"):
    with av.open(str(path)) as film:
        found = [packet for packet in film.demux(getattr(film.streams, kind)[0]) if packet.size]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in found]


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("source", ["file", "buffer", "components"])
def test_a_video_is_stylized_as_its_frames_are_and_its_sound_is_kept(
    comfy, api, tiny, file, tmp_path, read, written, source
):
    kinds = {"file": str(file), "buffer": io.BytesIO(file.read_bytes())}
    video = api.InputImpl.VideoFromFile(kinds[source]) if source in kinds else components(api, moving())
    options = {"style_end": image(seed=2), "keep_colors": "luminance", "size": 24, "smoothing": 0.5, "alpha": 0.9}
    path = stylize(comfy, tiny, video, **options)
    # Not those of the file: the encoder makes other ones of the same components each time.
    assert (torch.cat(read) - moving().movedim(-1, 1)).abs().mean() < 0.05
    assert_are(written, stylized_frames(comfy, tiny, read, **options))
    assert (torch.cat(list(read_frames(path))) - torch.cat(written)).abs().mean() < 0.05
    assert frame_times(path) == pytest.approx(frame_times(file), abs=1e-3)
    assert [data for _, data in packets(path)] == [data for _, data in packets(file)]
    assert files(tmp_path / "temp") == [path.name] and path.parent == tmp_path / "temp"
    assert files(tmp_path / "input") == ["film.mp4"]


@pytest.mark.parametrize("buffer", [False, True])
def test_a_trimmed_video_is_stylized_where_it_is_shown(comfy, newest, tiny, file, written, buffer):
    whole = newest.InputImpl.VideoFromFile(io.BytesIO(file.read_bytes()) if buffer else str(file))
    times = frame_times(file)
    for start, duration, shown in ((0.08, 0.28, slice(2, 9)), (0.2, 0, slice(5, 12)), (0, 0.08, slice(0, 2))):
        written.clear()
        path = stylize(comfy, tiny, whole.as_trimmed(start, duration))
        assert_are(written, stylized_frames(comfy, tiny, list(read_frames(file))[shown]))
        assert frame_times(path) == pytest.approx([time - start for time in times[shown]], abs=1e-3)
        heard = [
            data for time, data in packets(file) if (not start or time >= start) and time < start + (duration or 9)
        ]
        assert [data for _, data in packets(path)] == heard


def test_a_version_that_trims_and_does_not_say_where_is_asked_for_the_part(comfy, newest, tiny, file, tmp_path):
    from comfy_api.video import SilentlyTrimmedVideo

    path = stylize(comfy, tiny, SilentlyTrimmedVideo(str(file), start_time=0.12, duration=0.2))
    assert count_frames(path) == 5 and files(tmp_path / "temp") == [path.name]


def test_nothing_is_left_of_a_trim_without_frames_and_the_error_says_so(comfy, newest, tiny, file, tmp_path):
    with pytest.raises(ValueError, match=r"has no frames between 7 and 8 s"):
        stylize(comfy, tiny, newest.InputImpl.VideoFromFile(str(file), start_time=7, duration=1))
    assert files(tmp_path / "temp") == []


def test_sound_that_mp4_cannot_hold_goes_into_mkv(comfy, tiny, tmp_path, newest):
    path = tmp_path / "input" / "film.mkv"
    with av.open(str(path), "w") as film:
        video, audio = film.add_stream("libx264", rate=25), film.add_stream("pcm_s16be", rate=8000)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        pixels = (image(32, 32)[0] * 255).byte().numpy()
        film.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        frame = av.AudioFrame.from_ndarray(torch.zeros(1, 320, dtype=torch.int16).numpy(), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        for stream, last in ((audio, frame), (audio, None), (video, None)):
            film.mux(stream.encode(last))
    result = stylize(comfy, tiny, newest.InputImpl.VideoFromFile(str(path)))
    assert [data for _, data in packets(result)] == [data for _, data in packets(path)]


@pytest.mark.parametrize("buffer", [False, True])
def test_a_stop_leaves_no_file(comfy, tiny, file, tmp_path, api, buffer):
    import comfy.model_management as management

    looks = {"style": style(comfy, tiny)}
    for calls in (2, 20, 60):
        source = io.BytesIO(file.read_bytes()) if buffer else str(file)
        management.stop_after = calls
        with pytest.raises(management.InterruptProcessingException):
            stylize(comfy, tiny, api.InputImpl.VideoFromFile(source), **looks)
        assert files(tmp_path / "temp") == []


def test_the_bar_moves_with_every_frame_to_its_end(comfy, tiny, file, api, monkeypatch):
    import comfy.utils as utils

    shares, update = [], utils.ProgressBar.update_absolute

    def record(bar, value, **others):
        shares.append(value / bar.total)
        update(bar, value, **others)

    waves = style(comfy, tiny)
    monkeypatch.setattr(utils.ProgressBar, "update_absolute", record)
    stylize(comfy, tiny, api.InputImpl.VideoFromFile(str(file)), style=waves)
    assert shares == sorted(shares) and shares[-1] == 1
    for i in range(12):
        assert any(i / 12 <= share < (i + 1) / 12 for share in shares), i


def test_few_frames_are_in_memory_at_a_time(comfy, tiny, file, api, monkeypatch):
    colors = sys.modules[f"{PACK}.adain_core.films.colors"].Colors
    alive, most, decoded = weakref.WeakSet(), [], colors.to_tensor

    def to_tensor(self, frame):
        picture = decoded(self, frame)
        alive.add(picture)
        most.append(len(alive))
        return picture

    monkeypatch.setattr(colors, "to_tensor", to_tensor)
    stylize(comfy, tiny, api.InputImpl.VideoFromFile(str(file)))
    assert len(most) == 12 and max(most) <= 3


def squares(frames=12):
    masks = torch.zeros(frames, 48, 64)
    for i in range(frames):
        masks[i, 10:34, 4 * i : 4 * i + 20] = 1
    return masks


@pytest.fixture
def matte(comfy, tmp_path) -> Path:
    """The squares as a film."""
    from comfy_api import latest

    path = tmp_path / "matte.mp4"
    components(latest, squares()[..., None].repeat(1, 1, 1, 3), sound=False).save_to(str(path))
    return path


@pytest.mark.parametrize("kind", ["video", "batch", "one"])
def test_masks_are_a_video_a_batch_or_one(comfy, api, tiny, file, written, kind, matte, tmp_path):
    masks = squares()[:1] if kind == "one" else squares()
    if kind == "video":
        assert (torch.cat(list(read_masks(matte))) - masks).abs().mean() < 0.02
        masks = torch.cat(list(read_masks(matte)))
    mask = api.InputImpl.VideoFromFile(io.BytesIO(matte.read_bytes())) if kind == "video" else masks
    path = stylize(comfy, tiny, api.InputImpl.VideoFromFile(str(file)), mask=mask)
    expected = stylized_frames(comfy, tiny, read_frames(file), mask=masks)
    assert_are(written, expected)
    assert (expected - stylized_frames(comfy, tiny, read_frames(file))).abs().mean() > 1e-3
    assert files(tmp_path / "temp") == [path.name]


def test_the_mask_of_a_trimmed_video_may_be_trimmed_itself(comfy, newest, tiny, file, matte, written):
    video = newest.InputImpl.VideoFromFile(str(file), start_time=0.12, duration=0.2)
    mask = newest.InputImpl.VideoFromFile(str(matte), start_time=0.24)
    stylize(comfy, tiny, video, mask=mask)
    masks = torch.cat(list(read_masks(matte)))[6:11]
    assert_are(written, stylized_frames(comfy, tiny, list(read_frames(file))[3:8], mask=masks))


def test_what_does_not_fit_is_named(comfy, tiny, file, api, tmp_path):
    video = api.InputImpl.VideoFromFile(str(file))
    other = load(comfy, save_model("other.safetensors", space="other"))
    short = components(api, squares(5)[..., None].repeat(1, 1, 1, 3), sound=False)
    for options, message in (
        ({"mask": short}, "'mask' has 5 frames, but 'video' 12"),
        ({"mask": squares(5)}, "'mask' is a batch of 5, but 'video' of 12"),
        ({"style_end": style(comfy, other)}, "'style_end' belongs to the space other, 'model' to tiny"),
        ({"size": 70000}, "size is 70000"),
    ):
        with pytest.raises(ValueError, match=message):
            stylize(comfy, tiny, video, **options)
    (regions,) = comfy.call("AdaINRegion", mask=squares(3), style=style(comfy, tiny))
    with pytest.raises(ValueError, match="'regions' is a batch of 3, but 'video' of 12"):
        stylize(comfy, tiny, video, regions=regions)
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(ValueError, match="cannot be read as a film"):
        stylize(comfy, tiny, api.InputImpl.VideoFromFile(str(tmp_path / "text.mp4")))
    assert files(tmp_path / "temp") == []
