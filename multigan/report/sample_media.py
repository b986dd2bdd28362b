"""Media of a report: samples during and after training, and an interpolation."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from mimetypes import guess_type
from pathlib import Path
from typing import Any, NamedTuple

from multigan.core.interpolation import interpolation_frames
from multigan.core.media import (
    PIANO_ROLL,
    SCORED_TEXT,
    SupportsAudio,
    SupportsScoring,
    sample_media,
)
from multigan.core.protocols import (
    SAMPLING_BATCH_SIZE,
    Medium,
    Sample,
    Sampler,
    SupportsInterpolation,
)
from multigan.report.html_elements import IMAGE_DESCRIPTION
from multigan.report.log_reading import subsample
from multigan.runs.data_comparison import DataComparison, read_data_comparison
from multigan.runs.directory import REAL_PREVIEW, RunDirectory
from multigan.storage.loading import Trusted, load
from multigan.storage.refiners import refiner_file

NUM_LINES, NUM_SONGS = 24, 6  # samples on a page
NUM_SAMPLES = {
    "text/plain": NUM_LINES,
    SCORED_TEXT: NUM_LINES,
    PIANO_ROLL: NUM_SONGS,
}
NUM_PATHS = {"text/plain": 4, PIANO_ROLL: 1}  # of an interpolation
MAX_SAMPLES, MAX_PATHS = SAMPLING_BATCH_SIZE, 6  # for all other types: images
MAX_POINTS = 1000  # samples, if one image shows all of them
NUM_STEPS, MAX_MOMENTS = 13, 24  # of the interpolation; of the history
HISTORY_BYTES, SAMPLES_BYTES, INTERPOLATION_BYTES = 1_200_000, 1_000_000, 700_000  # of a page
REAL_BYTES, AUDIO_BYTES = 400_000, 1_200_000
NEAREST_BYTES, REFINED_BYTES = 500_000, 300_000
NUM_REFINED = 16  # samples that a refiner chose: each costs several candidates
TEXT_BYTES = 4000  # of one step of the history
MOMENT = re.compile(r"step-(\d{1,12})\.(png|txt)")
REAL = re.compile(REAL_PREVIEW + r"\.(png|txt)")
MAX_FILE_BYTES, MAX_PIXELS = 30_000_000, 40_000_000  # of an image that is opened
TRIALS = [(side, quality) for side in (1024, 512, 256, 128, 64, 32) for quality in (85, 60)]


class NearestPair(NamedTuple):
    """A sample, the training item nearest to it, and their distance; samples count from 1."""

    number: int
    sample: Medium
    nearest: Medium
    distance: float


@dataclass(frozen=True)
class SampleMedia:
    """Media of a run; `error` is the reason why some could not be generated.

    `is_live` marks a page that shows what the training wrote, without the generator.
    """

    history: dict[int, list[Medium]] = field(default_factory=dict)  # by step
    samples: list[Medium] = field(default_factory=list)
    interpolation: list[list[Medium]] = field(default_factory=list)  # by step
    real: list[Medium] = field(default_factory=list)  # held out
    refined: list[Medium] = field(default_factory=list)  # chosen by the refiner of the run
    nearest: list[NearestPair] = field(default_factory=list)  # nearest first
    data_comparison: DataComparison | None = None
    error: str = ""
    is_live: bool = False


def collect_media(run: RunDirectory, runs: int = 1, trust: Trusted | None = None) -> SampleMedia:
    """Collect the media of a run; the `runs` runs on a page share its bytes."""
    history = training_history(run, HISTORY_BYTES // runs)
    real = real_media(run, REAL_BYTES // runs)
    try:
        sampler = load(run.path, trust=trust)
        samples = _within(_final(sampler, AUDIO_BYTES // runs), SAMPLES_BYTES // runs)
    except Exception as error:  # an untrusted network raises arbitrary exceptions
        return SampleMedia(history, real=real, error=" ".join(str(error).split()))
    found, errors = read_data_comparison(run.path), []
    try:
        interpolation = interpolation_media(sampler, INTERPOLATION_BYTES // runs)
    except Exception as error:
        interpolation = []
        errors.append(" ".join(str(error).split()))
    try:
        refined = _refined(run, trust, REFINED_BYTES // runs)
    except Exception as error:  # as a refiner of other weights
        refined = []
        errors.append(" ".join(str(error).split()))
    return SampleMedia(
        history,
        samples,
        interpolation,
        real,
        refined,
        nearest_pairs(found, samples, NEAREST_BYTES // runs) if found else [],
        found,
        "; ".join(errors),
    )


def training_history(run: RunDirectory, most_bytes: int) -> dict[int, list[Medium]]:
    """Return the previews of `samples/` by step, within `most_bytes`; links are not followed."""
    chosen = subsample(_own_files(run, MOMENT), MAX_MOMENTS)
    moments: dict[int, list[Medium]] = {}
    for file in chosen:
        small = _medium_of(file, most_bytes // len(chosen))
        moments.setdefault(int(MOMENT.sub(r"\1", file.name)), []).extend(small)
    return moments


def real_media(run: RunDirectory, most_bytes: int) -> list[Medium]:
    """Return the preview of held-out samples within `most_bytes`; links are not followed."""
    files = _own_files(run, REAL)
    return [medium for file in files for medium in _medium_of(file, most_bytes // len(files))]


def _own_files(run: RunDirectory, pattern: re.Pattern[str]) -> list[Path]:
    """Return the files of `samples/` that match, without links and files that are too large."""
    if run.samples.resolve().parent != run.path.resolve():
        return []
    files = [file for file in sorted(run.samples.glob("*")) if pattern.fullmatch(file.name)]
    own = [file for file in files if file.is_file() and not file.is_symlink()]
    return [file for file in own if file.stat().st_size < MAX_FILE_BYTES]


def _medium_of(file: Path, most_bytes: int) -> list[Medium]:
    return _within([Medium(guess_type(file.name)[0] or "", _content(file))], most_bytes)


def _content(file: Path) -> bytes:
    """The bytes of an image, or the first lines of a text."""
    content = file.read_bytes()
    if file.suffix == ".txt" and len(content) > TEXT_BYTES:
        return content[:TEXT_BYTES].rpartition(b"\n")[0]
    return content


def _final(sampler: Sampler, audio_bytes: int) -> list[Medium]:
    """Samples of seed 0; MAX_POINTS of them if one image shows all."""
    samples = sampler.sample(SAMPLING_BATCH_SIZE, **_scoring(sampler))
    media = sample_media(sampler.domain, samples)
    if len(media) == 1:
        return sample_media(sampler.domain, sampler.sample(MAX_POINTS))
    shown = media[: _count(media, NUM_SAMPLES, MAX_SAMPLES)]
    return _with_audio(sampler, samples[: len(shown)], shown, audio_bytes)


def _scoring(sampler: Sampler) -> Mapping[str, Any]:
    """Options that ask how likely the parts of a sample were, if the generator can tell."""
    domain = sampler.domain
    return domain.scoring_options(sampler.generator) if isinstance(domain, SupportsScoring) else {}


def _refined(run: RunDirectory, trust: Trusted | None, most_bytes: int) -> list[Medium]:
    """Samples of seed 0 that the refiner of the run chose; none without a refiner."""
    if not refiner_file(run.path).is_file():
        return []
    sampler = load(run.path, trust=trust, refine=True)
    media = sample_media(sampler.domain, sampler.sample(NUM_REFINED))
    return _within(media[: _count(media, NUM_SAMPLES, NUM_REFINED)], most_bytes)


def nearest_pairs(
    found: DataComparison, samples: Sequence[Medium], most_bytes: int
) -> list[NearestPair]:
    """Each sample of a page with the training item nearest to it, nearest first."""
    known = [one for one in found.neighbors if 0 <= one.position < len(samples)]
    images = _within([one.medium for one in known], most_bytes)
    return [
        NearestPair(one.position + 1, plain(samples[one.position]), image, one.distance)
        for one, image in zip(known, images, strict=True)
    ]


def plain(medium: Medium) -> Medium:
    """A line without the likelihood of its parts, a song without its sound; others as they are."""
    if not medium.type.startswith("application/json"):
        return medium
    content = json.loads(medium.content)
    if medium.type != SCORED_TEXT:
        content.pop("audio", None)
        return Medium(medium.type, json.dumps(content, separators=(",", ":")).encode())
    text = content["given"] + "".join(piece for piece, _ in content["pieces"])
    return Medium("text/plain", text.encode(errors="replace"))


def _with_audio(
    sampler: Sampler, samples: list[Sample], media: list[Medium], most_bytes: int
) -> list[Medium]:
    """Add the sound of each sample to its JSON, within `most_bytes`."""
    if not isinstance(sampler.domain, SupportsAudio):
        return media
    left, found = most_bytes, []
    for sample, medium in zip(samples, media, strict=True):
        sound = base64.b64encode(sampler.domain.audio(sample)).decode() if left > 0 else ""
        left -= len(sound)
        if sound and left >= 0:
            content = json.loads(medium.content) | {"audio": f"data:audio/ogg;base64,{sound}"}
            medium = Medium(medium.type, json.dumps(content, separators=(",", ":")).encode())
        found.append(medium)
    return found


def interpolation_media(sampler: Sampler, most_bytes: int) -> list[list[Medium]]:
    """Return media by interpolation step; none for a generator without interpolation."""
    if not isinstance(sampler.generator, SupportsInterpolation):
        return []
    domain = sampler.domain
    frames = _frames(sampler, MAX_PATHS)
    if len(sample_media(domain, frames[0])) == 1:
        frames = _frames(sampler, MAX_POINTS)
    steps = [sample_media(domain, frame) for frame in frames]
    kept = [media[: _count(media, NUM_PATHS, MAX_PATHS)] for media in steps]
    return [_within(media, most_bytes // NUM_STEPS) for media in kept]


def _frames(sampler: Sampler, paths: int) -> list[list[Any]]:
    return interpolation_frames(sampler, num_paths=paths, num_steps=NUM_STEPS)


def _count(media: list[Medium], table: Mapping[str, int], most: int) -> int:
    return table.get(media[0].type, most) if media else 0


def _within(media: list[Medium], most_bytes: int) -> list[Medium]:
    """Downscale images until all media together take at most `most_bytes`."""
    if sum(len(medium.content) for medium in media) <= most_bytes:
        return media
    share = most_bytes // len(media)
    return [downscale(medium, share) for medium in media]


def downscale(medium: Medium, most_bytes: int) -> Medium:
    """Convert an image to WebP of at most `most_bytes`, if possible; keep other media."""
    if medium.type != "image/png" or len(medium.content) <= most_bytes:
        return medium
    from PIL import Image

    try:
        with Image.open(io.BytesIO(medium.content), formats=["PNG"]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels")
            content = _fitting(image.convert("RGB"), most_bytes, _exif(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Medium("text/plain", f"an image that cannot be shown: {error}".encode())
    return Medium("image/webp", content)


def _exif(image: Any) -> Any:
    """The description of an image, as WebP keeps it."""
    exif = image.getexif()
    if description := image.info.get("Description"):
        exif[IMAGE_DESCRIPTION] = str(description)
    return exif


def _fitting(image: Any, most_bytes: int, exif: Any) -> bytes:
    """The first encoding of TRIALS that is small enough, else the smallest."""
    found = b""
    for side, quality in TRIALS:
        copy, stream = image.copy(), io.BytesIO()
        copy.thumbnail((side, side))
        copy.save(stream, format="WEBP", quality=quality, exif=exif)
        found = stream.getvalue()
        if len(found) <= most_bytes:
            break
    return found
