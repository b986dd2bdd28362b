"""Image sources by name: folders, arrays, tables, digits and Fashion-MNIST."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import torch

from multigan.image.formats.arrays import IDX_IMAGES, idx_files, read_idx, read_npz
from multigan.image.formats.decode import DEFAULT, Size
from multigan.image.formats.folder import read_folder
from multigan.image.formats.hf_tables import SUFFIXES as TABLES
from multigan.image.formats.hf_tables import is_hf_dataset, read_table
from multigan.image.formats.resize import ImageArrays, resize
from multigan.image.formats.values import ReadOptions
from multigan.storage.dataset_memory import fits_in_memory

FASHION = "/usr/share/datasets/fashion-mnist"  # Debian's package dataset-fashion-mnist
FASHION_CLASSES: tuple[str, ...] = ("t-shirt", "trouser", "pullover", "dress", "coat")
FASHION_CLASSES += ("sandal", "shirt", "sneaker", "bag", "boot")


@lru_cache(maxsize=1)  # all splits of a source come from one reading
def read_images(
    source: str, size: Size, options: ReadOptions = DEFAULT, in_memory: str = "auto"
) -> ImageArrays:
    """Read a whole source, a key of SOURCES or a path; its tensors must not be modified.

    `in_memory` is as in `fits_in_memory`; arrays are always in memory. A warning is given for
    options that arrays do not have. Raises ValueError for an unknown or
    damaged source, or a size below 1.
    """
    reader = get_reader(source, size)
    if reader in WITH_OPTIONS:
        return reader(source, size, options, in_memory)
    stretched = {"stretch": options.stretch} if reader in WITH_STRETCH else {}
    defaults = asdict(DEFAULT)
    changed = [
        f"--{name.replace('_', '-')}"
        for name, value in asdict(options).items()
        if value != defaults[name] and name not in stretched
    ]
    if changed:
        warnings.warn(f"{source}: {', '.join(changed)} is for image files only", stacklevel=2)
    if not fits_in_memory(0, in_memory):
        warnings.warn(f"{source}: --in-memory no is for image files and tables only", stacklevel=2)
    return reader(source, size, **stretched)


def get_reader(source: str, size: Size) -> Callable[..., ImageArrays]:
    """Return the reader of a key of SOURCES, or of the file or folder at a path.

    Raises ValueError for an unknown source, or for a size below 1.
    """
    if min(size) < 1:
        raise ValueError(f"images must have 1 x 1 pixels or more; got {size.height} x {size.width}")
    if source in SOURCES:
        return lambda _, size: SOURCES[source](size)
    path = Path(source)
    if source and path.is_dir():  # an empty path would be the current folder
        if idx_files(path):
            return read_idx
        return read_table if is_hf_dataset(path) else read_folder
    if not path.is_file():
        known = ", ".join(SOURCES)
        raise ValueError(f"data must be one of {known}, or an existing path; got {source!r}")
    for kind, reader in READERS.items():
        if path.name.lower().endswith(kind):
            return reader
    if IDX_IMAGES in path.name:
        return read_idx
    kinds = ", ".join(READERS)
    raise ValueError(f"{source} must be a folder, a file of {kinds}, or named *{IDX_IMAGES}*")


def read_digits(size: Size) -> ImageArrays:
    """Read the 1,797 handwritten digits of scikit-learn: 8 x 8, one channel, 10 classes.

    Raises ValueError without scikit-learn.
    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (CC BY 4.0).
    """
    try:
        from sklearn.datasets import load_digits  # 2 s: imported on demand
    except ImportError as error:
        raise ValueError(
            "scikit-learn must be installed for the digits: pip install 'multigan[image]'"
        ) from error

    digits = load_digits()
    ink = torch.from_numpy(digits.images).float()[:, None]  # (1797, 1, 8, 8) in 0 .. 16
    resized = resize(ink, size)  # of integers: exact, so the same on every machine
    pixels = (resized * (255 / 16)).round().byte()
    labels = torch.from_numpy(digits.target).long()
    return ImageArrays(pixels, labels, tuple(str(digit) for digit in range(10)))


def read_fashion(size: Size) -> ImageArrays:
    """Read the 70,000 images of Fashion-MNIST: 28 x 28, one channel, 10 classes.

    Raises ValueError if Debian's package is not installed.
    Source: Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747 (MIT).
    """
    if not Path(FASHION).is_dir():
        raise ValueError(
            f"fashion-mnist must be in {FASHION}; install Debian's dataset-fashion-mnist, or give "
            "the path of a folder with its four IDX files"
        )
    return read_idx(FASHION, size, names=FASHION_CLASSES)


SOURCES: dict[str, Callable[[Size], ImageArrays]] = {
    "digits": read_digits,
    "fashion-mnist": read_fashion,
}
WITH_OPTIONS = (read_folder, read_table)
WITH_STRETCH = (read_npz, read_idx)
READERS: dict[str, Callable[..., ImageArrays]] = {
    ".zip": read_folder,
    ".npz": read_npz,
    ".npy": read_npz,
    **dict.fromkeys(TABLES, read_table),
}


def check_fashion() -> str:
    """Return the folder of Fashion-MNIST; ValueError with the command that installs it."""
    if not Path(FASHION).is_dir():
        raise ValueError("apt install dataset-fashion-mnist (for --data fashion-mnist)")
    return FASHION
