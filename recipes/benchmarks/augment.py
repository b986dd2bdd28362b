"""Accuracy gain of synthetic data: a classifier of n real images per class, and a generator.

    multigan train benchmarks/augment --per-class 10 --subset-seed 0  then multigan evaluate
    python -m tests.benchmarks.queue augment                          every row, five subsets
    python -m tests.benchmarks.augment                                means, intervals of the gains

The generator trains on the same n; all others are held out. Gains in percentage points over real
images alone, 95 % intervals: Fashion-MNIST n = 10 +1.1 [.4, 1.9], n = 20 +.9 [.6, 1.3]; the others:
docs/benchmarks/few-shot-classification.md. 50 to 440 CPU s a run, one thread of x86. The faces, two
classes, are in faces64.zip.
"""

from multigan.benchmarks.few_shot import FewShotImages
from multigan.core.recipe import Recipe, Schedule
from multigan.image.augmentation.pipelines import ScheduledAugment, build_augment
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.layers import stage_widths

TINY = {"steps": 4, "width": 4, "per_class": 2, "synthetic_per_class": 2}
ROWS = {
    "n10": {"per_class": 10},
    "n20": {"per_class": 20},
    "n5": {"per_class": 5},
    "n50": {"per_class": 50},
    "fashion-n10": {"data": "fashion-mnist", "resolution": 16, "per_class": 10},
    "fashion-n20": {"data": "fashion-mnist", "resolution": 16, "per_class": 20},
    "fashion-n25": {"data": "fashion-mnist", "resolution": 16, "per_class": 25},
    "fashion-n50": {"data": "fashion-mnist", "resolution": 16, "per_class": 50},
    "fashion-n100": {"data": "fashion-mnist", "resolution": 16, "per_class": 100},
    "faces-n25": {"data": "faces64.zip", "resolution": 32, "width": 32, "per_class": 25},
    "faces-n50": {"data": "faces64.zip", "resolution": 32, "width": 32, "per_class": 50},
    "faces-n100": {"data": "faces64.zip", "resolution": 32, "width": 32, "per_class": 100},
}
SEEDS = 5  # subsets of the training images
# Operations that preserve the class of a digit or a garment: no flip, rotation or inversion.
UPRIGHT = ("xint", "scale", "aniso", "xfrac", "brightness", "contrast", "cutout")


def recipe(
    *,
    data: str = "digits",
    resolution: int = 8,
    per_class: int = 10,
    subset_seed: int = 0,
    synthetic_per_class: int = 200,
    synthetic_fraction: float = 0.5,
    truncation: float | None = None,
    augment: str = "upright",
    augment_p: float = 0.3,
    steps: int = 1500,
    width: int = 64,
    lr: float = 3e-3,
    gamma: float = 0.3,
) -> Recipe:
    """A few images per class.

    data: digits, fashion-mnist, or the path of a labeled dataset
    resolution: height and width in pixels
    per_class: real training images of each class
    subset_seed: seed of the selection of the training images
    synthetic_per_class: synthetic images of each class for the classifiers
    synthetic_fraction: fraction of synthetic images in a batch of a classifier
    truncation: threshold for the latents of the synthetic images
    augment: before the discriminator: upright, scheduled, diffaugment or none
    augment_p: probability of each operation at the end of the run; it starts at 0
    steps: updates of the generator
    width: channels of the stage with half the resolution, doubled at each lower stage
    lr: learning rate of both networks at the start; it falls to zero on a cosine
    gamma: weight of both gradient penalties at the start; a tenth after the burn-in
    """
    synthetic = (synthetic_per_class, synthetic_fraction, truncation)
    few = FewShotImages(data, resolution, per_class, subset_seed, *synthetic)
    spec = few.domain
    size, channels, num_classes = spec.resolution, spec.channels, spec.num_classes
    widths, schedule = stage_widths(width, size), Schedule(lr, 0.0)
    upright = ScheduledAugment(augment_p, strengths=dict.fromkeys(UPRIGHT, 1.0))
    return Recipe(
        data=few,
        generator=DCGANGenerator(size, channels, widths, latent_dim=32, num_classes=num_classes),
        discriminator=DCGANDiscriminator(size, channels, widths, num_classes=num_classes),
        steps=steps,
        batch_size=64,
        penalties={"r1": gamma, "r2": gamma},
        generator_lr=schedule,
        discriminator_lr=schedule,
        burn_in=0.2,
        ema_halflife_samples=5000,
        augment=upright if augment == "upright" else build_augment(augment, augment_p),
    )
