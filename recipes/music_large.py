"""Two bars of four-part chorale at the size of a GPU: the networks of `music`, three times as wide.

    multigan train music_large --device cuda

Goal: every metric inside the interval of held-out pieces, or a Frechet distance of 3 at most. Not
run: no GPU was at hand. Try: the data of the published tables, `--data Jsb16thSeparated.json`.
"""

from multigan.core.recipe import Recipe, Schedule
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.models.discriminator import MusicDiscriminator
from multigan.music.models.generator import MusicGenerator

TINY = {"data": "composed", "steps": 4, "batch_size": 4, "width": 12, "voice_width": 8}


def recipe(
    *,
    data: str = "chorales",
    bars: int = 2,
    time_signature: str = "4/4",
    layout: str = "auto",
    grid: int = 0,
    steps: int = 60_000,
    batch_size: int = 256,
    width: int = 384,
    voice_width: int = 128,
    lr: float = 4e-4,
    gamma: float = 0.2,
) -> Recipe:
    """Windows of songs in four voices, or in those of another layout.

    data: chorales (music21's), composed, the path of the JSB json, or an imported folder
    bars: bars of one window
    time_signature: of the songs, such as 3/4 or 6/8; songs in others are left out
    layout: satb, band, melody+chords, melody+piano or piano; auto: the one of the data
    grid: steps per quarter, 4, 6, 8, 12 or 24; 0: those of the import
    steps: updates of the generator
    batch_size: real windows in one update
    width: channels of a beat in the joint trunks of both networks
    voice_width: channels of a beat of one voice, in both networks
    lr: learning rate of the discriminator at the start, the generator's is .6 of it; both fall to 0
    gamma: weight of both gradient penalties
    """
    songs = SongWindowDataset(data, None, bars, time_signature, grid or None, layout=layout)
    voices, window = songs.domain.voices, songs.domain.grid
    sizes = (window.steps, window.bar_steps, window.beat_steps)
    generator = MusicGenerator(
        voices,
        *sizes,
        "composer",
        width,
        voice_width,
        depth=6,
        beat_latent_dim=48,
        final_noise=0.15,
    )
    return Recipe(
        data=songs,
        generator=generator,
        discriminator=MusicDiscriminator(
            voices, *sizes, width, voice_width, step_width=48, depth=4, dropout=0.1
        ),
        steps=steps,
        batch_size=batch_size,
        penalties={"r1": gamma, "r2": gamma},
        burn_in=0.0,
        generator_lr=Schedule(0.6 * lr, 0.0),
        discriminator_lr=Schedule(lr, 0.0),
        ema_halflife_samples=100_000,
        lookahead_interval=5,
    )
