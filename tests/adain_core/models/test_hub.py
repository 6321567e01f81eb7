"""The Hub, against a local server that speaks its protocol and counts what it serves."""

import errno
import hashlib
import os
import subprocess
import sys
import time
import traceback
from dataclasses import replace

import huggingface_hub
import pytest

from adain_core.models.addresses import HubError, HubFile
from adain_core.models.hub import download
from adain_core.models.weights import Weights, load_model, resolve, save_weights
from adain_core.networks.decoder import Decoder
from adain_core.networks.encoder import Encoder
from tests.helpers import ROOT, TINY_WIDTHS, files_of_at_most
from tests.hub_server import Hub, part_files

ADDRESS = "hf://someone/styles/models/tiny.safetensors"


@pytest.fixture
def model(tmp_path) -> bytes:
    path = tmp_path / "source.safetensors"
    save_weights(Weights("tiny", Encoder(TINY_WIDTHS), Decoder(TINY_WIDTHS)), path)
    return path.read_bytes()


@pytest.fixture
def served(hub, model, tmp_path) -> Hub:
    hub.add("someone/styles/models/tiny.safetensors@main", model, tmp_path)
    return hub


def test_an_address_loads_as_a_model_once(served):
    weights = load_model(ADDRESS)
    assert weights.space == "tiny" and weights.encoder.widths == TINY_WIDTHS
    before = served.served
    load_model(ADDRESS + "@main")
    assert served.served == before


def test_a_pinned_commit_is_never_asked_for_again(served, model, tmp_path):
    commit = "a" * 40
    served.add(f"someone/styles/models/tiny.safetensors@{commit}", model, tmp_path)
    download(HubFile.parse(f"{ADDRESS}@{commit}"))
    count = len(served.requests)
    assert load_model(f"{ADDRESS}@{commit}").decoder is not None
    assert len(served.requests) == count


def test_a_download_is_announced_with_its_address_and_size(served, model, caplog):
    caplog.set_level("INFO", "adain_core")
    download(HubFile.parse(ADDRESS))
    assert f"{ADDRESS}@main" in caplog.text and served.endpoint in caplog.text
    assert f"{len(model) / 1e6:.1f} MB" in caplog.text and "ADAIN_OFFLINE" in caplog.text


def test_a_download_reports_its_progress_and_is_ended_by_it(served, model, tmp_path):
    shares = []
    load_model(ADDRESS, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1

    def stop(share: float) -> None:
        raise StopAsyncIteration

    served.add("another/place/tiny.safetensors", model, tmp_path)
    with pytest.raises(StopAsyncIteration):
        load_model("hf://another/place/tiny.safetensors", progress=stop)
    assert HubFile.parse("hf://another/place/tiny.safetensors").cached() is None


def test_a_malformed_repository_is_refused_in_one_sentence(hub):
    with pytest.raises(HubError, match=r"^hf://a--b/c/x\.safetensors@main cannot be downloaded"):
        download(HubFile.parse("hf://a--b/c/x.safetensors"))


def test_the_projects_own_repository_needs_no_name(monkeypatch):
    monkeypatch.delenv("ADAIN_REPOSITORY", raising=False)
    assert HubFile.parse("hf://lite.safetensors") == HubFile("comfyui-adain/adain", "lite.safetensors")
    monkeypatch.setenv("ADAIN_REPOSITORY", "fork/adain")
    assert HubFile.parse("hf://lite.safetensors") == HubFile("fork/adain", "lite.safetensors")


@pytest.mark.parametrize(
    "address",
    [
        *("hf://", "hf://a/b", "hf://a/b/../../etc/x.safetensors", "hf://a/b/m.pth", "hf://a/b/m.safetensors@"),
        *("hf://../m", "hf://a/b/c d.safetensors", "hf://a/b/m.safetensors@x y", "hf:///etc/passwd"),
        *("hf://http://evil/m.safetensors", "hf:///etc/m.safetensors", "hf://a/b/..\\m.safetensors"),
    ],
)
def test_an_address_of_another_form_is_refused(address, hub):
    with pytest.raises(HubError, match="no address on the Hub"):
        resolve(address)
    assert hub.requests == []


def test_a_token_is_sent_to_the_hub_and_nowhere_else(served, monkeypatch):
    served.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    load_model(ADDRESS)
    assert served.tokens == {"hub": "Bearer hf_secret", "storage": None}


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (401, "RepoNotFound", "no such repository, or it is private.*HF_TOKEN"),
        (401, "", "HF_TOKEN"),
        (403, "GatedRepo", "is gated: ask for access"),
        (404, "RepoNotFound", "no such repository"),
        (404, "RevisionNotFound", "no revision 'main'"),
        (404, "EntryNotFound", "no such file"),
        (500, "", "cannot be downloaded from .*500"),
    ],
)
def test_a_refusal_is_one_sentence(served, tmp_path, status, code, sentence):
    served.status = (status, code)
    with pytest.raises(HubError, match=sentence) as error:
        load_model(ADDRESS)
    assert "\n" not in str(error.value) and str(error.value).startswith(ADDRESS)
    assert part_files(tmp_path) == []


def break_server(hub: Hub, fault: str) -> None:
    if fault == "down":
        hub.files.clear()
        hub.status = (503, "")
    elif fault == "loop":
        hub.loop = True
    elif fault == "slow":
        hub.delay = 3
    elif fault == "short":
        hub.shorten = 100


@pytest.mark.parametrize("fault", ["down", "loop", "slow", "short"])
def test_a_server_that_fails_leaves_nothing_behind(served, tmp_path, fault):
    break_server(served, fault)
    with pytest.raises(HubError, match="cannot be downloaded from") as error:
        load_model(ADDRESS)
    assert "\n" not in str(error.value)
    assert part_files(tmp_path) == []
    served.__dict__.update(Hub(files=served.files, port=served.port).__dict__)
    if fault != "down":
        assert load_model(ADDRESS).space == "tiny"


def test_no_server_at_all(served, monkeypatch):
    monkeypatch.setattr(
        huggingface_hub.constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}",
    )
    with pytest.raises(HubError, match="cannot be downloaded from"):
        load_model(ADDRESS)


@pytest.mark.parametrize("fault", ["down", "loop", "slow", "401"])
def test_an_earlier_good_copy_is_used_while_the_server_fails(served, caplog, fault):
    load_model(ADDRESS)
    break_server(served, fault)
    if fault == "401":
        served.status = (401, "RepoNotFound")
    assert load_model(ADDRESS).space == "tiny"
    assert "copy from before" in caplog.text


def test_a_broken_connection_is_resumed_where_it_broke(served, model, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    served.cut, served.cuts = len(model) // 2, 1
    assert load_model(ADDRESS).space == "tiny"
    assert len(model) <= served.served < len(model) + 1000


@pytest.mark.parametrize("announced", [True, False])
def test_a_wrong_hash_is_refused_and_the_file_removed(served, monkeypatch, tmp_path, announced):
    if not announced:
        hostile(served, monkeypatch, headers={"X-Linked-Etag": '"no hash"'})
    file = replace(HubFile.parse(ADDRESS), sha256="0" * 64)
    with pytest.raises(HubError, match="SHA-256"):
        download(file)
    assert list((tmp_path / "cache").rglob("*.safetensors")) == []


def test_the_hubs_own_hash_is_checked(served, model, tmp_path):
    """The content changes between the Hub's answer and the storage's."""
    path = next(iter(served.files.values()))
    digest = hashlib.sha256(model).hexdigest()
    original = hashlib.sha256

    class Other(type(path)):
        def read_bytes(self):
            return model

    path.write_bytes(model[:-4] + b"abcd")
    served.files = {key: Other(path) for key in served.files}
    assert original(path.read_bytes()).hexdigest() != digest
    with pytest.raises(HubError, match=digest):
        download(HubFile.parse(ADDRESS))


@pytest.mark.parametrize("switch", ["ADAIN_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked_and_the_cache_still_serves(served, monkeypatch, switch):
    def go_offline():
        if switch == "ADAIN_OFFLINE":
            monkeypatch.setenv(switch, "1")
        else:
            monkeypatch.setattr(huggingface_hub.constants, switch, True)

    with monkeypatch.context() as patch:
        patch.setenv("ADAIN_OFFLINE", "1")
        with pytest.raises(HubError, match="forbids it"):
            load_model(ADDRESS)
    assert served.requests == []
    load_model(ADDRESS)
    go_offline()
    count = len(served.requests)
    assert load_model(ADDRESS).space == "tiny"
    with pytest.raises(HubError, match="was not downloaded before"):
        load_model("hf://someone/styles/other.safetensors")
    assert len(served.requests) == count


def test_a_cache_that_cannot_be_written(served, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(huggingface_hub.constants, "HF_ASSETS_CACHE", str(tmp_path / "file" / "assets"))
    with pytest.raises(HubError, match="no folder to keep downloads") as error:
        load_model(ADDRESS)
    assert "\n" not in str(error.value) and "file" in str(error.value)


def test_a_full_disk_leaves_nothing_half_written(served, tmp_path):
    with files_of_at_most(1000), pytest.raises(HubError, match=os.strerror(errno.EFBIG)):
        load_model(ADDRESS)
    assert part_files(tmp_path) == []
    assert load_model(ADDRESS).space == "tiny"


def test_a_file_that_claims_to_be_too_large_is_not_asked_for(served, tmp_path, monkeypatch):
    monkeypatch.setattr("adain_core.models.transfers.MAX_BYTES", 1000)
    with pytest.raises(HubError, match="at most 1000"):
        load_model(ADDRESS)
    assert served.served == 0


def hostile(hub: Hub, monkeypatch, **answer: object) -> None:
    """Give the server another answer, and little patience with it."""
    monkeypatch.setattr("adain_core.models.transfers._PATIENCE", 2)
    hub.__dict__.update(answer)


@pytest.mark.parametrize("etag", ["../../../../escaped", "{elsewhere}/escaped", "a\\b", "x" * 300, "é"])
def test_what_a_server_calls_a_file_is_no_name_here(served, model, monkeypatch, tmp_path, tmp_path_factory, etag):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    etag = etag.format(elsewhere=elsewhere)
    hostile(served, monkeypatch, headers={"X-Linked-Etag": f'"{etag}"', "X-Repo-Commit": "../../escaped"})
    assert load_model(ADDRESS).space == "tiny"
    copies = {path.name for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == model}
    assert copies == {"source.safetensors", "served-0", "tiny.safetensors"}
    assert not list(tmp_path.parent.glob("escaped*")) and not list(elsewhere.iterdir())


@pytest.mark.parametrize("header", ["Retry-After", "RateLimit"])
def test_a_server_that_asks_to_come_back_in_a_year(served, monkeypatch, header):
    wait = {"Retry-After": "31536000", "RateLimit": '"api";r=0;t=31536000'}[header]
    hostile(served, monkeypatch, storage=429, headers={header: wait})
    start = time.monotonic()
    with pytest.raises(HubError, match=r"nothing came for 2 s|429"):
        load_model(ADDRESS)
    assert time.monotonic() - start < 10


def test_a_server_that_sends_a_byte_now_and_then(served, monkeypatch):
    hostile(served, monkeypatch, trickle=0.3)
    start = time.monotonic()
    with pytest.raises(HubError, match="nothing came for 2 s"):
        load_model(ADDRESS)
    assert time.monotonic() - start < 10


def test_a_wait_for_a_silent_server_is_ended_by_the_callback(served, monkeypatch):
    served.delay = 0.8
    start = time.monotonic()

    def stop_later(share):
        if time.monotonic() > start + 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_model(ADDRESS, progress=stop_later)
    assert time.monotonic() - start < 0.7


def test_more_than_was_announced_is_not_taken(served, model, monkeypatch, tmp_path):
    hostile(served, monkeypatch, endless=True)
    with pytest.raises(HubError, match=f"sends more than the {len(model)} bytes"):
        load_model(ADDRESS)
    assert served.served < 2**26
    assert part_files(tmp_path) == []


@pytest.mark.parametrize("fault", ["down", "401", "", "Retry-After"])
def test_a_password_in_the_endpoint_is_never_told(served, monkeypatch, caplog, capfd, fault):
    constants, secret = huggingface_hub.constants, "se%40cret"
    caplog.set_level("DEBUG", "adain_core")
    for name in ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE"):
        monkeypatch.setattr(constants, name, getattr(constants, name).replace("//", f"//user:{secret}@"))
    if fault == "down":
        served.cut, served.cuts = 0, 99
        monkeypatch.setattr("adain_core.models.transfers._PATIENCE", 3)
    elif fault == "401":
        served.status = (401, "")
    elif fault:
        hostile(served, monkeypatch, storage=429, headers={"Retry-After": "99"})
    try:
        load_model(ADDRESS)
        told = ""
    except HubError as error:
        told = "".join(traceback.format_exception(error))
    told += caplog.text + "".join(capfd.readouterr())
    assert bool(fault) == ("HubError" in told) and secret not in told


def test_two_processes_at_once_with_the_users_own_settings(served, tmp_path):
    """The environment alone, as users set it, and the command line."""
    environment = os.environ | {"HF_ENDPOINT": served.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_t"}
    served.token = "hf_t"
    commands = [
        [sys.executable, "-m", "adain_core", "convert", ADDRESS, "-o", str(tmp_path / f"out{i}")] for i in range(2)
    ]
    processes = [
        subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True) for command in commands
    ]
    for i, process in enumerate(processes):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert load_model(tmp_path / f"out{i}" / "tiny.safetensors").space == "tiny"
    assert len(list((tmp_path / "home").rglob("tiny.safetensors"))) == 1
