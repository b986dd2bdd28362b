"""Images: datasets, networks, metrics and commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "ImageDomain": "multigan.image.domain:ImageDomain",
    "ImageDataset": "multigan.image.datasets.images:ImageDataset",
    "StackedImages": "multigan.image.datasets.stacked:StackedImages",
    "FewShotImages": "multigan.image.datasets.few_shot:FewShotImages",
    "DiffAugment": "multigan.image.augmentation.pipelines:DiffAugment",
    "AdaptiveAugment": "multigan.image.augmentation.pipelines:AdaptiveAugment",
    "ScheduledAugment": "multigan.image.augmentation.pipelines:ScheduledAugment",
    "DCGANGenerator": "multigan.image.models.dcgan:DCGANGenerator",
    "R3GANGenerator": "multigan.image.models.r3gan:R3GANGenerator",
    "DCGANDiscriminator": "multigan.image.models.dcgan:DCGANDiscriminator",
    "R3GANDiscriminator": "multigan.image.models.r3gan:R3GANDiscriminator",
}

COMMANDS = {
    "evaluate-features": "multigan.image.commands:evaluate_with_extractor",
    "export-dataset": "multigan.image.commands:export_dataset",
    "inspect": "multigan.image.commands:inspect_images",
    "project": "multigan.image.commands:project",
}

REQUIREMENTS = {
    "fashion-mnist": "multigan.image.datasets.sources:check_fashion",
}

HUB = {"pipeline_tag": "unconditional-image-generation"}


def load(path: str | Path) -> Sampler:
    """Load a trained image generator from a run directory or a safetensors file.

    Raises ValueError if `path` holds no image generator.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="image")
