"""Files of pictures: single ones, archives, arrays, tables."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz.reader import Reader
from tests.image.image_factory import content, random_image

SIDE = 8  # pixels


def _pictures(_: Path) -> list[bytes]:
    """One small file of every format."""
    small = random_image(0, side=6)
    deep = Image.fromarray(np.arange(36, dtype=np.uint16).reshape(6, 6) * 1800)
    moving = {"save_all": True, "append_images": [random_image(1, side=6)]}
    kinds = [(small, "PNG", {}), (deep, "PNG", {}), (small.convert("P"), "PNG", {}),
             (small.convert("RGBA"), "PNG", {}), (small, "JPEG", {}), (small, "GIF", moving),
             (small, "BMP", {}), (small, "WEBP", {}), (small, "TIFF", {}), (deep, "TIFF", {}),
             (small, "PPM", {})]  # fmt: skip
    return [content(image, kind, **options) for image, kind, options in kinds]


def _read_picture(path: Path) -> None:
    from multigan.image.formats.decode import Size, decode_one

    outcome, pixels = decode_one(str(path.parent), None, path.name, Size(SIDE, SIDE))
    assert len(pixels) == outcome.channels * SIDE * SIDE
    assert "\n" not in outcome.message
    assert outcome.message.startswith(path.name) == bool(outcome.reason)


def _archives(_: Path) -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for k in range(11):
                archive.writestr(f"{'ab'[k % 2]}/{k}.png", content(random_image(k, side=4)))
        found.append(buffer.getvalue())
    return found


def _read_archive(path: Path) -> None:
    from multigan.image.formats.decode import Size
    from multigan.image.formats.folder import read_folder

    read_folder(str(path), Size(SIDE, SIDE))


def _stack() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 4, 4)).astype(np.uint8)


def _idx(_: Path) -> list[bytes]:
    whole = bytes([0, 0, 8, 3]) + np.array([12, 4, 4], ">u4").tobytes() + _stack().tobytes()
    return [whole, gzip.compress(whole)]


def _read_idx(path: Path) -> None:
    from multigan.image.formats.arrays import read_idx
    from multigan.image.formats.decode import Size

    read_idx(str(path), Size(SIDE, SIDE))


def _npz(_: Path) -> list[bytes]:
    arrays = {"x": _stack(), "y": np.arange(12) % 3, "names": np.array(["a", "b", "c"])}
    found = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, **arrays)
        found.append(buffer.getvalue())
    return found


def _npy(_: Path) -> list[bytes]:
    found = []
    for array in (_stack(), _stack() / 255, _stack().astype(">i4")):
        buffer = io.BytesIO()
        np.save(buffer, array)
        found.append(buffer.getvalue())
    return found


def _read_arrays(path: Path) -> None:
    from multigan.image.formats.arrays import read_npz
    from multigan.image.formats.decode import Size

    read_npz(str(path), Size(SIDE, SIDE))


def _table(suffix: str) -> Callable[[Path], list[bytes]]:
    def write(folder: Path) -> list[bytes]:
        from multigan.core import optional_dependencies

        datasets = optional_dependencies.datasets()
        cells = [{"bytes": content(random_image(k, side=4)), "path": None} for k in range(11)]
        features = datasets.Features(
            image=datasets.Image(), label=datasets.ClassLabel(names=["a", "b"])
        )
        values = {"image": cells, "label": [k % 2 for k in range(11)]}
        rows = datasets.Dataset.from_dict(values, features=features)
        if suffix == ".parquet":
            rows.to_parquet(folder / "good.parquet")
            return [(folder / "good.parquet").read_bytes()]
        rows.save_to_disk(folder / "good")
        return [next((folder / "good").glob("*.arrow")).read_bytes()]

    return write


def _read_table(path: Path) -> None:
    from multigan.image.formats.decode import Size
    from multigan.image.formats.hf_tables import read_table

    read_table(str(path), Size(SIDE, SIDE))


READERS = {
    "pictures": Reader("x.png", _pictures, _read_picture, share=2),
    "zip": Reader("x.zip", _archives, _read_archive),
    "idx": Reader("x-images-idx3-ubyte", _idx, _read_idx),
    "npz": Reader("x.npz", _npz, _read_arrays),
    "npy": Reader("x.npy", _npy, _read_arrays),
    "parquet": Reader("x.parquet", _table(".parquet"), _read_table, share=0.2),
    "arrow": Reader("x.arrow", _table(".arrow"), _read_table, share=0.2),
}
