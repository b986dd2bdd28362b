"""Pictures: data sets, networks and what is measured on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.contract import Sampler

PARTS = {
    "ImageDomain": "multigan.image.domain:ImageDomain",
    "Images": "multigan.image.data:Images",
    "StackedImages": "multigan.image.stacked:StackedImages",
    "ScarceImages": "multigan.image.scarce:ScarceImages",
    "DiffAugment": "multigan.image.augment:DiffAugment",
    "AdaptivePipeline": "multigan.image.augment:AdaptivePipeline",
    "AugmentationPipeline": "multigan.image.augment:AugmentationPipeline",
    "DCGANGenerator": "multigan.image.generators:DCGANGenerator",
    "R3Generator": "multigan.image.generators:R3Generator",
    "DCGANDiscriminator": "multigan.image.discriminators:DCGANDiscriminator",
    "R3Discriminator": "multigan.image.discriminators:R3Discriminator",
}

COMMANDS = {
    "augment": "multigan.image.dataset:augment",
    "check": "multigan.image.checking:check",
    "measure": "multigan.image.measuring:measure",
    "project": "multigan.image.latents:project",
}

REQUIREMENTS = {
    "fashion-mnist": "multigan.image.needs:fashion",
}

HUB = {"pipeline_tag": "unconditional-image-generation"}


def load(path: str | Path) -> Sampler:
    """Load a trained picture generator: a run directory or a safetensors file.

    Raises ValueError if `path` holds no generator of pictures.
    """
    from multigan.sampler import load as load_sampler

    return load_sampler(path, domain="image")
