"""Binarization of a music generator's logits, and two objectives, at an equal budget.

    multigan train benchmarks/music_binarization --binarization stochastic    one row
    make benchmarks                                             every row with three seeds
    python -m tests.benchmarks.queue --table music_binarization mean and spread

Rows: binarization and objective of `recipes/music.py`, four others, WGAN-GP, the MuseGAN pair.
Steps are for equal time, about 8 CPU minutes, one thread of x86. Results: README; deterministic and
musegan: not run.
"""

from multigan.benchmarks.musegan import MuseGANDiscriminator, MuseGANGenerator
from multigan.core.recipe import Recipe, Schedule
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.models.discriminator import MusicDiscriminator
from multigan.music.models.generator import MusicGenerator

TINY = {"data": "composed", "steps": 4, "batch_size": 4, "width": 12}
ROWS = {
    "straight_through": {},
    "stochastic": {"binarization": "stochastic"},
    "deterministic": {"binarization": "deterministic"},
    "threshold": {"binarization": "threshold"},
    "bernoulli": {"binarization": "bernoulli"},
    "wgan_gp": {"objective": "wgan_gp", "steps": 440},
    "musegan": {
        "family": "musegan",
        "binarization": "deterministic",
        "objective": "wgan_gp",
        "steps": 620,
    },
}
OBJECTIVES = {
    "relativistic": {
        "penalties": {"r1": 0.2, "r2": 0.2},
        "burn_in": 0.0,
        "generator_lr": Schedule(4.8e-4, 0.0),
        "discriminator_lr": Schedule(8e-4, 0.0),
        "lookahead_interval": 5,
    },
    "wgan_gp": {
        "loss": "wasserstein",
        "penalties": {"wgan_gp": 10.0},
        "discriminator_steps": 5,
        "generator_lr": Schedule(2e-4, 0.0),
        "discriminator_lr": Schedule(2e-4, 0.0),
        "beta2": 0.9,
    },
}


def recipe(
    *,
    data: str = "chorales",
    family: str = "music",
    binarization: str = "straight_through",
    objective: str = "relativistic",
    steps: int = 1200,
    batch_size: int = 32,
    width: int = 96,
) -> Recipe:
    """Windows of two bars in four voices.

    data: chorales (music21's), composed, or the path of the JSB json
    family: music, or musegan (bars that grow by deconvolution)
    binarization: rule for the logits, a key of multigan.music.models.binarization.BINARIZERS
    objective: relativistic (with R1 and R2) or wgan_gp (five updates of D for one of G)
    steps: updates of the generator
    batch_size: real windows in one update
    width: channels of a beat in the discriminator
    """
    songs = SongWindowDataset(data)
    voices, grid = songs.domain.voices, songs.domain.grid
    sizes = (grid.steps, grid.bar_steps)
    if family == "musegan":
        discriminator = MuseGANDiscriminator(voices, *sizes, width=width // 3)
        generator = MuseGANGenerator(voices, *sizes, width=width // 3, binarization=binarization)
    else:
        beats = (*sizes, grid.beat_steps)
        more = {
            "depth": 4,
            "beat_latent_dim": 48,
            "final_noise": 0.15,
            "binarization": binarization,
        }
        discriminator = MusicDiscriminator(voices, *beats, width, dropout=0.1)
        generator = MusicGenerator(voices, *beats, "composer", width * 4 // 3, **more)
    schedule = {"steps": steps, "batch_size": batch_size, "ema_halflife_samples": 6000}
    return Recipe(
        data=songs,
        generator=generator,
        discriminator=discriminator,
        **schedule,
        **OBJECTIVES[objective],
    )
