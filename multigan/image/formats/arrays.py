"""Images in arrays: .npy and .npz files, and IDX files (the format of MNIST)."""

from __future__ import annotations

import gzip
import math
import re
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from multigan.core.data_counts import IGNORED, LEFT_OUT, USED, DataCounts
from multigan.image.formats.decode import Size
from multigan.image.formats.label_files import LABEL_NAMES
from multigan.image.formats.labels import NO_LABEL, integer_labels, number_labels
from multigan.image.formats.resize import (
    NO_LABEL_REASON,
    ImageArrays,
    check_min_images,
    raise_if_alike,
    resize_uint8,
    unlabeled_note,
    with_labels,
)
from multigan.image.formats.values import BYTES, STRETCH, range_notes
from multigan.storage.files import check_array_size, read_arrays

FIX_IN_MEMORY = "multiply x by one factor, or give a mask of 0 and 1 as booleans"
RANGES = ((0, 1), (-1, 1), (0, 255))  # of floating-point images; the first that fits
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
RATIO_16_TO_8_BITS = 257  # 65,535 / 255
MAX_AXES = 32  # of an array
BLOCK_BYTES = 1 << 20  # read at a time
IDX_IMAGES, IDX_LABELS = "images-idx3", "labels-idx1"  # in the names of the files


def read_npz(source: str, size: Size, stretch: bool = False) -> ImageArrays:
    """Read the images of a .npy or .npz file at one size.

    Arrays (N, H, W), (N, H, W, C) or (N, C, H, W) are images, concatenated in the order of their
    names. Integers (N,) or (N, 1), or one-hot rows (N, K), are labels; strings on one axis, one
    for each class, are their names. Other arrays of numbers are counted; without labels a warning
    lists them. `stretch` is as in ReadOptions. Raises ValueError for any other content.
    """
    arrays = read_arrays(Path(source))
    stacks = {name: array for name, array in arrays.items() if array.ndim in (3, 4)}
    if not stacks:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{source} must have an array of images, 3 or 4 axes; got {shapes}")
    ordered = sorted(stacks)
    pixels = [_to_uint8_images(stacks[name], f"{source}, {name}", stretch) for name in ordered]
    if len({tuple(stack.shape[1:]) for stack in pixels}) > 1:
        raise ValueError(f"{source}: arrays of images must have one shape; got several")
    labels, unused = _labels_in(source, arrays, [len(stacks[name]) for name in ordered])
    if len(labels) not in (0, len(pixels)):
        raise ValueError(f"{source}: all arrays of images must have labels, or none; got some")
    images = images_from_arrays(
        source, torch.cat(pixels), labels, _class_names(arrays, labels), size
    )
    if unused and images.counts is not None:
        images.counts.add(IGNORED, "arrays that are not used", unused, len(unused))
    return images


def _class_names(arrays: Mapping[str, np.ndarray], labels: Sequence[np.ndarray]) -> list[str]:
    """The names of the classes of integer labels: strings, one a class and not one an image."""
    per_image = set(map(len, labels))
    needed = max((int(found.max()) + 1 for found in labels if len(found)), default=0)
    strings = [a for a in arrays.values() if a.ndim == 1 and a.dtype.kind == "U"]
    lists = [a for a in strings if len(a) not in per_image]
    lists.sort(key=lambda names: len(names) < needed)  # too few are refused where the labels are
    return list(lists[0].tolist()) if lists else []


def _rank(name: str) -> int:
    """The place of the name of an array, or of its end as in y_train, in LABEL_NAMES."""
    words = {name.lower(), *re.split(r"[^a-z]+", name.lower())}
    words |= {word.removesuffix("s") for word in words}
    return min(
        (k for k, known in enumerate(LABEL_NAMES) if known in words), default=len(LABEL_NAMES)
    )


def _labels_in(
    source: str, arrays: Mapping[str, np.ndarray], counts: Sequence[int]
) -> tuple[list[np.ndarray], list[str]]:
    """Match arrays of labels to the stacks of images by length; return unused arrays, too.

    Arrays with a name of LABEL_NAMES come first, in their order. Integers (N,) are preferred to
    columns and one-hot rows, and these to floating-point numbers, which may be weights.
    """
    flat = {name: array for name, array in arrays.items() if array.ndim in (1, 2)}
    numbers = {name: found for name in flat if (found := integer_labels(flat[name])) is not None}
    whole = {name for name in numbers if flat[name].ndim == 1 and flat[name].dtype.kind in "iu"}
    order = sorted(
        numbers,
        key=lambda name: (_rank(name), name not in whole, flat[name].ndim == 1, name),
    )
    labels = []
    for count in counts:
        if fitting := [name for name in order if len(numbers[name]) == count]:
            order.remove(fitting[0])
            labels.append(numbers[fitting[0]])
            del flat[fitting[0]]
    named = {name: f"{name} {array.dtype}{array.shape}" for name, array in flat.items()}
    meant = [
        named[name]
        for name, array in flat.items()
        if len(array) in counts or (array.ndim == 1 and array.dtype.kind in "iu")
    ]
    if meant and not labels:
        warnings.warn(
            f"{source}: not used as classes: {', '.join(meant)}; labels must be integers or "
            "one-hot rows, one for each image",
            stacklevel=3,
        )
    return labels, [named[name] for name, array in flat.items() if array.dtype.kind != "U"]


def read_idx(
    source: str, size: Size, stretch: bool = False, names: Sequence[str] = ()
) -> ImageArrays:
    """Read the images of an IDX file, or of all IDX files of a folder, at one size.

    Labels are read from the file with labels-idx1 in place of images-idx3 in its name. Raises
    ValueError for a damaged file.
    """
    path = Path(source)
    files = idx_files(path) if path.is_dir() else [path]
    pixels, labels = [], []
    for file in files:
        stack = _idx_array(file)
        if stack.ndim != 3:
            raise ValueError(f"{file} must hold images (N, H, W); got {stack.ndim} axes")
        pixels.append(_to_uint8_images(stack, str(file), stretch))
        labels_file = file.with_name(file.name.replace(IDX_IMAGES, IDX_LABELS))
        if labels_file != file and labels_file.is_file():
            labels.append(_idx_array(labels_file))
    if len(labels) not in (0, len(pixels)):
        raise ValueError(f"{source}: all IDX files must have labels, or none; got some")
    return images_from_arrays(source, torch.cat(pixels), labels, names, size)


def idx_files(folder: Path) -> list[Path]:
    """List the IDX files of images in a folder, in order."""
    return sorted(file for file in folder.glob(f"*{IDX_IMAGES}*") if file.is_file())


def _idx_array(file: Path) -> np.ndarray:
    """Read the array of an IDX file, gzipped or not.

    Source: Y. LeCun, C. Cortes, The MNIST database, section "The IDX file format".
    """
    try:
        with file.open("rb") as plain:
            gzipped = plain.read(2) == b"\x1f\x8b"
        with gzip.open(file) if gzipped else file.open("rb") as stream:
            return _idx_content(stream)
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file} is damaged: {error}") from None


def _idx_content(stream: BinaryIO | gzip.GzipFile) -> np.ndarray:
    """Read the array of an open IDX file, never more bytes than its header declares."""
    head = stream.read(4)
    kind, axes = (IDX_TYPES.get(head[2]), head[3]) if len(head) > 3 else (None, 0)
    sizes = stream.read(4 * axes)
    if kind is None or head[:2] != b"\0\0" or len(sizes) < 4 * axes or axes > MAX_AXES:
        raise ValueError("not an IDX file")
    shape = np.frombuffer(sizes, ">u4", axes).tolist()
    expected = math.prod(shape) * np.dtype(kind).itemsize
    check_array_size(expected)
    content = bytearray()
    while len(content) <= expected and (block := stream.read(BLOCK_BYTES)):
        content += block
    if len(content) != expected:
        got = str(len(content)) if len(content) < expected else "more"
        raise ValueError(f"the header declares {expected} bytes; got {got}")
    return np.frombuffer(content, kind).reshape(shape)


def images_from_arrays(
    source: str, pixels: Tensor, labels: Sequence[np.ndarray], names: Sequence[str], size: Size
) -> ImageArrays:
    """Resize images (N, C, h, w) uint8, and number their labels from 0, with a name for each.

    Raises ValueError for too few images, or labels that do not match them.
    """
    check_min_images(source, len(pixels))
    raise_if_alike(source, pixels, None)
    counts = DataCounts("images")
    images = ImageArrays(resize_uint8(pixels, size), counts=counts)
    if not labels:
        counts.add(USED, "array", count=len(pixels))
        return images
    numbers = np.concatenate([np.asarray(part) for part in labels])
    if len(numbers) != len(pixels):
        raise ValueError(f"{source} must have {len(pixels)} labels; got {len(numbers)}")
    try:
        found = number_labels(numbers.astype(np.int64), names)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    assert found.numbers is not None
    missing = int((found.numbers == NO_LABEL).sum())
    if note := unlabeled_note(missing, len(pixels)):
        warnings.warn(f"{source}: {note}", stacklevel=3)
        counts.add(LEFT_OUT, NO_LABEL_REASON, count=missing)
    counts.add(USED, "array", count=len(pixels) - missing)
    return with_labels(images, found)


def images_in_memory(
    x: Any, labels: Any = None, class_names: Sequence[str] = (), size: Size | None = None
) -> ImageArrays:
    """Read images in memory, (N, H, W), (N, H, W, C) or (N, C, H, W), with labels (N,) if any.

    Labels are integers, with `class_names` by number if given, or the names themselves. Raises
    ValueError, in one line, for anything else.
    """
    if isinstance(x, Tensor) and x.is_meta:
        raise ValueError("x must have values; got a tensor on the meta device")
    if isinstance(x, Tensor):  # numpy has no bfloat16
        x = (x.float() if x.is_floating_point() else x).detach().cpu()
    stack = np.asarray(x)
    if size is not None and min(size) < 1:
        raise ValueError(f"resolution must be 1 or more; got {min(size)}")
    if stack.ndim not in (3, 4):
        raise ValueError(
            "x must be images (N, H, W), (N, H, W, C) or (N, C, H, W); got the shape "
            f"{tuple(stack.shape)}"
        )
    pixels = _to_uint8_images(stack, "x", fix=FIX_IN_MEMORY)
    own = Size(*pixels.shape[2:]) if size is None else size
    if labels is None:
        return images_from_arrays("x", pixels, [], (), own)
    found = np.asarray(labels.detach().cpu() if isinstance(labels, Tensor) else labels)
    if found.dtype == object and all(isinstance(label, str) for label in found.ravel()):
        found = found.astype(str)  # a column of pandas
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1 or found.dtype.kind not in "iuU":
        raise ValueError(
            "labels must be integers or names, one of each image; got an array of "
            f"{found.dtype} of the shape {tuple(found.shape)}"
        )
    if found.dtype.kind == "U":
        class_names, found = (values.tolist() for values in np.unique(found, return_inverse=True))
    return images_from_arrays("x", pixels, [np.asarray(found)], class_names, own)


def _to_uint8_images(
    stack: np.ndarray, name: str, stretch: bool = False, fix: str = STRETCH
) -> Tensor:
    """Convert an array (N, H, W[, C]) or (N, C, H, W) to (N, C, H, W) uint8, C 1 or 3.

    Where both axes can be channels, the first one is. With `stretch` the largest value becomes 255;
    else a warning tells of dark images, and of `fix`, what to do about them.
    """
    if not stack.size:
        raise ValueError(
            f"{name} must hold images with pixels; got an array of shape {stack.shape}"
        )
    images = stack[:, :, :, None] if stack.ndim == 3 else stack
    if stack.ndim == 4 and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)  # (N, H, W, C)
    if images.shape[3] not in (1, 3):
        raise ValueError(
            f"{name}: images must have 1 or 3 channels; got the shape {stack.shape[1:]}"
        )
    if stretch and images.dtype.kind in "uif":
        scaled = _stretched(images, name)
    else:
        scaled = _SCALES.get(images.dtype.kind, _reject)(images, name)
        most = float(scaled.max())
        for note in range_notes([(BYTES, (0.0, most))] if most else [], fix):
            warnings.warn(f"{name}: after conversion, {note}", stacklevel=4)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))


def _stretched(stack: np.ndarray, name: str) -> np.ndarray:
    """Scale from the range of the array, which begins at 0 or at the least negative value."""
    if not np.isfinite(stack).all():
        raise ValueError(f"{name}: values must be finite; got NaN or infinity")
    low, high = min(float(stack.min()), 0.0), float(stack.max())
    return ((stack - low) * (255 / (high - low or 1.0))).round().astype(np.uint8)


def _of_unsigned(stack: np.ndarray, name: str) -> np.ndarray:
    """Keep 8 bits; scale 16 bits by the fixed range, unless they hold bytes; else as signed."""
    if stack.dtype.itemsize > 2:
        return _of_signed(stack, name)
    if stack.dtype.itemsize == 1:
        return stack.astype(np.uint8)
    if 0 < (most := int(stack.max())) <= 255:
        text = f"{name}: 16-bit values up to {most} are read as 0 to 255, not as 0 to 65,535"
        warnings.warn(text, stacklevel=4)
        return stack.astype(np.uint8)
    return (stack / RATIO_16_TO_8_BITS).round().astype(np.uint8)


def _of_signed(stack: np.ndarray, name: str) -> np.ndarray:
    """Convert integers in 0 to 255."""
    return _of_float(stack, name, ranges=RANGES[-1:])


def _of_float(
    stack: np.ndarray, name: str, ranges: Sequence[tuple[int, int]] = RANGES
) -> np.ndarray:
    """Scale from the first range that contains the whole array, never from that of one image."""
    if not np.isfinite(stack).all():
        raise ValueError(f"{name}: values must be finite; got NaN or infinity")
    least, most = float(stack.min(initial=0)), float(stack.max(initial=0))
    for low, high in ranges:
        if low <= least and most <= high:
            return ((stack - low) * (255 / (high - low))).round().astype(np.uint8)
    allowed = ", ".join(f"{low} to {high}" for low, high in ranges)
    raise ValueError(f"{name}: values must be in one of {allowed}; got {least:g} to {most:g}")


def _of_bool(stack: np.ndarray, name: str) -> np.ndarray:
    return stack * np.uint8(255)


def _reject(stack: np.ndarray, name: str) -> np.ndarray:
    raise ValueError(f"{name}: arrays must be of numbers; got {stack.dtype}")


_SCALES = {"u": _of_unsigned, "i": _of_signed, "f": _of_float, "b": _of_bool}
