"""The processes that work together: one, or those that torchrun starts on one machine or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

import torch
import torch.distributed as dist

from . import environment

T = TypeVar("T")

# To start, import torch and read the models on the slowest machine.
_MEETING = timedelta(minutes=2)
# While one process works the others wait; torchrun ends all of them as soon as one fails.
_WORK = timedelta(days=30)


class ProcessesError(ValueError):
    """The processes do not meet; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Processes:
    """This process among all.

    Args:
        rank: its number from 0; 0 writes what there is one of.
        count: how many there are.
        device: where this one computes.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=partial(torch.device, "cpu"))

    @classmethod
    def join(cls, device: torch.device | None = None) -> Processes:
        """Meet the others, if torchrun started several: it says so in the environment.

        Args:
            device: where to compute and exchange tensors (default: the CPU); of several GPUs each process of a machine
                takes its own.

        Raises:
            ProcessesError: not all came within two minutes, or the environment speaks of processes that torchrun did
                not start.
            VariableError: one of torchrun's variables holds no number.
        """
        device = device or torch.device("cpu")
        count = environment.torchrun_number("WORLD_SIZE", least=1)
        if count == 1:
            return cls(device=device)
        rank = environment.torchrun_number("RANK")
        missing = environment.missing_for_torchrun()
        if missing or rank >= count:
            wrong = f"{' and '.join(missing)} not set" if missing else f"RANK = {rank}"
            raise ProcessesError(
                f"WORLD_SIZE is {count} in the environment, with {wrong}: start several processes with torchrun, or"
                " unset WORLD_SIZE to work in one."
            )
        if device.type == "cuda":
            device = torch.device("cuda", environment.torchrun_number("LOCAL_RANK"))
            torch.cuda.set_device(device)
        try:
            store, *_ = next(dist.rendezvous("env://", timeout=_MEETING))
            store.set(f"adain {rank}", "is here")
            store.wait([f"adain {number}" for number in range(count)], _MEETING)
        except (RuntimeError, ValueError) as error:
            minutes = _MEETING.total_seconds() / 60
            raise ProcessesError(
                f"WORLD_SIZE is {count} in the environment, but not so many processes met within {minutes:g} minutes;"
                " start all of them with torchrun, or unset WORLD_SIZE to work in one."
            ) from error
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count)
        return cls(rank, count, device)

    def share(self, items: Sequence[T]) -> list[T]:
        """What this process does of the work that all were given: every n-th item."""
        return list(items[self.rank :: self.count])

    def first(self, item: T) -> T:
        """What the first process has, for all."""
        if self.count == 1:
            return item
        items = [item]
        dist.broadcast_object_list(items)
        return items[0]

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of a tensor over all processes."""
        if self.count > 1:
            dist.all_reduce(values)
            values /= self.count
        return values

    def any(self, flag: bool) -> bool:
        """Whether it is so in one of the processes."""
        return flag if self.count == 1 else self.mean(torch.tensor(float(flag), device=self.device)).item() > 0

    def wait(self) -> None:
        """Return when every process has come here, however long its work takes. torchrun ends all of them as soon as
        one exits with an error, so none may go before the others are done."""
        if self.count > 1:
            patient = dist.new_group(timeout=_WORK, backend="gloo")
            dist.barrier(patient)

    def leave(self) -> None:
        """Part from the others, when all are done; modules that communicate are to be gone by then."""
        if self.count > 1:
            self.wait()
            dist.destroy_process_group()
