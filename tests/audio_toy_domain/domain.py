"""What one sample is: a wave, a tuple of heights."""

from dataclasses import dataclass, field

import torch

from multigan.core.modules import sample_batch
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component


@component
@dataclass(frozen=True)
class WavesDomain:
    """Waves of `length` heights in [-1, 1]."""

    length: int = 16
    selection_metric: str = field(default="loudness_error", init=False)

    def sample(self, generator, n, rng, *, gain: float = 1.0):
        """Draw `n` waves.

        gain: a factor for every height
        """
        return self.decode(gain * sample_batch(generator, n, rng))

    def decode(self, x):
        """Tuples of heights, from (B, length)."""
        return [tuple(heights) for heights in x.clamp(-1, 1).tolist()]

    def preview(self, samples, path, columns=None):
        """Draw the first waves as lines of text."""
        bars = [" ".join(f"{height:+.1f}" for height in wave) for wave in samples[:8]]
        file = path.with_name(path.name + ".txt")
        file.write_text("\n".join(bars) + "\n")
        return [file]

    def write(self, samples, folder):
        """Write a file of heights for each wave."""
        files = [folder / f"{number:06d}.txt" for number in range(len(samples))]
        for wave, file in zip(samples, files, strict=True):
            file.write_text("\n".join(map(str, wave)) + "\n")
        return files

    def evaluate(self, sampler, data, rng, cache):
        """Compare how loud the waves are, beside the floor: other real waves."""
        real, other = (loudness(data.batch(half).x) for half in torch.arange(len(data)).chunk(2))
        fake = loudness(torch.tensor(sampler.sample(64)))
        rows = {"real": other, "generator": fake}
        return ResultsTable(
            {name: {"loudness_error": abs(float(value - real))} for name, value in rows.items()},
            notes=("loudness: root mean square of all heights",),
        )


def loudness(x):
    """The root mean square of heights (B, length)."""
    return x.square().mean().sqrt()
