"""What generated data are worth: n real digits of each class, a generator of them, a classifier.

    multigan train benchmarks/augment --per-class 10 --draw 0    one draw; then multigan evaluate
    python -m tests.benchmarks.queue augment                      every row with five draws
    python -m tests.benchmarks.augment                            means, intervals of the gains

G sees the same n; all others are held out. Gains over real ones alone, in points, 95 % intervals:
Fashion-MNIST n = 10 +1.1 [.4, 1.9], n = 20 +.9 [.6, 1.3]; digits: README. 50 to 240 CPU s a draw.
"""

from multigan.core.recipe import Recipe, Schedule
from multigan.image.augmentation.pipelines import ScheduledAugment, build_augment
from multigan.image.datasets.few_shot import FewShotImages
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.layers import stage_widths

TINY = {"steps": 4, "width": 4, "per_class": 2, "generated": 2}
ROWS = {
    "n10": {"per_class": 10},
    "n20": {"per_class": 20},
    "n5": {"per_class": 5},
    "n50": {"per_class": 50},
    "fashion-n10": {"data": "fashion-mnist", "resolution": 16, "per_class": 10},
    "fashion-n20": {"data": "fashion-mnist", "resolution": 16, "per_class": 20},
}
SEEDS = 5  # draws of the known pictures
# What leaves a digit or a garment what it is: nothing is mirrored, turned or inverted.
UPRIGHT = ("jump", "zoom", "stretch", "drift", "brightness", "contrast", "cutout")


def recipe(
    *,
    data: str = "digits",
    resolution: int = 8,
    per_class: int = 10,
    draw: int = 0,
    generated: int = 200,
    share: float = 0.5,
    truncation: float | None = None,
    augment: str = "upright",
    augment_p: float = 0.3,
    steps: int = 1500,
    width: int = 64,
    lr: float = 3e-3,
    gamma: float = 0.3,
) -> Recipe:
    """A few pictures of each class.

    data: digits, fashion-mnist, or the path of a set with classes
    resolution: height and width in pixels
    per_class: real pictures of each class; nothing else is seen
    draw: which ones
    generated: pictures of each class for the classifiers
    share: of a classifier's batch that is generated
    truncation: of the generator's latents, when it makes those
    augment: in front of the discriminator: upright, pipeline, diff or none
    augment_p: the chance of each change at the end of the run; it starts at 0
    steps: updates of the generator
    width: channels of the stage with half the resolution; they double at each stage below it
    lr: learning rate of both networks at the start; it falls to zero along a cosine
    gamma: weight of both gradient penalties at the start; a tenth of it after the burn-in
    """
    few = FewShotImages(data, resolution, per_class, draw, generated, share, truncation)
    pictures = few.domain
    size, channels, classes = pictures.resolution, pictures.channels, len(pictures.labels)
    widths, falling = stage_widths(width, size), Schedule(lr, 0.0)
    upright = ScheduledAugment(augment_p, strengths=dict.fromkeys(UPRIGHT, 1.0))
    return Recipe(
        data=few,
        generator=DCGANGenerator(size, channels, widths, latent_dim=32, classes=classes),
        discriminator=DCGANDiscriminator(size, channels, widths, classes=classes),
        steps=steps,
        batch_size=64,
        penalties={"r1": gamma, "r2": gamma},
        generator_lr=falling,
        discriminator_lr=falling,
        ema_halflife_samples=5000,
        augment=upright if augment == "upright" else build_augment(augment, augment_p),
    )
