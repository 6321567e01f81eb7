"""``adain info``: what is at hand, and that the table of licenses is complete."""

import re
import subprocess
from fnmatch import fnmatch

import adain_core
from adain_core.cli import main
from adain_core.cli.info import LICENSES
from adain_core.models.presets import PRESETS
from adain_core.models.weights import Weights, embedded_models, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from tests.helpers import ROOT, TINY_WIDTHS

ASSETS = ("*.safetensors", "*.jpg", "*.jpeg", "*.png", "*.webp", "*.gif", "*.mp4", "*.pth")


def table() -> dict[str, tuple[str, str]]:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", LICENSES.read_text(), re.MULTILINE)
    return {pattern: (license, origin) for what, license, origin in rows[2:] for pattern in what.split(", ")}


def test_info_lists_embedded_models_ones_own_and_presets(tmp_path, monkeypatch, capsys):
    decoder = Decoder(TINY_WIDTHS, style_inside=True)
    save_weights(Weights("s", Encoder(TINY_WIDTHS), decoder), tmp_path / "mine.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    monkeypatch.setenv("ADAIN_MODELS", str(tmp_path))
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for name in (*embedded_models(), "mine", "broken", *PRESETS):
        assert re.search(rf"^{name}: ", out, re.MULTILINE), name
    networks = Encoder(TINY_WIDTHS), decoder
    size = f"{sum(p.numel() for network in networks for p in network.parameters()) / 1e6:.2f} M parameters, 0.1 MiB"
    assert f"  widths   8, 12, 16, 24; plain with its one style inside (for alpha 0)\n  size     {size}\n" in out
    assert out.count("with its one style inside") == 2  # mine and study-norm-batch
    assert "hf://timm/vgg19.tv_in1k/model.safetensors@" in out


def test_the_licenses_are_printed(capsys):
    assert main(["info", "--licenses"]) == 0
    assert capsys.readouterr().out == LICENSES.read_text()


def test_every_weight_and_picture_of_the_repository_has_a_license():
    tracked = subprocess.run(["git", "ls-files", "-z", *ASSETS], cwd=ROOT, capture_output=True, text=True, check=True)
    patterns = table()
    assert "code" in patterns and all(license and origin for license, origin in patterns.values())
    missing = [
        path
        for path in tracked.stdout.rstrip("\0").split("\0")
        if not any(fnmatch(path, pattern) for pattern in patterns)
    ]
    assert tracked.stdout and missing == []


def test_every_preset_has_a_license():
    assert all(f"{preset.space} (fetched)" in table() for preset in PRESETS.values())


def test_the_version_is_the_packages(run_here):
    done = run_here("--version")
    assert (done.returncode, done.stdout) == (0, f"adain {adain_core.__version__}\n")
