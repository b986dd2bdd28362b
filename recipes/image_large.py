"""Pictures at the published sizes of R3GAN and with its schedules, for a GPU.

    multigan train image_large --device cuda
    multigan train image_large --preset ffhq-64 --data faces --mirrored --device cuda

Fashion-MNIST with the networks of CIFAR-10 (20.8 M and 21.3 M weights); the three largest stages
work in bf16. Not run: no GPU was at hand.
Try: `--preset mini-32` on a CPU (not run either).
"""

from multigan.core.auto_gamma import resolve_gamma
from multigan.core.recipe import Recipe
from multigan.image.augmentation.pipelines import ScheduledAugment
from multigan.image.datasets.images import load_images
from multigan.image.models.presets import get_preset

TINY = {"data": "digits", "preset": "mini-8", "steps": 4, "batch_size": 8}


def recipe(
    *,
    data: str = "fashion-mnist",
    preset: str = "cifar-10",
    mirrored: bool = False,
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float = 2e-4,
    gamma: str = "preset",
    gradient_accumulation_steps: int = 1,
) -> Recipe:
    """Pictures with labels, if the data has them.

    data: digits, fashion-mnist, or a path: a folder, a zip, arrays; sub-folders are classes
    preset: sizes and schedules, a name of multigan.image.models.presets.PRESETS; the one of stacks
        belongs to benchmarks/stacked_mnist
    mirrored: also learn every picture with left and right exchanged
    steps: updates of the generator; those of the preset if not given
    batch_size: real pictures in one update; that of the preset if not given
    lr: learning rate of both networks at the start; the preset says what is left of it at the end
    gamma: weight of both penalties at the start, a tenth after the burn-in; preset, or auto
    accumulate: micro-batches of one update, for a GPU that does not hold the whole batch
    """
    chosen = get_preset(preset)
    pictures = load_images(data, resolution=chosen.resolution, mirrored=mirrored)
    generator, discriminator = chosen.pair(pictures.domain)
    train = pictures.split("train")
    weight = chosen.gamma if gamma == "preset" else resolve_gamma(gamma, train)
    rate = chosen.rate(lr)
    augment = ScheduledAugment(chosen.augment_p, fraction=chosen.burn_in)
    return Recipe(
        data=train,
        generator=generator,
        discriminator=discriminator,
        steps=steps or chosen.steps,
        batch_size=batch_size or chosen.batch_size,
        penalties={"r1": weight, "r2": weight},
        generator_lr=rate,
        discriminator_lr=rate,
        ema_halflife_samples=chosen.halflife,
        burn_in=chosen.burn_in,
        gradient_accumulation_steps=gradient_accumulation_steps,
        augment=augment if chosen.augment_p > 0 else None,
    )
