"""Pictures: data sets, networks and what is measured on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

PARTS = {
    "ImageDomain": "multigan.image.domain:ImageDomain",
    "Images": "multigan.image.datasets.images:Images",
    "StackedImages": "multigan.image.datasets.stacked:StackedImages",
    "ScarceImages": "multigan.image.datasets.few_shot:ScarceImages",
    "DiffAugment": "multigan.image.augmentation.pipelines:DiffAugment",
    "AdaptivePipeline": "multigan.image.augmentation.pipelines:AdaptivePipeline",
    "AugmentationPipeline": "multigan.image.augmentation.pipelines:AugmentationPipeline",
    "DCGANGenerator": "multigan.image.models.dcgan:DCGANGenerator",
    "R3Generator": "multigan.image.models.r3gan:R3Generator",
    "DCGANDiscriminator": "multigan.image.models.dcgan:DCGANDiscriminator",
    "R3Discriminator": "multigan.image.models.r3gan:R3Discriminator",
}

COMMANDS = {
    "augment": "multigan.image.commands:augment",
    "check": "multigan.image.commands:check",
    "measure": "multigan.image.commands:measure",
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
