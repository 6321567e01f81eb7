"""The package's front: its public names and the command line's first moment."""

import os
import subprocess
import sys

import pytest

import adain_core
from adain_core import public
from tests.helpers import ROOT


def test_public_names_are_there_before_they_are_used():
    script = "from adain_core import *; assert callable(StyleTransfer) and callable(mix) and gatys.stylize"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    assert {*adain_core.__all__, "__version__"} <= {*dir(adain_core)}
    assert all(getattr(adain_core, name) is getattr(public, name) for name in public.__all__)


def test_a_name_that_there_is_not_is_refused_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'adain_core' has no attribute 'stylise'"):
        _ = adain_core.stylise


def test_pytorch_is_loaded_when_a_name_is_first_used():
    script = "import sys, adain_core; assert 'torch' not in sys.modules; adain_core.mix; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_ctrl_c_while_pytorch_is_loaded(tmp_path):
    # Where the tests run in a shell's background Ctrl-C is ignored, and a child inherits that.
    (tmp_path / "torch.py").write_text(
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nsignal.raise_signal(signal.SIGINT)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "adain_core", "info"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "adain: interrupted.\n")
