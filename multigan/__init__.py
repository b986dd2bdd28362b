"""Adversarial training in any modality with one engine.

    from multigan import image, train
    run = train("image", steps=2000, out="runs/digits")
    images = image.load("runs/digits").sample(8, seed=0)

Public names and domains are imported on first use: `import multigan` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from multigan.core.version import __version__ as __version__

if TYPE_CHECKING:
    from multigan.arrays.datasets.arrays import ArrayDataset as ArrayDataset
    from multigan.core.adapters import Networks as Networks
    from multigan.core.protocols import Batch as Batch
    from multigan.core.protocols import Dataset as Dataset
    from multigan.core.protocols import Discriminator as Discriminator
    from multigan.core.protocols import Domain as Domain
    from multigan.core.protocols import Generator as Generator
    from multigan.core.protocols import Sampler as Sampler
    from multigan.core.recipe import Recipe as Recipe
    from multigan.core.recipe import Schedule as Schedule
    from multigan.core.recipe import Term as Term
    from multigan.core.recipe import TermInputs as TermInputs
    from multigan.core.results_table import ResultsTable as ResultsTable
    from multigan.core.serialization import component as component
    from multigan.engine.losses import AdversarialLoss as AdversarialLoss
    from multigan.engine.trainer import AdversarialTrainer as AdversarialTrainer
    from multigan.runs.refine import refine as refine
    from multigan.storage.loading import load as load
    from multigan.training.callbacks import Callback as Callback
    from multigan.training.launch import resume as resume
    from multigan.training.launch import train as train
    from multigan.training.run import Run as Run

_PUBLIC = {
    "train": "multigan.training.launch",
    "resume": "multigan.training.launch",
    "load": "multigan.storage.loading",
    "refine": "multigan.runs.refine",
    "Run": "multigan.training.run",
    "ArrayDataset": "multigan.arrays.datasets.arrays",
    "Networks": "multigan.core.adapters",
    "Recipe": "multigan.core.recipe",
    "Schedule": "multigan.core.recipe",
    "Term": "multigan.core.recipe",
    "TermInputs": "multigan.core.recipe",
    "AdversarialLoss": "multigan.engine.losses",
    "Batch": "multigan.core.protocols",
    "Dataset": "multigan.core.protocols",
    "Discriminator": "multigan.core.protocols",
    "Domain": "multigan.core.protocols",
    "Generator": "multigan.core.protocols",
    "Sampler": "multigan.core.protocols",
    "ResultsTable": "multigan.core.results_table",
    "component": "multigan.core.serialization",
    "AdversarialTrainer": "multigan.engine.trainer",
    "Callback": "multigan.training.callbacks",
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name, or the package of a domain (`multigan.image`), on first use."""
    from multigan.core.serialization import domains

    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in domains():
        return importlib.import_module(domains()[name])
    raise AttributeError(f"module 'multigan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
