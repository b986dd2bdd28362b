"""Images with the published networks and schedules of R3GAN, for a GPU.

    multigan train image_large --device cuda
    multigan train image_large --preset ffhq-64 --data faces --horizontal-flip --device cuda

Fashion-MNIST with the networks of CIFAR-10 (20.8 M and 21.3 M parameters); the three stages of the
highest resolution train in bf16. Not run.
Try: `--preset mini-32` on a CPU (not run).
"""

from typing import Literal

from multigan.core.recipe import Recipe, read_gamma
from multigan.image.augmentation.pipelines import ScheduledAugment
from multigan.image.datasets.images import load_images
from multigan.image.models.presets import get_preset

TINY = {"data": "digits", "preset": "mini-8", "steps": 4, "batch_size": 8}


def recipe(
    *,
    data: str = "fashion-mnist",
    preset: str = "cifar-10",
    horizontal_flip: bool = False,
    background: str = "white",
    alpha: bool = False,
    stretch: bool = False,
    all_frames: bool = False,
    in_memory: Literal["auto", "yes", "no"] = "auto",
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float = 2e-4,
    gamma: str = "preset",
    gradient_accumulation_steps: int = 1,
) -> Recipe:
    """Images, class-conditional if the data have labels.

    data: digits, fashion-mnist, or a path: a folder, zip, arrays or tables; subfolders are classes
    preset: sizes and schedules, a name of multigan.image.models.presets.PRESETS; stacked-mnist is
        for benchmarks/stacked_mnist
    horizontal_flip: add the horizontally flipped images to the training split
    background: color below transparent pixels: white, black or #rrggbb
    alpha: train on transparency too, as a fourth channel; samples are RGBA
    stretch: scale all values by one factor, so that the largest of the set becomes 255
    all_frames: read every frame of animations and every page, not the first one only
    in_memory: keep all images in memory; no: read them from a cached file; auto: by their size
    steps: updates of the generator; by default those of the preset
    batch_size: real images in one update; by default that of the preset
    lr: learning rate of both networks at the start; the preset has the ratio at the end
    gamma: weight of both penalties at the start, a tenth after the burn-in; preset, or auto
    gradient_accumulation_steps: micro-batches of one update, if the batch exceeds the memory
    """
    settings = get_preset(preset)
    images = load_images(
        data, resolution=settings.resolution, horizontal_flip=horizontal_flip,
        background=background, alpha=alpha, stretch=stretch, all_frames=all_frames,
        in_memory=in_memory,
    )  # fmt: skip
    generator, discriminator = settings.build(images.domain)
    train = images.split("train")
    weight = settings.gamma if gamma == "preset" else read_gamma(gamma)
    rate = settings.lr_schedule(lr)
    augment = ScheduledAugment(settings.augment_p, fraction=settings.burn_in)
    return Recipe(
        data=train,
        generator=generator,
        discriminator=discriminator,
        steps=steps or settings.steps,
        batch_size=batch_size or settings.batch_size,
        penalties={"r1": weight, "r2": weight},
        generator_lr=rate,
        discriminator_lr=rate,
        ema_halflife_samples=settings.ema_halflife_samples,
        burn_in=settings.burn_in,
        gradient_accumulation_steps=gradient_accumulation_steps,
        augment=augment if settings.augment_p > 0 else None,
    )
