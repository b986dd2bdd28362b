"""The samples of a run compared with its data, kept in the run: a report needs no data.

The samples are the first ones of seed 0, those that a report shows.
"""

from __future__ import annotations

import base64
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from multigan.core.data_comparison import (
    Statistic,
    SupportsNearestItems,
    SupportsSampleStatistics,
)
from multigan.core.media import PIANO_ROLL, sample_media
from multigan.core.protocols import SAMPLING_BATCH_SIZE, Dataset, Domain, Medium, Sample, Sampler
from multigan.core.rng import keyed_rng
from multigan.engine.neighbors import MIN_HELD_OUT, random_items
from multigan.storage.checkpoint_integrity import resolve_weights_file, sha256
from multigan.storage.files import parse_json, write_atomically
from multigan.storage.loading import Trusted, load

COMPARISON = "data_comparison.json"
MAX_FILE_BYTES, MAX_MEDIA_BYTES = 10_000_000, 6_000_000
NUM_COUNTED = 256  # samples of the statistics
KNOWN_TYPES = ("image/png", "text/plain", PIANO_ROLL)  # of items on a page
MAX_STATISTICS, MAX_ROWS = 8, 200


class Neighbor(NamedTuple):
    """The training item nearest to the sample at `position`, from 0, and its distance."""

    position: int
    distance: float
    medium: Medium


class DataComparison(NamedTuple):
    """Nearest training items of samples, nearest first, and statistics.

    `distances` are of all samples, `held_out` those of held-out items.
    """

    distance_name: str
    num_compared: int
    num_items: int
    neighbors: list[Neighbor]
    distances: list[float]
    held_out: list[float]
    statistics: list[Statistic]

    @property
    def sentence(self) -> str:
        """The distances of samples and of held-out items, in a sentence for a page."""
        if not self.distances or not self.held_out:
            return ""
        own, real, least = median(self.distances), median(self.held_out), min(self.held_out)
        nearer = sum(distance < least for distance in self.distances)
        among = f"{self.num_compared:,} training items"
        if self.num_compared < self.num_items:
            among = f"{self.num_compared:,} of {self.num_items:,} training items, at random"
        return (
            f"Median distance to the nearest of {among}: {own:.3g} for samples, {real:.3g} for "
            f"held-out items. {nearer} of {len(self.distances)} samples are nearer than any of "
            f"{len(self.held_out)} held-out items. Distance: {self.distance_name}."
        )


def update_data_comparison(path: Path, data: Dataset, trust: Trusted | None = None) -> None:
    """Compare the samples of a run with its training split `data`, unless that is done already.

    An error becomes a warning: the run itself is complete.
    """
    if not isinstance(data.domain, SupportsNearestItems | SupportsSampleStatistics):
        return
    try:
        checksum = sha256(resolve_weights_file(path))
        if _stored(path).get("weights") != checksum:
            content = json.dumps({"weights": checksum} | _compared(load(path, trust=trust), data))
            write_atomically(path / COMPARISON, content.encode())
    except Exception as error:  # networks raise arbitrary exceptions
        message = " ".join(str(error).split())
        warnings.warn(f"samples were not compared with the data: {message}", stacklevel=2)


def read_data_comparison(path: Path) -> DataComparison | None:
    """Return what `update_data_comparison` wrote; None if it is of other weights, or damaged."""
    stored = _stored(path)
    try:
        if not stored or stored["weights"] != sha256(resolve_weights_file(path)):
            return None
        return _parsed(stored)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, OSError):
        return None


def _compared(sampler: Sampler, data: Dataset) -> dict[str, Any]:
    """Return the content of the file."""
    domain, held_out = sampler.domain, data.split("valid")
    found: dict[str, Any] = {}
    samples = sampler.sample(SAMPLING_BATCH_SIZE)
    if isinstance(domain, SupportsNearestItems) and len(held_out) >= MIN_HELD_OUT:
        rng = keyed_rng("data comparison")
        real = domain.decode(random_items(held_out, SAMPLING_BATCH_SIZE, rng).x)
        items, distances, count = domain.nearest_items([*samples, *real], data, rng)
        found |= {
            "distance_name": domain.distance_name,
            "num_compared": count,
            "num_items": len(data),
            "neighbors": _neighbors(domain, items, distances[: len(samples)]),
            "distances": distances[: len(samples)],
            "held_out": distances[len(samples) :],
        }
    if isinstance(domain, SupportsSampleStatistics) and len(held_out):
        found["statistics"] = domain.sample_statistics(sampler.sample(NUM_COUNTED), held_out)
    return found


def _neighbors(
    domain: Domain, items: Sequence[Sample], distances: Sequence[float]
) -> list[dict[str, Any]]:
    """Describe the items of the smallest distances, within MAX_MEDIA_BYTES."""
    order = sorted(range(len(distances)), key=lambda k: (distances[k], k))
    left, found = MAX_MEDIA_BYTES, []
    for k, medium in zip(order, sample_media(domain, [items[k] for k in order]), strict=True):
        content = base64.b64encode(medium.content).decode()
        left -= len(content)
        if left < 0:
            break
        found.append(
            {"position": k, "distance": distances[k], "type": medium.type, "content": content}
        )
    return found


def _stored(path: Path) -> Mapping[str, Any]:
    """Return the file as it is; empty without a readable one."""
    file = path / COMPARISON
    try:
        if file.is_symlink() or file.stat().st_size > MAX_FILE_BYTES:
            return {}
        stored = parse_json(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _parsed(stored: Mapping[str, Any]) -> DataComparison:
    """Check and convert the content of a file that anyone may have written."""
    return DataComparison(
        str(stored.get("distance_name", "")),
        int(stored.get("num_compared", 0)),
        int(stored.get("num_items", 0)),
        [
            Neighbor(
                int(one["position"]),
                _finite(one["distance"]),
                _medium(_known(one["type"]), base64.b64decode(one["content"], validate=True)),
            )
            for one in stored.get("neighbors", ())
        ],
        [_finite(value) for value in stored.get("distances", ())],
        [_finite(value) for value in stored.get("held_out", ())],
        [_statistic(one) for one in stored.get("statistics", ())[:MAX_STATISTICS]],
    )


def _statistic(stored: Any) -> Statistic:
    title, unit, rows = stored
    values = [(str(name), _finite(own), _finite(real)) for name, own, real in rows[:MAX_ROWS]]
    return Statistic(str(title), str(unit), values)


def _medium(type: str, content: bytes) -> Medium:
    """Return a medium; of a song, one that has tracks and no sound of its own."""
    if type == PIANO_ROLL:
        song = parse_json(content)
        if not isinstance(song["tracks"], list) or "audio" in song:
            raise ValueError("a song must have tracks and no audio")
        json.dumps(song, allow_nan=False)  # raises ValueError for what a page cannot show
    return Medium(type, content)


def _known(type: str) -> str:
    if type not in KNOWN_TYPES:
        raise ValueError(f"type must be one of {', '.join(KNOWN_TYPES)}; got {type!r}")
    return type


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a value must be finite; got {value!r}")
    return number
