"""Evaluations and previews of few samples with helper models of few steps, for fast tests."""

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

SMALL: dict[str, dict[str, Any]] = {
    "multigan.arrays.metrics": {"NUM_EVAL_SAMPLES": 64},
    "multigan.benchmarks.classification_accuracy": {"STEPS": 2, "REPEATS": 1},
    "multigan.image.datasets.stacked": {"SIZES": {"train": 1000, "valid": 200, "test": 200}},
    "multigan.image.metrics.evaluation": {"NUM_EVAL_IMAGES": 128},
    "multigan.image.metrics.feature_extractors": {"STEPS": 2},
    "multigan.image.metrics.image_metrics": {"SUBSETS": 2, "MAX_TRAIN_IMAGES": 256},
    "multigan.image.metrics.path_length": {"NUM_POSITIONS": 2, "NUM_PATHS": 4},
    "multigan.music.domain": {"PREVIEW_SONGS": 2, "AUDIO_SONGS": 1},
    "multigan.music.metrics.bootstrap": {"RESAMPLES": 10},
    "multigan.music.metrics.evaluation": {"SAMPLED": 16, "MAX_TRAIN_WINDOWS": 64, "COMPARED": 4},
    "multigan.music.metrics.window_boundaries": {"PIECES": 2, "BOUNDARIES": 2},
    "multigan.text.metrics.evaluation": {"MAX_SAMPLES": 64, "MAX_HELD_OUT": 64},
    "multigan.text.metrics.language_model": {"MAX_STEPS": 2},
    "multigan.text.metrics.mauve": {"CLUSTERINGS": 1},
}


@contextmanager
def small_evaluations() -> Iterator[None]:
    """A block in which every domain evaluates little. Its caches are of no use outside of it."""
    with ExitStack() as stack:
        for module, values in SMALL.items():
            stack.enter_context(patch.multiple(importlib.import_module(module), **values))
        yield
