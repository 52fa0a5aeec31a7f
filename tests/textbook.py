"""Every network and update rule in its textbook form, on a raw batch of a single run.

Gradients come from autograd and inverses are dense: nothing here knows of moments or of batched
runs. ``x`` is (n, d_x), ``y`` (n, d_y), ``G`` (k, d_x), ``F`` (d_y, k).
"""

import pkgutil
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Forward = Callable[[Tensor, Tensor, Tensor], Tensor]


def forwards(covariance: Tensor) -> dict[str, Forward]:
    """The training-mode output of each network, as a function of G, F, x."""
    values, vectors = torch.linalg.eigh(covariance)
    whitening = vectors @ torch.diag(values**-0.5) @ vectors.T

    def normalise(z: Tensor) -> Tensor:
        return functional.batch_norm(z, None, None, training=True, eps=1e-5)

    return {
        "plain": lambda G, F, x: x @ G.T @ F.T,
        "whitened": lambda G, F, x: x @ whitening @ G.T @ F.T,
        "bn_input": lambda G, F, x: normalise(x) @ G.T @ F.T,
        "bn_hidden": lambda G, F, x: normalise(x @ G.T) @ F.T,
    }


def batch_loss(forward: Forward, G: Tensor, F: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Half the mean over the batch of the squared norm of the error."""
    return 0.5 * (y - forward(G, F, x)).square().sum(dim=1).mean()


def gradients(
    forward: Forward, G: Tensor, F: Tensor, x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Autograd's gradients of the batch loss."""
    G, F = G.detach().requires_grad_(), F.detach().requires_grad_()
    return torch.autograd.grad(batch_loss(forward, G, F, x, y), (G, F))


def ggn(G: Tensor, F: Tensor, x: Tensor) -> Tensor:
    """The Gauss-Newton matrix of the batch loss over (vec G, vec F), rows flattened first."""
    jacobians = torch.autograd.functional.jacobian(lambda g, f: x @ g.T @ f.T, (G, F))
    J = torch.cat([part.reshape(x.shape[0] * F.shape[0], -1) for part in jacobians], dim=1)
    return J.T @ J / len(x)


def damped(matrix: Tensor, damping: float) -> Tensor:
    """With damping in units of the mean size of the diagonal, which is the mean eigenvalue of what is
    positive."""
    unit = matrix.diagonal().abs().mean()
    return matrix + damping * unit * torch.eye(len(matrix), dtype=matrix.dtype)


class Textbook:
    """One run of a rule: ``step`` takes weights and the step's raw batches."""

    def __init__(self, rule: str, forward: Forward, lr: float, damping: float, **options) -> None:
        self.step = getattr(self, rule.split(".")[1])
        self.forward, self.lr, self.damping, self.options = forward, lr, damping, options
        self.memory: list[Tensor] = []
        self.count = 0

    def SGD(self, G, F, batches):
        dG, dF = gradients(self.forward, G, F, *batches[0])
        moved = 0 if self.options.get("freeze_others") else self.lr
        return G - self.lr * dG, F - moved * dF

    def Momentum(self, G, F, batches):
        self.memory = self.memory or [torch.zeros_like(w) for w in (G, F)]
        pairs = zip(self.memory, gradients(self.forward, G, F, *batches[0]), strict=True)
        self.memory = [self.options["momentum"] * past + g for past, g in pairs]
        return G - self.lr * self.memory[0], F - self.lr * self.memory[1]

    def Adam(self, G, F, batches):
        beta1, beta2 = self.options["beta1"], self.options["beta2"]
        self.memory = self.memory or [torch.zeros_like(w) for w in (G, F, G, F)]
        self.count += 1
        new = []
        for i, (w, g) in enumerate(
            zip((G, F), gradients(self.forward, G, F, *batches[0]), strict=True)
        ):
            self.memory[i] = beta1 * self.memory[i] + (1 - beta1) * g
            self.memory[i + 2] = beta2 * self.memory[i + 2] + (1 - beta2) * g**2
            first = self.memory[i] / (1 - beta1**self.count)
            second = self.memory[i + 2] / (1 - beta2**self.count)
            new.append(w - self.lr * first / (second.sqrt() + self.options["epsilon"]))
        return tuple(new)

    def KFAC(self, G, F, batches):
        x, y = batches[0]
        dG, _ = gradients(self.forward, G, F, x, y)
        decay = self.options.get("factor_decay", 0.0)
        self.memory.append(x.T @ x / len(x))
        ages = [decay**age for age in reversed(range(len(self.memory)))]
        average = sum(w * m for w, m in zip(ages, self.memory, strict=True)) / sum(ages)
        Q_G = damped(average, self.damping)
        identity = torch.eye(len(G), dtype=x.dtype)
        P_G = F.T @ F if self.options["precondition_outputs"] else identity
        G = G - self.lr * torch.linalg.inv(P_G) @ dG @ torch.linalg.inv(Q_G)
        z = x @ G.T
        _, dF = gradients(self.forward, G, F, x, y)
        lr_head = self.options["lr_head"]
        lr_head = self.lr if lr_head is None else lr_head
        if self.options.get("first_layer_only"):
            return G, F - lr_head * dF
        return G, F - lr_head * dF @ torch.linalg.inv(z.T @ z / len(x))

    def DFW(self, G, F, batches, whiten=True):
        x, y = batches[0]
        dG, _ = gradients(self.forward, G, F, x, y)
        if whiten:
            Q_G = damped(x.T @ x / len(x), self.damping)
            dG = dG @ torch.linalg.inv(Q_G)
        G = torch.linalg.qr((G - self.lr * dG).T).Q.T
        x, y = batches[1]
        return G, torch.linalg.lstsq(x @ G.T, y).solution.T

    def AMGD(self, G, F, batches):
        return self.DFW(G, F, batches, whiten=False)

    def GaussNewton(self, G, F, batches):
        x, y = batches[0]
        gradient = torch.cat([g.flatten() for g in gradients(self.forward, G, F, x, y)])
        H = ggn(G, F, x)
        step = -torch.linalg.solve(damped(H, self.damping), gradient)
        dG, dF = step.split([G.numel(), F.numel()])
        return G + self.lr * dG.view_as(G), F + self.lr * dF.view_as(F)

    def Newton(self, G, F, batches):
        x, y = batches[0]

        def loss(w):
            g, f = w.split([G.numel(), F.numel()])
            return batch_loss(self.forward, g.view_as(G), f.view_as(F), x, y)

        w = torch.cat([G.flatten(), F.flatten()])
        H = torch.autograd.functional.hessian(loss, w)
        gradient = torch.autograd.functional.jacobian(loss, w)
        moved = torch.linalg.solve(damped(H, self.damping), gradient)
        dG, dF = moved.split([G.numel(), F.numel()])
        return G - self.lr * dG.view_as(G), F - self.lr * dF.view_as(F)

    def SpectralDescent(self, G, F, batches):
        new = []
        for w, g in zip((G, F), gradients(self.forward, G, F, *batches[0]), strict=True):
            U, s, Vh = torch.linalg.svd(g, full_matrices=False)
            new.append(w - self.lr * s.sum() * U @ Vh)
        return tuple(new)

    def Muon(self, G, F, batches):
        assert self.options == {"momentum": 0.95, "newton_schulz_steps": 5, "bfloat16": True}
        self.options = {"optimizer": "torch.optim.Muon", "weight_decay": 0.0}
        self.step = self.TorchOptimizer
        return self.step(G, F, batches)

    def Shampoo(self, G, F, batches):
        self.options = {
            "optimizer": "pytorch_optimizer.Shampoo",
            "matrix_eps": self.options["epsilon"],
        }
        self.step = self.TorchOptimizer
        return self.step(G, F, batches)

    def TorchOptimizer(self, G, F, batches):
        if not self.memory:
            self.memory = [G.clone().requires_grad_(), F.clone().requires_grad_()]
            settings = dict(self.options)
            optimizer = pkgutil.resolve_name(settings.pop("optimizer"))
            self.optimizer = optimizer(self.memory, lr=self.lr, **settings)
        self.optimizer.zero_grad()
        batch_loss(self.forward, *self.memory, *batches[0]).backward()
        self.optimizer.step()
        return tuple(w.detach().clone() for w in self.memory)
