"""Time a training step of Adam, of layerwise's KFAC and, where they are installed, of public ones.

Each method trains a copy of its own of the same network. In each round every method takes one step
on the same batch, in an order that turns from round to round, so that whatever slows the machine
slows all alike. Printed are the mean milliseconds of CPU time of a step, its ratio to Adam's and the
quartiles, over the rounds, of the ratio to Adam's step of the same round; and the optimiser's state in
multiples of the parameters' size.

    python examples/time_optimizers.py            # a few minutes on one thread
    python examples/time_optimizers.py --quick    # a few seconds
    pip install asdfghjkl singd --no-deps         # other implementations, for comparison only
"""

import argparse
import contextlib
import copy
import importlib.util
import time
from collections.abc import Callable
from statistics import mean, quantiles

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from layerwise.optim import KFAC
from networks import Block, cnn

CLASSES, BATCH, WIDTH = 10, 128, 64
Step = Callable[[Tensor, Tensor], None]


class Encoder(nn.Module):
    """A transformer encoder of two blocks with mean pooling."""

    def __init__(self) -> None:
        super().__init__()
        blocks = (Block(WIDTH, 2 * WIDTH, nn.ReLU()) for _ in range(2))
        self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x).mean(dim=1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP": (
        lambda: nn.Sequential(
            nn.Linear(WIDTH, 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, CLASSES),
        ),
        (WIDTH,),
    ),
    "CNN": (lambda: cnn(16, CLASSES), (1, 16, 16)),
    "transformer": (Encoder, (16, WIDTH)),
}


def plain(optimizer: Callable[[nn.Module], torch.optim.Optimizer]) -> Callable[[nn.Module], tuple]:
    """A method that is a torch.optim.Optimizer: its step, and the optimiser."""

    def make(model: nn.Module) -> tuple[Step, torch.optim.Optimizer]:
        its = optimizer(model)

        def step(x: Tensor, y: Tensor) -> None:
            its.zero_grad()
            cross_entropy(model(x), y).backward()
            its.step()

        return step, its

    return make


def kfac(**options: object) -> Callable[[nn.Module], tuple]:
    """Our KFAC, with Adam for what is in no layer; at a step size that changes nothing."""
    return plain(
        lambda model: KFAC(
            model,
            lr=1e-6,
            damping=1e-2,
            loss="cross_entropy",
            factor_decay=0.9,
            other=lambda parameters: torch.optim.Adam(parameters, lr=1e-6),
            **options,
        )
    )


def asdl(model: nn.Module) -> tuple[Step, None]:
    """KFAC of ASDL (Osawa et al. 2023), sampled Fisher, preconditioning gradients for SGD."""
    from asdl import FISHER_MC, KfacGradientMaker, PreconditioningConfig

    # It marks ranges for NVIDIA's profiler, which PyTorch's builds for CPUs lack.
    torch.cuda.nvtx.range = lambda *_: contextlib.nullcontext()
    config = PreconditioningConfig(data_size=BATCH, damping=1e-2, ema_decay=0.1)
    maker = KfacGradientMaker(model, config, fisher_type=FISHER_MC)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        output = maker.setup_model_call(model, x)
        maker.setup_loss_call(cross_entropy, output, y)
        maker.forward_and_backward()
        optimizer.step()

    return step, None


def singd(model: nn.Module) -> tuple[Step, None]:
    """Inverse-free KFAC with dense factors (Lin et al. 2024), empirical Fisher; SGD for the rest."""
    from singd.optim.optimizer import SINGD

    return plain(
        lambda m: SINGD(m, lr=1e-6, T=1, damping=1e-2, kfac_like=True, warn_unsupported=False)
    )(model)


METHODS: dict[str, Callable[[nn.Module], tuple]] = {
    "Adam": plain(lambda model: torch.optim.Adam(model.parameters(), lr=1e-6)),
    "KFAC gauss_newton": kfac(),
    "KFAC sampled": kfac(precondition_outputs="sampled"),
    "KFAC empirical": kfac(precondition_outputs="empirical"),
    "KFAC none": kfac(precondition_outputs="none"),
    "KFAC sampled, every 10th": kfac(precondition_outputs="sampled", update_interval=10),
}
PUBLIC = {"asdl": ("ASDL KFAC sampled", asdl), "singd": ("SINGD empirical", singd)}


def state_size(optimizer: torch.optim.Optimizer | None, model: nn.Module) -> float:
    """Bytes of the state's tensors, in multiples of the parameters'; nan if it is not to be seen."""
    if not optimizer or not optimizer.state:
        return float("nan")
    tensors = [
        v for state in optimizer.state.values() for v in state.values() if torch.is_tensor(v)
    ]
    parameters = sum(p.nbytes for p in model.parameters())
    return sum(tensor.nbytes for tensor in tensors) / parameters


def measure(network: str, rounds: int, batch: int) -> None:
    """Print a row for each method."""
    make, shape = NETWORKS[network]
    torch.manual_seed(0)
    model = make()
    methods = dict(METHODS)
    for module, (name, method) in PUBLIC.items():
        if importlib.util.find_spec(module):
            methods[name] = method
    copies = {name: copy.deepcopy(model) for name in methods}
    steps = {name: method(copies[name]) for name, method in methods.items()}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    names = list(methods)
    for index in range(-2, rounds):  # two rounds to warm up
        x, y = torch.randn(batch, *shape), torch.randint(CLASSES, (batch,))
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.process_time()
            steps[name][0](x, y)
            if index >= 0:
                seconds[name].append(time.process_time() - start)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"\n{network}, {parameters:,} parameters, batches of {batch}")
    print(f"{'method':26}{'ms/step':>9}{'/ Adam':>8}{'quartiles':>14}{'state':>8}")
    for name in names:
        ratios = [a / b for a, b in zip(seconds[name], seconds["Adam"], strict=True)]
        low, _, high = quantiles(ratios, n=4)
        whole = sum(seconds[name]) / sum(seconds["Adam"])
        size = state_size(steps[name][1], copies[name])
        print(
            f"{name:26}{1000 * mean(seconds[name]):9.2f}{whole:8.2f}"
            f"{f'{low:.2f}-{high:.2f}':>14}{size:8.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few rounds, too few to compare")
    rounds, batch = (2, 8) if parser.parse_args().quick else (40, BATCH)
    for network in NETWORKS:
        measure(network, rounds, batch)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
