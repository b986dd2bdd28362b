"""Music short enough to measure by hand."""

import torch

REST = -1


def voices(*lines):
    """One window (1, T, K): each line is a voice of (pitch, steps) pairs."""
    sung = [[pitch for pitch, steps in line for _ in range(steps)] for line in lines]
    return torch.tensor(sung).T[None]


def held(*pitches, steps=16):
    """One window (1, steps, K) in which every voice holds its pitch."""
    return voices(*([(pitch, steps)] for pitch in pitches))


def random_windows(n=40, steps=32, seed=0):
    """Windows (n, steps, 4) of notes of many lengths between 48 and 72, and of rests."""
    rng = torch.Generator().manual_seed(seed)
    pitches = torch.randint(48, 73, (n, steps, 4), generator=rng)
    pitches[torch.rand(pitches.shape, generator=rng) < 0.1] = REST
    struck = torch.rand(pitches.shape, generator=rng) < 0.4
    struck[:, 0] = True
    step = torch.arange(steps)[:, None]
    return pitches.gather(1, torch.where(struck, step, 0).cummax(1).values)


def random_chorales(pieces=6, steps=112):
    """Pieces (steps, 4) in the form that the chorales have."""
    return list(random_windows(pieces, steps, seed=1))
