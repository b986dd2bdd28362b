"""What a page shows of a run: its samples while it trained and at its end, and a latent walk."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import Path
from types import ModuleType
from typing import Any

from multigan.core.interpolation import interpolation_frames
from multigan.core.media import sample_media
from multigan.core.protocols import SAMPLING_BATCH_SIZE, Medium, Sampler
from multigan.report.run_summary import subsample
from multigan.runs.directory import RunDirectory
from multigan.storage.loading import load

SHOWN = {"text/plain": 24, "application/json;profile=piano-roll": 6}  # samples on a page
WALKED = {"text/plain": 4, "application/json;profile=piano-roll": 1}  # of them along a walk
MOST_SHOWN, MOST_WALKED = SAMPLING_BATCH_SIZE, 6  # of what the tables do not name: pictures
MAX_POINTS = 1000  # samples, where one picture shows them all
FRAMES, MOMENTS = 13, 24  # of a walk; of a history
HISTORY_BYTES, SAMPLES_BYTES, WALK_BYTES = 1_200_000, 1_000_000, 700_000  # of all runs of a page
TEXT_BYTES = 4000  # of one moment of a history
MOMENT = re.compile(r"step-(\d{1,12})\.(png|txt)")
MOST_FILE_BYTES, MOST_PIXELS = 30_000_000, 40_000_000  # of a picture that is opened
TRIALS = [(side, quality) for side in (1024, 512, 256, 128, 64, 32) for quality in (85, 60)]


@dataclass(frozen=True)
class SampleMedia:
    """Media of a run; `trouble` says why there is none of what its generator would draw."""

    history: dict[int, list[Medium]] = field(default_factory=dict)  # by step
    samples: list[Medium] = field(default_factory=list)
    walk: list[list[Medium]] = field(default_factory=list)  # frame by frame
    trouble: str = ""


def collect_media(run: RunDirectory, runs: int = 1, trust: ModuleType | None = None) -> SampleMedia:
    """What one of `runs` runs on a page shows: they share the bytes that it may take."""
    history = training_history(run, HISTORY_BYTES // runs)
    try:
        sampler = load(run.path, trust=trust)
        samples = _within(_final(sampler), SAMPLES_BYTES // runs)
        return SampleMedia(history, samples, interpolation_media(sampler, WALK_BYTES // runs))
    except Exception as error:  # a stranger's network fails in as many ways as there are
        return SampleMedia(history, trouble=" ".join(str(error).split()))


def training_history(run: RunDirectory, most_bytes: int) -> dict[int, list[Medium]]:
    """The previews of `samples/` by step, small enough; links are not followed."""
    files = [file for file in sorted(run.samples.glob("step-*")) if MOMENT.fullmatch(file.name)]
    own = run.samples.resolve().parent == run.path.resolve()
    real = [file for file in files if own and file.is_file() and not file.is_symlink()]
    chosen = subsample([file for file in real if file.stat().st_size < MOST_FILE_BYTES], MOMENTS)
    moments: dict[int, list[Medium]] = {}
    for file in chosen:
        medium = Medium(guess_type(file.name)[0] or "", _content(file))
        small = _within([medium], most_bytes // len(chosen))
        moments.setdefault(int(MOMENT.sub(r"\1", file.name)), []).extend(small)
    return moments


def _content(file: Path) -> bytes:
    """The bytes of a picture; of a text the first lines."""
    content = file.read_bytes()
    if file.suffix == ".txt" and len(content) > TEXT_BYTES:
        return content[:TEXT_BYTES].rpartition(b"\n")[0]
    return content


def _final(sampler: Sampler) -> list[Medium]:
    """The first samples of seed 0; a crowd of them where one picture shows them all."""
    samples = sampler.sample(SAMPLING_BATCH_SIZE)
    media = sample_media(sampler.domain, samples)
    if len(media) == 1:
        return sample_media(sampler.domain, sampler.sample(MAX_POINTS))
    return media[: _count(media, SHOWN, MOST_SHOWN)]


def interpolation_media(sampler: Sampler, most_bytes: int) -> list[list[Medium]]:
    """Media along a walk between latents, frame by frame; none if they cannot be walked between."""
    if not hasattr(sampler.generator, "interpolate"):
        return []
    domain = sampler.domain
    frames = _frames(sampler, MOST_WALKED)
    if len(sample_media(domain, frames[0])) == 1:
        frames = _frames(sampler, MAX_POINTS)
    shown = [sample_media(domain, frame) for frame in frames]
    kept = [media[: _count(media, WALKED, MOST_WALKED)] for media in shown]
    return [_within(media, most_bytes // FRAMES) for media in kept]


def _frames(sampler: Sampler, walks: int) -> list[list[Any]]:
    return interpolation_frames(sampler, num_paths=walks, num_steps=FRAMES)


def _count(media: list[Medium], table: Mapping[str, int], most: int) -> int:
    return table.get(media[0].type, most) if media else 0


def _within(media: list[Medium], most_bytes: int) -> list[Medium]:
    """The media, pictures made smaller until all together take at most so many bytes."""
    if sum(len(medium.content) for medium in media) <= most_bytes:
        return media
    share = most_bytes // len(media)
    return [downscale(medium, share) for medium in media]


def downscale(medium: Medium, most_bytes: int) -> Medium:
    """A picture as WebP of at most so many bytes, if that can be; other media as they are."""
    if medium.type != "image/png" or len(medium.content) <= most_bytes:
        return medium
    from PIL import Image

    try:
        with Image.open(io.BytesIO(medium.content), formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels")
            content = _fitting(picture.convert("RGB"), most_bytes)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Medium("text/plain", f"a picture that cannot be shown: {error}".encode())
    return Medium("image/webp", content)


def _fitting(picture: Any, most_bytes: int) -> bytes:
    """The first of the trials that is small enough, else the smallest."""
    found = b""
    for side, quality in TRIALS:
        copy, stream = picture.copy(), io.BytesIO()
        copy.thumbnail((side, side))
        copy.save(stream, format="WEBP", quality=quality)
        found = stream.getvalue()
        if len(found) <= most_bytes:
            break
    return found
