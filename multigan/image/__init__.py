"""Images: datasets, networks, metrics and commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multigan.core.metric_info import HIGHER, LOWER, MetricInfo

if TYPE_CHECKING:
    from pathlib import Path

    from multigan.core.protocols import Sampler

COMPONENTS = {
    "ImageDomain": "multigan.image.domain:ImageDomain",
    "ImageDataset": "multigan.image.datasets.images:ImageDataset",
    "StackedImages": "multigan.image.datasets.stacked:StackedImages",
    "FewShotImages": "multigan.benchmarks.few_shot:FewShotImages",
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

NUMBER_LIMITS = {  # option -> the smallest and the largest value
    "aspect": (0.01, 100.0),
    "augment_p": (0.0, 1.0),
    "per_class": (1, 1_000_000),
    "resolution": (1, 16_384),
    "synthetic_fraction": (0.0, 1.0),
    "truncation": (0.0, 1000.0),
}

REQUIREMENTS = {
    "fashion-mnist": "multigan.image.datasets.sources:check_fashion",
}

HUB = {"pipeline_tag": "unconditional-image-generation"}

METRICS = {
    "frechet_distance": MetricInfo("distance between Gaussians of features of both sets", LOWER),
    "kernel_distance": MetricInfo("squared MMD of features, polynomial kernel of KID", LOWER),
    "intra_class_frechet_distance": MetricInfo("Fréchet distance, mean over classes", LOWER),
    "precision": MetricInfo("fraction of samples within the manifold of real images"),
    "recall": MetricInfo("fraction of real images within the manifold of samples"),
    "density": MetricInfo("real neighborhoods that hold a sample, per sample"),
    "coverage": MetricInfo("fraction of real images with a sample nearby"),
    "class_accuracy": MetricInfo("samples whose class a classifier of real images finds", HIGHER),
    "nn_distance_ratio": MetricInfo(
        "distance to the nearest training image over that of held-out images; 0 is copying", "1"
    ),
    "nn_distance_auc": MetricInfo("probability that the former distance is the larger", ".5"),
    "memorized_fraction": MetricInfo(
        "samples nearer to a training image than 99 % of held-out images", LOWER
    ),
    "near_duplicate_fraction": MetricInfo(
        "samples nearer to each other than 99 % of held-out images", LOWER
    ),
    "intra_class_std_ratio": MetricInfo(
        "deviation of pixels within a class over that of real images; 0 is collapse", "1"
    ),
    "path_length": MetricInfo("squared change of features between two latents", LOWER),
    "path_length_ratio": MetricInfo("path length over that of a straight line", "1"),
    "modes_covered": MetricInfo("modes with at least one sample", HIGHER),
    "kl_to_uniform": MetricInfo("divergence of the mode frequencies from uniform, nats", LOWER),
    "kl_to_class_prior": MetricInfo("divergence from the product of class frequencies", LOWER),
}


def load(path: str | Path) -> Sampler:
    """Load a trained image generator from a run directory or a safetensors file.

    Raises ValueError if `path` holds no image generator.
    """
    from multigan.storage.loading import load as load_sampler

    return load_sampler(path, domain="image")
