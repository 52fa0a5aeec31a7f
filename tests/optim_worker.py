"""A data-parallel worker: `python optim_worker.py RANK FILE OUT`. Imported by no test."""

import sys

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from layerwise.optim import KFAC
from optim_problems import N, batch, deep_net, half_mse

WORKERS, STEPS = 2, 3


def train(rank, kind, bucket_views):
    """Three steps, each worker on its half of the batch."""
    model = deep_net()
    parallel = DistributedDataParallel(model, gradient_as_bucket_view=bucket_views)
    optimizer = KFAC(parallel, 0.1, precondition_outputs=kind, factor_decay=0.5)
    own = slice(rank * N // WORKERS, (rank + 1) * N // WORKERS)
    for t in range(STEPS):
        x, y = batch(t)
        optimizer.zero_grad()
        half_mse(parallel(x[own]), y[own]).backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()]


def refused(rank, make, spoil):
    """What a step says, and whether the weights have moved."""
    model = deep_net()
    optimizer = make(model)
    x, y = batch()
    half_mse(model(x), y).backward()
    spoil(rank, model)
    before = [p.detach().clone() for p in model.parameters()]
    try:
        optimizer.step()
    except RuntimeError as error:
        moved = any(not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
        return str(error), moved
    return "", True


def replace_gradient(rank, model):
    if rank == 1:
        model[2].weight.grad = model[2].weight.grad.clone()


def drop_gradient(rank, model):
    if rank == 1:
        model[2].weight.grad = model[2].bias.grad = None


def main(rank, file, out):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{file}", rank=rank, world_size=WORKERS
    )
    grouped = lambda m: KFAC(m, 0.1, process_group=distributed.group.WORLD)  # noqa: E731
    results = {
        "gauss_newton": train(rank, "gauss_newton", False),
        "empirical": train(rank, "empirical", False),
        "views": train(rank, "gauss_newton", True),
        "no group": refused(rank, lambda m: KFAC(m, 0.1), lambda *_: None),
        "one refuses": refused(rank, grouped, replace_gradient),
        "one has none": refused(rank, grouped, drop_gradient),
    }
    torch.save(results, f"{out}.{rank}")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
