"""Pictures: data sets, networks and what is measured on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "ImageDomain": "multigan.image.domain:ImageDomain",
    "Images": "multigan.image.datasets.images:ImageDataset",
    "StackedImages": "multigan.image.datasets.stacked:StackedImages",
    "ScarceImages": "multigan.image.datasets.few_shot:FewShotImages",
    "DiffAugment": "multigan.image.augmentation.pipelines:DiffAugment",
    "AdaptivePipeline": "multigan.image.augmentation.pipelines:AdaptiveAugment",
    "AugmentationPipeline": "multigan.image.augmentation.pipelines:ScheduledAugment",
    "DCGANGenerator": "multigan.image.models.dcgan:DCGANGenerator",
    "R3Generator": "multigan.image.models.r3gan:R3GANGenerator",
    "DCGANDiscriminator": "multigan.image.models.dcgan:DCGANDiscriminator",
    "R3Discriminator": "multigan.image.models.r3gan:R3GANDiscriminator",
}

COMMANDS = {
    "augment": "multigan.image.commands:export_dataset",
    "check": "multigan.image.commands:inspect_images",
    "measure": "multigan.image.commands:evaluate_with_extractor",
    "project": "multigan.image.projector:project",
}

REQUIREMENTS = {
    "fashion-mnist": "multigan.image.datasets.sources:check_fashion",
}

HUB = {"pipeline_tag": "unconditional-image-generation"}


def load(path: str | Path) -> Sampler:
    """Load a trained picture generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of pictures.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="image")
