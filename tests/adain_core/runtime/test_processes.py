"""Processes meet within a bounded time, or say why not."""

import socket
import time
from datetime import timedelta

import pytest

from adain_core.runtime import processes
from adain_core.runtime.environment import VariableError
from adain_core.runtime.processes import Processes, ProcessesError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def torchrun(monkeypatch):
    """Sets what torchrun would, or something else."""

    def variables(**values: object) -> None:
        for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name, raising=False)
            if name in values:
                monkeypatch.setenv(name, str(values[name]))

    return variables


@pytest.mark.parametrize("values", [{}, {"WORLD_SIZE": 1}, {"WORLD_SIZE": 1, "RANK": 7}])
def test_a_process_alone_does_everything(torchrun, values):
    torchrun(**values)
    alone = Processes.join()
    assert (alone.rank, alone.count) == (0, 1)
    assert alone.share([1, 2, 3]) == [1, 2, 3]
    assert alone.any(True) and not alone.any(False)
    alone.leave()


@pytest.mark.parametrize("size", ["0", "-1", "two", "", "1e3", "²", "9" * 5000])
def test_a_number_of_processes_that_is_none(torchrun, size):
    torchrun(WORLD_SIZE=size)
    with pytest.raises(VariableError, match=r"WORLD_SIZE is '.*whole number from 1"):
        Processes.join()


def test_a_stray_number_of_processes_says_so(torchrun):
    torchrun(WORLD_SIZE=2)
    with pytest.raises(ProcessesError, match=r"RANK and LOCAL_RANK and MASTER_ADDR and MASTER_PORT not set.*torchrun"):
        Processes.join()


def test_a_rank_beyond_the_processes(torchrun):
    torchrun(WORLD_SIZE=2, RANK=2, LOCAL_RANK=0, MASTER_ADDR="127.0.0.1", MASTER_PORT=1)
    with pytest.raises(ProcessesError, match="RANK = 2"):
        Processes.join()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_peer_that_never_comes_is_reported(torchrun, monkeypatch, rank):
    monkeypatch.setattr(processes, "_MEETING", timedelta(seconds=2))
    torchrun(WORLD_SIZE=2, RANK=rank, LOCAL_RANK=0, MASTER_ADDR="127.0.0.1", MASTER_PORT=free_port())
    start = time.monotonic()
    with pytest.raises(ProcessesError, match=r"WORLD_SIZE is 2 .* not so many processes met within"):
        Processes.join()
    assert time.monotonic() - start < 15


def test_shares_are_disjoint_and_complete():
    shares = [Processes(rank, 3).share(list(range(10))) for rank in range(3)]
    assert sorted(item for share in shares for item in share) == list(range(10)) and max(map(len, shares)) == 4
