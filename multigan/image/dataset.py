"""Samples of a generator as a labelled data set: a folder for every class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from multigan.contract import Sampler
from multigan.image.domain import ImageDomain
from multigan.image.sheet import save_png
from multigan.rng import keyed_rng

PLAIN = " -_+()'"  # what may stand in the name of a folder beside letters and digits, and dots


def augment(
    sampler: Sampler,
    *,
    per_class: int = 100,
    out: str = "augmented",
    seed: int = 0,
    truncation: float | None = None,
) -> None:
    """Write labelled samples as a data set, a folder for each class, to train others on.

    per_class: pictures of every class
    out: the folder to write to; it must not hold anything yet
    seed: another seed, other pictures
    truncation: latent numbers stay within this: 1 is safe and alike, 3 almost free
    """
    names = _classes(sampler)
    if per_class < 1:
        raise ValueError(f"per-class is {per_class}; wanted 1 or more")
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{out} holds something already; choose another --out")
    for number, name in enumerate(names):
        own_seed = keyed_rng(seed, "augment", number).initial_seed()  # other latents in each class
        wishes: dict[str, Any] = {"label": name, "truncation": truncation}
        _write(sampler.sample(per_class, own_seed, **wishes), folder / folder_name(name))
    print(
        f"{per_class * len(names):,} pictures of {len(names)} classes in {out}: train --data {out}"
    )


def folder_name(name: str) -> str:
    """The name of a class as one of a folder: letters and digits stay, what could lead out of the
    folder or be hidden becomes %XX. No two names become the same.
    """
    kept = [
        c if c.isalnum() or c in PLAIN or (c == "." and k) else _coded(c)
        for k, c in enumerate(name)
    ]
    return "".join(kept) or "%"


def _coded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _classes(sampler: Sampler) -> tuple[str, ...]:
    """The names of a picture generator's classes; ValueError if it has none."""
    domain = sampler.domain
    if not isinstance(domain, ImageDomain):
        raise ValueError("this generator draws no pictures")
    if not domain.labels:
        raise ValueError(
            "this generator knows no classes, so its pictures have no labels; "
            "wanted one that was trained on a set with classes"
        )
    return domain.labels


def _write(pictures: list[Image.Image], folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        save_png(picture, folder / f"{number:06d}.png")
