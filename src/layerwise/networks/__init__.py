"""Networks: loss and gradients on a batch."""
