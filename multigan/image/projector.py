"""Finding the latent of a given picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from multigan.core.modules import device_of
from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.image.domain import ImageDomain
from multigan.image.formats.decode import Size, decode
from multigan.storage.files import write_atomically

STARTS = 8  # latents that a search starts from, for each class
LR = 0.2  # of Adam on a latent
PRIOR_WEIGHT = 1e-3  # weight of a latent's squared length, against the squared error of the pixels


def project(
    sampler: Sampler, picture: str, *, out: str = "projected", steps: int = 200, seed: int = 0
) -> None:
    """Find the latent whose picture is nearest to a given one; write both and their distance.

    picture: the picture file; it is brought to the size of the generator's
    out: the folder to write to
    steps: of the search, from several latents and in every class at once
    seed: of the latents that it starts from
    """
    domain: Any = sampler.domain
    if not isinstance(domain, ImageDomain):
        raise ValueError("this generator draws no pictures")
    wanted = _read(picture, domain)
    latent, label, found, distance = invert(sampler, wanted, steps, keyed_rng(seed, "project"))
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = domain.decode(torch.cat([wanted, found]))
    domain.write(pictures, folder)
    name = None if label is None else domain.labels[label]
    told: dict[str, Any] = {"picture": picture, "label": name, "rms_pixel_distance": distance}
    told |= {"steps": steps, "seed": seed, "latent": latent.tolist()}
    write_atomically(folder / "projected.json", json.dumps(told).encode())
    of_class = "" if name is None else f", class {name}"
    print(f"distance {distance:.4f} of a range of 2 (rms over pixels{of_class}): {folder}")


def invert(
    sampler: Sampler, wanted: Tensor, steps: int, rng: torch.Generator
) -> tuple[Tensor, int | None, Tensor, float]:
    """The latent (Z,), its class, its picture (1, C, H, W), and the rms distance of the pixels.

    Adam moves several latents of every class at once towards `wanted` (1, C, H, W); long latents
    are held back, since none of that length was trained on. Raises ValueError for steps below 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; wanted 1 or more")
    generator: Any = sampler.generator
    device, classes = device_of(generator), len(sampler.domain.labels)  # type: ignore[attr-defined]
    start = generator.sample_latent(STARTS * max(1, classes), rng)
    labels = torch.arange(classes).repeat_interleave(STARTS).to(device) if classes else None
    latent = start.to(device).requires_grad_()
    wanted = wanted.to(device)
    optimizer = torch.optim.Adam([latent], LR)
    for _ in range(steps):
        optimizer.zero_grad()
        errors = (generator(latent, labels) - wanted).square().flatten(1).mean(1)  # (n,)
        (errors + PRIOR_WEIGHT * latent.square().mean(1)).sum().backward()
        optimizer.step()
    with torch.no_grad():
        made = generator(latent, labels)
        errors = (made - wanted).square().flatten(1).mean(1)
    best = int(errors.argmin())
    label = None if labels is None else int(labels[best])
    chosen = latent[best].detach().cpu(), label, made[best : best + 1].cpu()
    return *chosen, float(errors[best].sqrt())


def _read(picture: str, domain: ImageDomain) -> Tensor:
    """A file as (1, C, H, W) in [-1, 1], of the generator's size and colours."""
    try:
        pixels = decode(Path(picture).read_bytes(), Size(domain.height, domain.width))
    except OSError as error:
        raise ValueError(f"{picture} cannot be read: {error}") from None
    except Exception as error:  # decoders meet damage in as many ways as there are
        raise ValueError(f"{picture} cannot be used: {error}") from None
    flat = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    return domain.encode([Image.fromarray(flat)])
