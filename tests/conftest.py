"""Settings of the test session: reproducible examples, one thread, double precision."""

import torch
from hypothesis import settings

settings.register_profile(
    "reproducible", derandomize=True, deadline=None, max_examples=25, database=None
)
settings.load_profile("reproducible")
torch.set_num_threads(1)
