import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest
from PIL import Image

from adain_core.cli import main
from adain_core.cli.gatys import describe
from adain_core.gatys import Losses, Result, Settings
from adain_core.images.files import read_picture
from adain_core.images.pictures import scale_short_side
from adain_core.pipeline.transfer import StyleTransfer
from tests.adain_core.cli.conftest import size_of
from tests.helpers import ROOT, random_picture


def test_gatys_makes_a_picture_of_the_size_and_says_how_it_went(photo, painting, tmp_path, capsys):
    out = tmp_path / "out" / "result.png"
    options = ["--size", "46", "--iterations", "5", "--optimizer", "adam", "--init", "noise", "--scales", "2"]
    assert main(["gatys", str(photo), str(painting), "-o", str(out), *options, "--device", "cpu"]) == 0
    assert size_of(out) == (64, 46)
    message = capsys.readouterr().out
    assert all(word in message for word in ("result.png", "5 evaluations", "content at relu4_1"))


@pytest.mark.parametrize("init", ["content", "adain"])
def test_gatys_starts_from_the_content_or_from_adain(photo, painting, tmp_path, init):
    out = tmp_path / "r.png"
    options = ["--size", "40", "--iterations", "1", "--init", init, "--device", "cpu"]
    assert main(["gatys", str(photo), str(painting), "-o", str(out), *options]) == 0
    same = (read_picture(out).rgb - read_picture(photo).rgb).abs().max() < 1 / 128
    assert same == (init == "content")


def test_gatys_starts_from_the_result_of_adain_with_its_weights(photo, painting, tmp_path):
    options = ["--size", "40", "--iterations", "1", "--init", "adain", "--weights", "3,1", "--device", "cpu"]
    assert main(["gatys", str(photo), str(painting), str(photo), "-o", str(tmp_path / "r.png"), *options]) == 0
    content, styles = read_picture(photo).rgb, [read_picture(path).rgb for path in (painting, photo)]
    model = StyleTransfer.from_pretrained(device="cpu", dtype="float32")
    expected = model(content, [scale_short_side(style, 40) for style in styles], weights=[3, 1])
    assert (read_picture(tmp_path / "r.png").rgb - expected).abs().max() < 1 / 255


def test_what_is_said_of_an_optimization_is_its_first_loss_and_its_lowest():
    losses = [Losses(loss, 0.0, 0.0) for loss in (5.0, 2.0, 3.0)]
    told = describe(Result(random_picture(8, 8), losses, Settings()))
    assert told.startswith("3 evaluations, loss 5 to 2; style at relu1_1, ")


def test_gatys_takes_several_styles_a_mask_and_keeps_transparency(painting, tmp_path):
    content, mask, out = tmp_path / "c.png", tmp_path / "m.png", tmp_path / "r.png"
    Image.new("RGBA", (40, 40), (90, 140, 30, 128)).save(content)
    Image.linear_gradient("L").save(mask)
    options = ["--weights", "2,1", "--mask", str(mask), "--size", "33", "--iterations", "2", "--device", "cpu"]
    assert main(["gatys", str(content), str(painting), str(painting), "-o", str(out), *options]) == 0
    with Image.open(out) as image:
        assert image.mode == "RGBA" and image.getpixel((5, 5))[3] == 128


def test_ctrl_c_ends_with_one_sentence_and_code_130(photo, painting, tmp_path):
    """The work has begun when the progress bar appears, which only a terminal gets."""
    termios = pytest.importorskip("termios", reason="Windows has no such terminals")
    out = tmp_path / "r.png"
    options = ["--size", "40", "--iterations", "10000", "--device", "cpu"]
    command = [sys.executable, "-m", "adain_core", "gatys", photo, painting, "-o", out, *options]
    screen, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    # A shell's jobs in the background ignore the signal, and so would a process that they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, cwd=ROOT, stderr=terminal)
    signal.signal(signal.SIGINT, before)
    os.close(terminal)
    watchdog = threading.Timer(300, process.kill)
    watchdog.start()
    text, sent = "", False
    with contextlib.suppress(OSError):  # which is how Linux ends a terminal
        while part := os.read(screen, 4096):
            text += part.decode()
            if "gatys:" in text and not sent:
                process.send_signal(signal.SIGINT)
                sent = True
    code = process.wait()
    watchdog.cancel()
    os.close(screen)
    assert code == 130 and text.endswith("adain: interrupted.\r\n") and "Traceback" not in text, text
    assert not out.exists()


def test_a_texture_has_the_size_that_was_asked_for(photo, tmp_path):
    out = tmp_path / "texture.png"
    assert main(["texture", str(photo), "-o", str(out), "--size", "48X36", "--iterations", "2", "--device", "cpu"]) == 0
    assert size_of(out) == (48, 36)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--iterations", "0"], "'0' is not a whole number"),
        (["--preset", "vgg"], "'vgg' is not gatys or tutorial"),
        (["--style-weight", "-1"], "'-1' is not a number from 0 to 1000"),
        (["--weights", "1,2"], "1 styles but 2 weights"),
        (["--model", "no-such-model"], "There is no model 'no-such-model'"),
        (["--seed", "-3"], "'-3' is not a whole number from 0"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(photo, tmp_path, capsys, options, message):
    assert message in refused(capsys, tmp_path, "gatys", photo, photo, *options)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("0x5", "'0' is not a whole number from 32"),
        ("9", "'9' is not a size such as 512x384"),
        ("9e4x32", "'9e4x32' is not a size"),
    ],
)
def test_bad_sizes_are_refused(photo, tmp_path, capsys, size, message):
    assert message in refused(capsys, tmp_path, "texture", photo, "--size", size)


def refused(capsys, tmp_path, *arguments) -> str:
    """The message of a command that must end with exit code 2 and no result."""
    out = tmp_path / "out.png"
    try:
        code = main([*map(str, arguments), "-o", str(out)])
    except SystemExit as exit_of_parser:
        code = exit_of_parser.code
    error = capsys.readouterr().err.strip()
    assert code == 2 and "\n" not in error
    assert not out.exists()
    return error
