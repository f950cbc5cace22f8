"""Make every Python process below this folder on its path another reader's machine.

Python imports a module of this name at its start. ``SEED_SHIFT`` is added to every seed that is set
through torch, NumPy or ``random``; ``THREADS`` is the number of threads that torch computes with,
whatever the program asks for.
"""

from __future__ import annotations

import os
import random
from typing import Any


def move_seeds(shift: int) -> None:
    """Add a number to every seed; what is drawn without a seed stays as it is."""
    import numpy as np
    import torch

    class Random(random.Random):
        def seed(self, a: Any = None, version: int = 2) -> None:
            super().seed(a + shift if isinstance(a, int) else a, version)

    class RandomState(np.random.RandomState):
        def __init__(self, seed: Any = None) -> None:
            super().__init__(_moved(seed))

    class Generator(torch.Generator):
        def manual_seed(self, seed: int) -> torch.Generator:
            return super().manual_seed(seed + shift)

    def _moved(seed: Any) -> Any:
        return seed + shift if isinstance(seed, int | np.integer) else seed

    random.Random = Random
    set_random = random.seed
    random.seed = lambda a=None, version=2: set_random(_moved(a), version)
    np.random.RandomState = RandomState
    set_numpy, new_generator = np.random.seed, np.random.default_rng
    np.random.seed = lambda seed=None: set_numpy(_moved(seed))
    np.random.default_rng = lambda seed=None: new_generator(_moved(seed))
    torch.Generator = Generator
    set_torch = torch.manual_seed
    torch.manual_seed = lambda seed: set_torch(int(seed) + shift)


def fix_threads(number: int) -> None:
    """Compute with this number of threads, and let nobody change it."""
    import torch

    torch.set_num_threads(number)
    torch.set_num_threads = lambda _: None


if os.environ.get("SEED_SHIFT", "0") != "0":
    move_seeds(int(os.environ["SEED_SHIFT"]))
if os.environ.get("THREADS"):
    fix_threads(int(os.environ["THREADS"]))
