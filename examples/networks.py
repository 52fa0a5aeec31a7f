"""A small CNN and the blocks of a small transformer, of linear layers that every KFAC knows."""

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

HEADS = 4


def cnn(size: int, classes: int) -> nn.Sequential:
    """Two convolutions and a linear layer, for images (samples, 1, size, size)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * size**2, classes),
    )


class Block(nn.Module):
    """Attention and a two-layer network, each on the residual stream behind a LayerNorm.

    Inputs and outputs are (samples, positions, width).
    """

    def __init__(self, width: int, hidden: int, activation: nn.Module) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        heads = self.qkv(self.norm1(x)).view(n, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(*heads).transpose(1, 2).reshape(n, length, width)
        x = x + self.out(attended)
        return x + self.down(self.activation(self.up(self.norm2(x))))
