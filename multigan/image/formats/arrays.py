"""Pictures that lie in arrays: .npy and .npz files, and the IDX files of MNIST and its kin."""

from __future__ import annotations

import gzip
import math
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from multigan.image.formats.decode import WIDE, Size
from multigan.image.formats.labels import integer_labels
from multigan.image.formats.resize import ImageArrays, check_min_images, resize_bytes
from multigan.storage.files import check_array_size, read_arrays

RANGES = ((0, 1), (-1, 1), (0, 255))  # of floating-point pictures; the first that holds all
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
MOST_AXES = 32  # of an array
BLOCK_BYTES = 1 << 20  # read at a time
IDX_PICTURES, IDX_LABELS = "images-idx3", "labels-idx1"  # in the names of the files


def read_npz(source: str, size: Size) -> ImageArrays:
    """The pictures of a .npy or .npz file at one size.

    Arrays of three axes (N, H, W) or four (N, H, W, C) or (N, C, H, W) are pictures, joined in the
    order of their names; whole numbers (N,) or (N, 1) or one-hot rows (N, K) their labels, text on
    one axis the names of the classes. A warning names what might be labels and is not used. Raises
    ValueError for what cannot be read so.
    """
    arrays = read_arrays(Path(source))
    stacks = {name: array for name, array in arrays.items() if array.ndim in (3, 4)}
    if not stacks:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"{source}: no array of pictures, 3 or 4 axes; it holds {shapes}")
    names = [a for a in arrays.values() if a.ndim == 1 and a.dtype.kind == "U"]
    pixels = [_bytes_of(stacks[name], f"{source}, {name}") for name in sorted(stacks)]
    if len({tuple(stack.shape[1:]) for stack in pixels}) > 1:
        raise ValueError(f"{source}: its arrays of pictures have several shapes")
    labels = _labels_in(source, arrays, [len(stacks[name]) for name in sorted(stacks)])
    if len(labels) not in (0, len(pixels)):
        raise ValueError(f"{source}: some of its arrays of pictures have labels, others none")
    return images_from_arrays(
        source, torch.cat(pixels), labels, names[0].tolist() if names else (), size
    )


def _labels_in(
    source: str, arrays: Mapping[str, np.ndarray], counts: Sequence[int]
) -> list[np.ndarray]:
    """Labels of as many stacks of pictures as have some.

    Whole numbers are taken before columns and one-hot rows, and these before other numbers: a
    weight of 1.0 for each picture is no label where there are any.
    """
    flat = {name: array for name, array in arrays.items() if array.ndim in (1, 2)}
    numbers = {name: found for name in flat if (found := integer_labels(flat[name])) is not None}
    whole = {name for name in numbers if flat[name].ndim == 1 and flat[name].dtype.kind in "iu"}
    order = sorted(numbers, key=lambda name: (name not in whole, flat[name].ndim == 1, name))
    labels = []
    for count in counts:
        if fitting := [name for name in order if len(numbers[name]) == count]:
            order.remove(fitting[0])
            labels.append(numbers[fitting[0]])
    unused = [f"{n} {a.dtype}{a.shape}" for n, a in flat.items() if len(a) in counts]
    if unused and not labels:
        warnings.warn(
            f"{source}: not used as classes: {', '.join(unused)}; wanted whole numbers or one-hot "
            "rows",
            stacklevel=3,
        )
    return labels


def read_idx(source: str, size: Size, names: Sequence[str] = ()) -> ImageArrays:
    """The pictures of an IDX file, or of all IDX files of a folder, at one size.

    Labels are read from the file beside it whose name says labels-idx1 instead of images-idx3.
    Raises ValueError for a damaged file.
    """
    path = Path(source)
    files = idx_files(path) if path.is_dir() else [path]
    pixels, labels = [], []
    for file in files:
        stack = _idx_array(file)
        if stack.ndim != 3:
            raise ValueError(f"{file}: an array of {stack.ndim} axes; wanted pictures (N, H, W)")
        pixels.append(_bytes_of(stack, str(file)))
        beside = file.with_name(file.name.replace(IDX_PICTURES, IDX_LABELS))
        if beside != file and beside.is_file():
            labels.append(_idx_array(beside))
    if len(labels) not in (0, len(pixels)):
        raise ValueError(f"{source}: some of its IDX files have labels, others none")
    return images_from_arrays(source, torch.cat(pixels), labels, names, size)


def idx_files(folder: Path) -> list[Path]:
    """The IDX files of pictures in a folder, in order."""
    return sorted(file for file in folder.glob(f"*{IDX_PICTURES}*") if file.is_file())


def _idx_array(file: Path) -> np.ndarray:
    """The array of an IDX file, gzipped or not.

    Source: Y. LeCun, C. Cortes, The MNIST database, section "The IDX file format".
    """
    try:
        with file.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
        with gzip.open(file) if packed else file.open("rb") as stream:
            return _idx_content(stream)
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{file} is damaged: {error}") from None


def _idx_content(stream: BinaryIO | gzip.GzipFile) -> np.ndarray:
    """The array in an open IDX file; never more is read than its header says."""
    head = stream.read(4)
    kind, axes = (IDX_TYPES.get(head[2]), head[3]) if len(head) > 3 else (None, 0)
    sizes = stream.read(4 * axes)
    if kind is None or head[:2] != b"\0\0" or len(sizes) < 4 * axes or axes > MOST_AXES:
        raise ValueError("it is no IDX file")
    shape = np.frombuffer(sizes, ">u4", axes).tolist()
    wanted = math.prod(shape) * np.dtype(kind).itemsize
    check_array_size(wanted)
    content = bytearray()
    while len(content) <= wanted and (block := stream.read(BLOCK_BYTES)):
        content += block
    if len(content) != wanted:
        found = f"{len(content)} bytes" if len(content) < wanted else "more bytes"
        raise ValueError(f"{found}; wanted {wanted}")
    return np.frombuffer(content, kind).reshape(shape)


def images_from_arrays(
    source: str, pixels: Tensor, labels: Sequence[np.ndarray], names: Sequence[str], size: Size
) -> ImageArrays:
    """Pictures (N, C, h, w) uint8 at one size, with labels from 0 on and a name for each.

    Raises ValueError for too few pictures, or labels that do not belong to them.
    """
    check_min_images(source, len(pixels))
    resized = resize_bytes(pixels, size)
    if not labels:
        return ImageArrays(resized, None, ())
    numbers, numbered = np.unique(np.concatenate(labels), return_inverse=True)
    if len(numbered) != len(pixels):
        raise ValueError(f"{source}: {len(numbered)} labels for {len(pixels)} pictures")
    if names and (numbers[0] < 0 or numbers[-1] >= len(names)):
        least, most = int(numbers[0]), int(numbers[-1])
        raise ValueError(f"{source}: labels {least} to {most} for {len(names)} names of classes")
    called = tuple(str(names[number]) if names else str(number) for number in numbers.tolist())
    return ImageArrays(resized, torch.from_numpy(numbered).long(), called)


def _bytes_of(stack: np.ndarray, place: str) -> Tensor:
    """Pictures (N, C, H, W) uint8, C 1 or 3, of an array (N, H, W[, C]) or (N, C, H, W)."""
    grey = stack[:, :, :, None] if stack.ndim == 3 else stack
    if grey.shape[3] not in (1, 3) and grey.shape[1] in (1, 3):
        grey = grey.transpose(0, 2, 3, 1)  # (N, H, W, C)
    if grey.shape[3] not in (1, 3) or not grey.size:
        raise ValueError(
            f"{place}: pictures of shape {stack.shape[1:]}; wanted pixels of 1 or 3 channels"
        )
    scaled = _SCALES.get(grey.dtype.kind, _refused)(grey, place)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))


def _of_unsigned(stack: np.ndarray, place: str) -> np.ndarray:
    """Bytes as they are; 16 bits by the fixed range, unless they hold bytes; more as signed."""
    if stack.dtype.itemsize > 2:
        return _of_signed(stack, place)
    if stack.dtype.itemsize == 1:
        return stack.astype(np.uint8)
    if 0 < (most := int(stack.max())) <= 255:
        told = f"{place}: 16 bits of at most {most} are taken as 0 to 255, not as 0 to 65,535"
        warnings.warn(told, stacklevel=4)
        return stack.astype(np.uint8)
    return (stack / WIDE).round().astype(np.uint8)


def _of_signed(stack: np.ndarray, place: str) -> np.ndarray:
    """Whole numbers of 0 to 255."""
    return _of_float(stack, place, ranges=RANGES[-1:])


def _of_float(
    stack: np.ndarray, place: str, ranges: Sequence[tuple[int, int]] = RANGES
) -> np.ndarray:
    """Numbers of one of the ranges, of the whole array: never of one picture."""
    if not np.isfinite(stack).all():
        raise ValueError(f"{place}: holds values that are not finite")
    least, most = float(stack.min(initial=0)), float(stack.max(initial=0))
    for low, high in ranges:
        if low <= least and most <= high:
            return ((stack - low) * (255 / (high - low))).round().astype(np.uint8)
    wanted = ", ".join(f"{low} to {high}" for low, high in ranges)
    raise ValueError(f"{place}: values of {least:g} to {most:g}; wanted one of {wanted}")


def _of_bool(stack: np.ndarray, place: str) -> np.ndarray:
    return stack * np.uint8(255)


def _refused(stack: np.ndarray, place: str) -> np.ndarray:
    raise ValueError(f"{place}: an array of type {stack.dtype}; wanted numbers")


_SCALES = {"u": _of_unsigned, "i": _of_signed, "f": _of_float, "b": _of_bool}
