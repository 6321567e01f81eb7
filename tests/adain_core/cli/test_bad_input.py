"""Each kind of bad input: one clear sentence on stderr, exit code 2, nothing half-written."""

import errno
import os

import pytest
import torch
from PIL import Image

from adain_core.cli import main
from adain_core.models.spaces import space_of
from adain_core.models.weights import Weights, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from tests.helpers import TINY_WIDTHS, files_of_at_most, posix


@pytest.fixture
def refused(capsys, photo, painting, tmp_path):
    """Runs a command that must be refused and returns its message. In this process: a new one each would take
    minutes.
    """
    out = tmp_path / "results" / "out.png"

    def run(*options, content=photo, style=painting, out=out) -> str:
        before = sorted(tmp_path.rglob("*"))
        try:
            code = main(["stylize", str(content), str(style), "-o", str(out), *map(str, options)])
        except SystemExit as exit_of_parser:
            code = exit_of_parser.code
        message = capsys.readouterr().err.strip()
        assert code == 2, (code, message)
        assert message and "\n" not in message, message
        assert "usage" not in message and "Traceback" not in message
        assert sorted(tmp_path.rglob("*")) == before
        return message

    return run


def test_a_process_ends_with_one_sentence_and_code_2(adain, photo, tmp_path):
    result = adain("stylize", photo, tmp_path / "missing.png", "-o", tmp_path / "out.png")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr == f"adain: There is no image file {tmp_path / 'missing.png'}.\n"


@pytest.mark.parametrize("role", ["content", "style"])
def test_a_missing_file(refused, tmp_path, role):
    assert "There is no image file" in refused(**{role: tmp_path / "missing.png"})


@pytest.mark.parametrize("role", ["content", "style"])
def test_an_empty_file(refused, tmp_path, role):
    (tmp_path / "empty.png").touch()
    message = refused(**{role: tmp_path / "empty.png"})
    assert "empty.png" in message and "it is empty" in message


def test_a_truncated_file(refused, photo, tmp_path):
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:-500])
    assert "cut.png" in refused(content=tmp_path / "cut.png")


def test_a_file_that_is_no_image(refused, tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    assert "not an image" in refused(style=tmp_path / "text.jpg")


def test_a_decompression_bomb(refused, tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "bomb.png")
    assert "too many pixels" in refused(content=tmp_path / "bomb.png")


@pytest.mark.parametrize("alpha", ["-0.5", "1.5", "nan", "inf", "much"])
def test_alpha_out_of_range(refused, alpha):
    message = refused(f"--alpha={alpha}")
    assert "--alpha" in message and f"'{alpha}' is not a number from 0 to 1" in message


@pytest.mark.parametrize(
    ("weights", "word"),
    [
        ("1,2", "1 styles but 2 weights"),
        ("-1", "'-1' is not numbers from 0 to 100"),
        ("1,nan", "'1,nan' is not numbers from 0 to 100"),
        ("101", "'101' is not numbers from 0 to 100"),
        ("0", "all zero"),
        ("a", "'a'"),
    ],
)
def test_weights_that_do_not_fit(refused, weights, word):
    assert word in refused(f"--weights={weights}")


@pytest.mark.parametrize("option", ["--size", "--style-size"])
@pytest.mark.parametrize("size", ["0", "-5", "2.5", "big", "1000000000"])
def test_a_size_that_is_none(refused, option, size):
    assert f"'{size}'" in refused(f"{option}={size}")


def test_a_missing_mask(refused, tmp_path):
    assert "mask.png" in refused("--mask", tmp_path / "mask.png")


def test_an_unknown_model_lists_the_known_ones(refused):
    message = refused("--model", "huge")
    assert "'huge'" in message and "lite" in message


def test_a_corrupt_weights_file(refused, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x10" * 64)
    assert "w.safetensors" in refused("--model", tmp_path / "w.safetensors")


def test_weights_of_another_space(refused, tmp_path):
    save_weights(Weights("other-12345678", decoder=Decoder(TINY_WIDTHS)), tmp_path / "d.safetensors")
    message = refused("--decoder", tmp_path / "d.safetensors")
    assert "other-12345678" in message and "lite-" in message


def test_weights_of_another_kind(refused, tmp_path):
    encoder = Encoder(TINY_WIDTHS)
    save_weights(Weights(space_of("e", encoder), encoder), tmp_path / "e.safetensors")
    assert "holds no decoder" in refused("--model", tmp_path / "e.safetensors")
    assert "holds no decoder" in refused("--decoder", tmp_path / "e.safetensors")


def test_a_file_where_a_folder_should_be(refused, photo):
    assert "is a file, not a folder" in refused(out=photo / "out.png")


def test_a_folder_where_a_file_should_be(refused, tmp_path):
    assert "is a folder" in refused(out=tmp_path)


@pytest.mark.skipif(not os.path.exists("/proc"), reason="needs Linux's /proc")
def test_no_right_to_write(refused):
    assert "cannot be written" in refused(out="/proc/adain/out.png")


@posix
@pytest.mark.skipif(os.access("/", os.W_OK), reason="root may write anywhere")
def test_no_right_to_write_is_seen_before_any_work(refused, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    message = refused("--model", "nowhere", out=tmp_path / "locked" / "deeper" / "out.png")
    assert f"{tmp_path / 'locked'} may not be written to" in message


@posix
def test_a_pipe_is_not_replaced(refused, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("/dev/null")
    for name in ("pipe.png", "link.png"):
        assert f"{name} is a device or a pipe" in refused("--overwrite", out=tmp_path / name)


def test_no_room_for_a_style(run_here, painting, tmp_path):
    out = tmp_path / "style.safetensors"
    with files_of_at_most(1000):
        done = run_here("style", painting, "-o", out)
    assert done.returncode == 2 and done.stderr == f"adain: {out} cannot be used: {os.strerror(errno.EFBIG)}.\n"
    assert sorted(tmp_path.iterdir()) == [painting]


def test_no_room_to_write(refused, tmp_path):
    out = tmp_path / "out.png"
    out.write_bytes(b"precious")
    with files_of_at_most(1000):
        message = refused("--overwrite", out=out)
    assert f"{out} cannot be written as PNG: {os.strerror(errno.EFBIG)}" in message
    assert out.read_bytes() == b"precious"


def test_an_unknown_suffix(refused, tmp_path):
    assert "image suffix" in refused(out=tmp_path / "out.docx")


@pytest.mark.parametrize("command", ["gatys {0} {0}", "texture {0} --size 32x32", "grid --content {0} --style {0}"])
def test_an_unknown_suffix_is_refused_before_any_work(run_here, photo, tmp_path, command):
    done = run_here(*command.format(photo).split(), "-o", tmp_path / "out.docx", "--model", "nowhere")
    assert done.returncode == 2 and "image suffix" in done.stderr


def test_a_checkpoint_of_pytorch_is_for_convert(refused, tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    assert "'adain convert'" in refused("--model", tmp_path / "module.pth")


def test_a_format_that_holds_no_colors(refused, tmp_path):
    assert "out.xbm" in refused(out=tmp_path / "out.xbm")


@pytest.mark.parametrize("device", ["warp", "meta"])
def test_an_unknown_device(refused, device):
    assert f"'{device}'" in refused("--device", device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_no_cuda_where_it_was_asked_for(refused):
    message = refused("--device", "cuda")
    assert "'cuda'" in message and "cpu" in message


def test_an_unknown_dtype(refused):
    message = refused("--dtype", "int3")
    assert "'int3'" in message and "bfloat16" in message


def test_a_folder_without_images(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no images" in refused(content=tmp_path / "empty", out=tmp_path / "out")


@pytest.mark.parametrize("role", ["content", "style", "out"])
def test_an_empty_name_is_not_the_current_folder(refused, role):
    message = refused(**{role: ""})
    assert role in message and "is empty" in message


@pytest.mark.parametrize("role", ["content", "style"])
@pytest.mark.parametrize("suffix", [".avif", ".gif", ".png", ".webp"])
def test_an_animation_is_not_a_picture(refused, tmp_path, role, suffix):
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / f"moves{suffix}", save_all=True, append_images=frames[1:])
    assert "is an animation" in refused(**{role: tmp_path / f"moves{suffix}"})


@pytest.mark.parametrize("option", [("--style-mask", "mask.png"), ("--style-scale", 2), ("--style-size", 16)])
def test_options_for_style_pictures_are_not_for_style_files(refused, painting, tmp_path, option):
    file = tmp_path / "style.safetensors"
    assert main(["style", str(painting), "-o", str(file)]) == 0
    for arguments in ({"style": file}, {"region": file}):
        given = ("--region", painting, arguments.pop("region")) if "region" in arguments else ()
        message = refused(*given, *option, **arguments)
        assert option[0] in message and str(file) in message


def test_a_wrong_option(refused):
    assert "--color" in refused("--color", "blue")


@pytest.mark.parametrize("role", ["content", "style"])
def test_pages_are_not_one_picture(refused, tmp_path, role):
    pages = [Image.new("RGB", (32, 24), color) for color in ("red", "green", "blue")]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert "pages.tif has several pages, not one picture" in refused(**{role: tmp_path / "pages.tif"})


@pytest.mark.parametrize("suffix", [".ico", ".icns", ".gif", ".pdf"])
def test_a_format_that_changes_the_result(refused, tmp_path, suffix):
    assert f"'out{suffix}' has no image suffix that holds a result" in refused(out=tmp_path / f"out{suffix}")


def test_a_result_longer_than_its_format_holds_is_refused_before_the_work(refused, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the work began")

    monkeypatch.setattr("adain_core.cli.stylize.StyleTransfer.__call__", never)
    Image.new("RGB", (100, 1)).save(tmp_path / "long.png")
    message = refused("--size", 200, content=tmp_path / "long.png", out=tmp_path / "out.webp")
    assert "20000 x 200 pixels" in message and "at most 16383" in message


@pytest.mark.parametrize("command", ["gatys", "stylize"])
def test_a_result_larger_than_its_format_holds_is_refused_before_the_work(
    run_here, painting, tmp_path, monkeypatch, command
):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr(f"adain_core.cli.{command}.stylize", never)
    Image.new("RGB", (16384, 32)).save(tmp_path / "wide.png")
    done = run_here(command, tmp_path / "wide.png", painting, "-o", tmp_path / "out.webp", "--size", 32)
    assert done.returncode == 2 and "16384" in done.stderr
