"""The processes that train together: one, or those that torchrun starts."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist

from adain_core.runtime.device import resolve_device


@dataclass(frozen=True)
class Processes:
    """This process among all.

    Args:
        rank: its number; 0 writes the files.
        count: how many there are.
        device: where this one computes.
    """

    rank: int
    count: int
    device: torch.device

    @classmethod
    def join(cls, device: str) -> Processes:
        """Meet the others, if torchrun started several (it says so in the environment).

        Raises:
            DeviceError: there is no such device on this machine.
        """
        count = int(os.environ.get("WORLD_SIZE", "1"))
        target = resolve_device(device)
        if count == 1:
            return cls(0, 1, target)
        if target.type == "cuda":
            target = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(target)
        dist.init_process_group("nccl" if target.type == "cuda" else "gloo")
        return cls(dist.get_rank(), count, target)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of a tensor over all processes."""
        if self.count > 1:
            dist.all_reduce(values)
            values /= self.count
        return values

    def any(self, flag: bool) -> bool:
        """Whether it is so in one of the processes."""
        return flag if self.count == 1 else self.mean(torch.tensor(float(flag), device=self.device)).item() > 0

    def leave(self) -> None:
        """Part from the others, when all are done; modules that communicate are to be gone by then."""
        if self.count > 1:
            dist.barrier()
            dist.destroy_process_group()
