"""multigan: one adversarial training engine for every modality.

    from multigan import image, train
    run = train("recipes/image.py", steps=2000, out="runs/digits")
    pictures = image.load("runs/digits").sample(8, seed=0)

Everything is imported on first use, so that `import multigan` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "train": "multigan.training.launch:train",
    "resume": "multigan.training.launch:resume",
    "load": "multigan.storage.loading:load",
    "Recipe": "multigan.core.recipe:Recipe",
    "Schedule": "multigan.core.recipe:Schedule",
    "AdversarialTrainer": "multigan.engine.trainer:AdversarialTrainer",
    "Sampler": "multigan.core.protocols:Sampler",
    "Table": "multigan.core.results_table:ResultsTable",
    "component": "multigan.core.serialization:component",
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    """Resolve a public name, or a domain's sub-package (`multigan.image`), lazily (PEP 562)."""
    from multigan.core.serialization import domains, import_attribute

    if name in _PUBLIC:
        return import_attribute(_PUBLIC[name])
    if name in domains():
        return importlib.import_module(domains()[name])
    raise AttributeError(f"module 'multigan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
