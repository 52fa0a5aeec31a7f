"""What is asked of PyTorch's autograd engine from inside a backward pass.

These are the calls that torch.utils.checkpoint, torch.autograd.graph and AOTAutograd make; they are
private, so they are in one place.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge


def backward_id() -> int:
    """A number that no other backward pass has; -1 outside of all."""
    return torch._C._current_graph_task_id()


def current_node() -> Node | None:
    """The node that this backward pass is at; None in one that is compiled."""
    return torch._C._current_autograd_node()


def notes(node: Node) -> dict[Any, Any]:
    """A dictionary that lives as long as the node."""
    return cast(dict[Any, Any], node.metadata)  # a property, whatever its stub says


def keeps_graph() -> bool:
    """Whether the graph of this backward pass may be backpropagated again (retain_graph)."""
    return torch._C._autograd._get_current_graph_task_keep_graph()


def accumulator(parameter: Tensor) -> Node:
    """The node at which a parameter's gradient arrives and is added to .grad."""
    return get_gradient_edge(parameter).node


def runs(accumulator: Node) -> bool:
    """Whether this backward pass adds to the .grad that the node is of.

    It does not where only other gradients are asked for, as by torch.autograd.grad.
    """
    try:
        return torch._C._will_engine_execute_node(accumulator)
    except RuntimeError:  # the gradient is handed out, and not accumulated
        return False


def after_backward(do: Callable[[], None]) -> None:
    """Do something at the end of this backward pass, unless it fails."""
    torch.autograd.Variable._execution_engine.queue_callback(do)


def transformed(tensor: Tensor) -> bool:
    """Whether a transform of torch.func is at work."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)
