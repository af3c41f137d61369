"""What packages do to their process, kept from it: chatter, warnings, threads, and the state of global generators."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import warnings
from collections.abc import Iterator

import numpy as np
from threadpoolctl import threadpool_limits


@contextlib.contextmanager
def quiet(threads: int) -> Iterator[None]:
    """At most `threads` threads in numerical libraries; nothing on standard output, no warnings, no log lines."""
    disabled = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        threadpool_limits(threads),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(disabled)


@contextlib.contextmanager
def seeded_torch(threads: int, seed: int) -> Iterator[None]:
    """As `quiet`, for packages that draw from the global generators: seeded inside, as they were afterwards."""
    import torch  # takes seconds, of which systems without it have no use

    states = random.getstate(), np.random.get_state(), torch.get_num_threads()
    with quiet(threads), torch.random.fork_rng(devices=[]):
        torch.set_num_threads(threads)
        random.seed(seed)
        np.random.seed(seed % (1 << 32))
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_num_threads(states[2])
