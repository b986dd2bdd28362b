"""Training loop for helper models: classifiers, language models.

All randomness comes from the given generator; torch's global generators are not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from multigan.core.modules import device_of

Model = TypeVar("Model", bound=nn.Module)
Examples = TypeVar("Examples")  # one batch, of any type


def fit(
    model: Model,
    loss: Callable[[Model, Examples], Tensor],
    batches: Callable[[torch.Generator], Examples],
    steps: int,
    lr: float,
    rng: torch.Generator,
) -> Model:
    """Minimise `loss` with Adam and return `model`, in eval mode.

    `batches(rng)` samples one batch on the model's device; `loss(model, batch)` is a scalar.
    Dropout is seeded from `rng` too: equal arguments give equal weights. Works inside
    `torch.no_grad()`.

    Raises RuntimeError if the last loss is not finite.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    value = torch.zeros(())
    model.train()
    with torch.enable_grad(), seeded_global_rng(rng, device_of(model)):
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            value = loss(model, batches(rng))
            value.backward()
            optimizer.step()
    if not value.isfinite():
        name = type(model).__name__
        raise RuntimeError(
            f"fitting {name}: the loss must be finite; got {value.item()} after {steps} steps"
        )
    return model.eval()


def build_with_seed(build: Callable[[], Model], rng: torch.Generator) -> Model:
    """Return `build()` with initial weights seeded from `rng`."""
    with seeded_global_rng(rng, torch.device("cpu")):
        return build()


@contextmanager
def seeded_global_rng(rng: torch.Generator, device: torch.device) -> Iterator[None]:
    """Context manager: torch's global generators, on the CPU and `device`, are seeded from `rng`.

    They are restored afterwards. Initial weights and dropout use no other generator.
    """
    devices = [device] if device.type == "cuda" else []
    seed = int(torch.randint(2**62, (), generator=rng))
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach every device
        for cuda in devices:
            with torch.cuda.device(cuda):
                torch.cuda.manual_seed(seed)
        yield
