"""Whatever bytes stand in a file, its reader gives a value or its own error, and never runs or reserves too much."""

import io
import json

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save

from adain_core.images.files import ImageError, read_picture, write_picture
from adain_core.images.pictures import Picture
from adain_core.models.addresses import HubError, HubFile
from adain_core.models.checkpoint import read_checkpoint
from adain_core.models.convert import LAYOUTS
from adain_core.models.errors import WeightsError
from adain_core.models.weights import Weights, load_weights, resolve, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from adain_core.runtime.files import MAX_BYTES
from adain_core.styles.files import StyleFileError, list_styles
from adain_core.styles.stats import StyleStats
from tests.helpers import TINY_WIDTHS, random_picture, tiny_model

fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

READERS = {
    "weights.safetensors": (load_weights, WeightsError),
    "style.safetensors": (StyleStats.load, StyleFileError),
    "checkpoint.pth": (read_checkpoint, WeightsError),
    "stream.pth": (read_checkpoint, WeightsError),
    "mask.png": (read_picture, ImageError),
    "turned.jpg": (read_picture, ImageError),
    "page.tif": (read_picture, ImageError),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict[str, bytes]:
    """A sound file of each kind."""
    folder = tmp_path_factory.mktemp("good")
    widths = (2, 2, 2, 2)
    save_weights(Weights("s", Encoder(widths), Decoder(widths)), folder / "weights.safetensors")
    style = tiny_model().compute_style_stats(random_picture(20, 20), detail=("covariance", "quantiles"))
    style.save(folder / "style.safetensors")
    state = Encoder(widths).state_dict()
    torch.save(state, folder / "checkpoint.pth")
    torch.save(state, folder / "stream.pth", _use_new_zipfile_serialization=False)
    write_picture(Picture(random_picture(9, 12)), folder / "mask.png")
    tags = Image.Exif()
    tags.update({0x0112: 6, 0x010F: "maker", 0x8769: {0x9003: "2024:01:01 00:00:00", 0x829A: (1, 60)}})
    picture = Image.new("RGB", (12, 9), "red")
    picture.save(folder / "turned.jpg", exif=tags)
    picture.save(folder / "page.tif", save_all=True, append_images=[picture])
    return {name: (folder / name).read_bytes() for name in READERS}


def read(name: str, content: bytes, folder) -> None:
    """Read it; only the reader's own error is allowed, as one sentence."""
    reader, error = READERS[name]
    (folder / name).write_bytes(content)
    try:
        reader(folder / name)
    except error as refusal:
        assert name in str(refusal) and "\n" not in str(refusal)


@pytest.mark.parametrize("name", READERS)
@fuzz
@given(content=st.binary(max_size=300))
def test_any_bytes(name, tmp_path, content):
    read(name, content, tmp_path)


@pytest.mark.parametrize("name", READERS)
@fuzz
@given(data=st.data())
def test_a_sound_file_with_changes(name, good, tmp_path, data):
    content = bytearray(good[name])
    # The beginning holds the lengths, the shapes and the metadata.
    places = st.one_of(st.integers(0, min(len(content), 3000) - 1), st.integers(0, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(places)] = data.draw(st.integers(0, 255))
    read(name, bytes(content[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))]), tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "U8", "X9"]),
        "shape": st.lists(st.integers(-1, 2**63), max_size=4),
        "data_offsets": st.tuples(st.integers(-1, 2**63), st.integers(-1, 2**63)),
    }
)


@pytest.mark.parametrize("name", ["weights.safetensors", "style.safetensors"])
@fuzz
@given(
    header=st.dictionaries(
        st.sampled_from(["conv1_1.weight", "mean.relu4_1", "covariance.relu4_1", "__metadata__"]), ENTRY | JSON
    )
)
def test_any_header(name, tmp_path, header):
    text = json.dumps(header).encode()
    read(name, len(text).to_bytes(8, "little") + text, tmp_path)


@fuzz
@given(
    metadata=st.dictionaries(
        st.sampled_from(["format", "kind", "space", "widths", "decoder", "skip_strength", "name"]),
        st.sampled_from(["adain-1", "encoder", "decoder", "model", "style", "2,2,2,2", "9,9,9,99999", "1e999", "nan"])
        | st.text(max_size=10),
    )
)
@example(metadata={"format": "adain-1", "kind": "\n"})
def test_any_metadata(good, tmp_path, metadata):
    tensors = {"mean.relu4_1": torch.zeros(4), "std.relu4_1": torch.ones(4)}
    for name in ("weights.safetensors", "style.safetensors"):
        read(name, save(tensors, metadata), tmp_path)


@fuzz
@given(name=st.text(max_size=30) | st.sampled_from(["../x", "..\\x", "/etc/passwd", "lite\0", "C:\\x", "a/../../b"]))
def test_a_name_is_a_known_model_or_an_existing_path(name):
    if name.startswith("hf://"):
        return
    try:
        path = resolve(name)
    except (WeightsError, ValueError, OSError):
        return
    assert path.exists()


@fuzz
@given(
    address=st.text(max_size=40) | st.from_regex(r"hf://[a-z./@\\ %]{1,30}\.safetensors(@[a-z./]+)?", fullmatch=True)
)
def test_an_address_never_leaves_its_repository(address):
    try:
        file = HubFile.parse(address)
    except HubError:
        return
    assert ".." not in file.url and "\\" not in file.url and not file.filename.startswith("/")
    assert file.repo_id.count("/") == 1 and file.filename.endswith(".safetensors")


@pytest.mark.parametrize("name", ["../secret", "sub/../../secret", "/secret", "secret\0"])
def test_a_name_never_leaves_the_models_folder(tmp_path, monkeypatch, name):
    (tmp_path / "models").mkdir()
    save_weights(Weights("s", Encoder(TINY_WIDTHS)), tmp_path / "secret.safetensors")
    monkeypatch.setenv("ADAIN_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path / "models")
    with pytest.raises(ValueError):
        resolve(name)


def test_a_models_folder_lends_names(tmp_path, monkeypatch):
    save_weights(Weights("s", Encoder(TINY_WIDTHS)), tmp_path / "mine.safetensors")
    monkeypatch.setenv("ADAIN_MODELS", str(tmp_path))
    assert resolve("mine") == tmp_path / "mine.safetensors"


@pytest.mark.parametrize("name", ["huge.safetensors", "huge.pth"])
def test_a_file_that_is_too_large_is_not_opened(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    reader = load_weights if name.endswith("safetensors") else read_checkpoint
    with pytest.raises(WeightsError, match=str(MAX_BYTES)):
        reader(tmp_path / name)


def changed(path, tensors=(), **metadata) -> None:
    """Change some of a .safetensors file."""
    with safe_open(path, framework="pt") as file:
        whole = {key: file.get_tensor(key) for key in file.keys()} | dict(tensors)  # noqa: SIM118
        path.write_bytes(save(whole, file.metadata() | metadata))


def test_a_thumbnail_that_claims_to_be_huge(good, tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    jpeg = bytearray(buffer.getvalue())
    size = jpeg.index(b"\xff\xc0") + 5
    jpeg[size : size + 4] = b"\xff\xff\xff\xff"
    path = tmp_path / "style.safetensors"
    path.write_bytes(good[path.name])
    changed(path, {"thumbnail": torch.frombuffer(jpeg, dtype=torch.uint8)})
    with pytest.raises(StyleFileError, match="thumbnail"):
        StyleStats.load(path)
    assert list_styles(tmp_path) == []


@pytest.mark.parametrize("strength", ["nan", "inf", "-inf"])
def test_a_strength_that_is_no_number(good, tmp_path, strength):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(good[path.name])
    changed(path, skip_strength=strength)
    with pytest.raises(WeightsError, match="damaged metadata"):
        load_weights(path)


def test_weights_in_eight_bits_are_read_as_any_others(good, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(good[path.name])
    state = load_weights(path).decoder.state_dict()
    changed(path, {f"decoder.{key}": value.to(torch.float8_e4m3fn).contiguous() for key, value in state.items()})
    assert load_weights(path).decoder.conv1_1.weight.dtype == torch.float32


OTHER_TYPES = [torch.complex64, torch.int8, torch.int64, torch.bool, torch.uint16]


@pytest.mark.parametrize("dtype", OTHER_TYPES)
def test_weights_that_are_no_floats_are_refused(good, tmp_path, dtype):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(good[path.name])
    changed(path, {"decoder.conv1_1.bias": torch.zeros(3, dtype=dtype)})
    with pytest.raises(WeightsError, match=f"'conv1_1.bias' has numbers of the type {dtype}, expected floats"):
        load_weights(path)


@pytest.mark.parametrize("dtype", OTHER_TYPES)
def test_styles_that_are_no_floats_are_refused(good, tmp_path, dtype):
    path = tmp_path / "style.safetensors"
    path.write_bytes(good[path.name])
    changed(path, {"mean.relu4_1": torch.zeros(TINY_WIDTHS[3], dtype=dtype)})
    with pytest.raises(StyleFileError, match=f"'mean.relu4_1' has numbers of the type {dtype}, expected floats"):
        StyleStats.load(path)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [("F4", [8]), ("F32", [0, 2**64 - 1])],
    ids=["two numbers in a byte", "a side that no tensor has"],
)
@pytest.mark.parametrize("name", ["weights.safetensors", "style.safetensors"])
def test_tensors_that_pytorch_cannot_make_are_refused(tmp_path, name, dtype, shape):
    size = shape[0] // 2
    names = ("mean.relu4_1", "std.relu4_1") if name.startswith("style") else ("color.weight", "color.bias")
    header: dict = {"__metadata__": {"format": "adain-1", "kind": "style", "space": "s"}}
    for i, key in enumerate(names):
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [i * size, (i + 1) * size]}
    text = json.dumps(header).encode()
    read(name, len(text).to_bytes(8, "little") + text + bytes(2 * size), tmp_path)


def test_a_style_with_channels_of_another_model(tmp_path):
    model = tiny_model()
    model.compute_style_stats(random_picture(20, 20)).save(tmp_path / "s.safetensors")
    stats = StyleStats.load(tmp_path / "s.safetensors")
    changed(
        tmp_path / "s.safetensors",
        {f"{part}.{tap}": torch.ones(3) for part in ("mean", "std") for tap in stats.mean},
    )
    with pytest.raises(ValueError, match="channels"):
        model(random_picture(20, 20), StyleStats.load(tmp_path / "s.safetensors"))


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_biases_without_a_shape_are_refused_in_other_layouts(part, tmp_path):
    (layout,) = [x for x in LAYOUTS if x.name in ("torchvision's VGG-19", "pytorch-AdaIN's decoder") and x.part == part]
    network = Encoder(TINY_WIDTHS) if part == "encoder" else Decoder(TINY_WIDTHS)
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    tensors = {}
    for name, conv in zip(layout.convolutions, convolutions, strict=False):
        tensors |= {f"{name}.weight": conv.weight.detach(), f"{name}.bias": torch.tensor(0.5)}
    (tmp_path / "w.safetensors").write_bytes(save(tensors))
    with pytest.raises(WeightsError, match=r"bias' has the shape \(\), expected"):
        load_weights(tmp_path / "w.safetensors")


def test_a_key_of_thousands_of_parts_is_refused(tmp_path):
    path = tmp_path / "deep.safetensors"
    path.write_bytes(save({"a." * 3000 + "b": torch.zeros(1)}))
    with pytest.raises(WeightsError, match="holds 0 networks"):
        load_weights(path)
