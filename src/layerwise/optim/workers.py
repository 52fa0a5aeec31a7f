"""Data-parallel workers: what each must know of the others before a step."""

from collections.abc import Sequence

import torch
from torch import distributed, nn
from torch.distributed import ProcessGroup

from layerwise.optim.sums import Sums


def process_group_of(model: nn.Module, given: ProcessGroup | None) -> ProcessGroup | None:
    """The group over which factors are averaged; None where there is one worker.

    It is the given one, or that of a DistributedDataParallel. RuntimeError if there are several
    workers and neither says which of them share a model: their weights would drift apart.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    if given is None and isinstance(model, nn.parallel.DistributedDataParallel):
        given = model.process_group
    if given is None and distributed.get_world_size() > 1:
        raise RuntimeError(
            f"torch.distributed has {distributed.get_world_size()} workers: give KFAC the "
            "process_group over which the gradients are averaged, such as "
            "torch.distributed.group.WORLD, or make it with the DistributedDataParallel as model."
        )
    if given is None or distributed.get_world_size(given) == 1:
        return None
    return given


def size_of(group: ProcessGroup | None) -> int:
    """How many workers there are."""
    return 1 if group is None else distributed.get_world_size(group)


def check_workers(problems: Sequence[str], states: Sequence[int], group: ProcessGroup) -> None:
    """RuntimeError on all workers alike if one has problems, or layers in another state.

    One that raised alone would leave the others waiting for it.
    """
    squares = [state**2 for state in states]
    some, *sums = totals([len(problems) > 0, *states, *squares], group)
    if problems:
        raise RuntimeError(problems[0])
    if some:
        raise RuntimeError("KFAC refuses this step on another worker.")
    size = distributed.get_world_size(group)
    for first, second in zip(sums[: len(states)], sums[len(states) :], strict=True):
        if first**2 != size * second:  # they differ, by Cauchy and Schwarz
            raise RuntimeError(
                "A layer has a gradient on some workers and not on others: KFAC needs the same "
                "layers, and samples, on all of them."
            )


def totals(values: Sequence[int], group: ProcessGroup) -> list[int]:
    """Sums over the workers of some counts."""
    on_cpu = "gloo" in distributed.get_backend(group)
    tensor = torch.tensor(
        values, device="cpu" if on_cpu else torch.accelerator.current_accelerator()
    )
    distributed.all_reduce(tensor, group=group)
    return tensor.tolist()


def summed(sums: Sums, group: ProcessGroup) -> Sums:
    """Sums over the rows of all workers."""
    samples, rows = totals([sums.samples, sums.rows], group)
    tensors = [t.clone() for t in (sums.inputs, sums.outputs) if t is not None]
    for tensor in tensors:
        distributed.all_reduce(tensor, group=group)
    return Sums(samples, rows, tensors[0], tensors[1] if len(tensors) > 1 else None)
