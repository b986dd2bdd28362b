"""Two bars of four-part chorale, free or around given voices and bars.

    multigan train music
    multigan sample runs/music-0001 -n 4 --given melody.mid --keep soprano

Result of `--steps 1500`, seed 0, 360 s in one thread of a 2-core machine, `multigan evaluate`, in
brackets held-out pieces and voices shuffled: Frechet distance 36 (.4, 88), scale consistency .86
(.94, .83), dissonance .22 (.11, .39), mean leap 3.5 (2.6, 2.6), voice crossing .05 (.01, .09). With
the soprano given: scale .93, dissonance .20. Longer runs, other seeds and the default: not run yet.
Try: `multigan train music --coupling hybrid`, where every voice has latents of its own.
"""

from multigan.music.data import SongWindows
from multigan.music.discriminators import MusicDiscriminator
from multigan.music.generators import MusicGenerator
from multigan.recipe import Recipe, Schedule

TINY = {"data": "composed", "steps": 20, "batch_size": 8, "width": 16, "voice_width": 8}


def recipe(
    *,
    data: str = "chorales",
    bars: int = 2,
    steps: int = 6000,
    batch_size: int = 32,
    width: int = 96,
    voice_width: int = 48,
    coupling: str = "composer",
    lr: float = 8e-4,
    loss: str = "relativistic",
    gamma: float = 0.2,
    ema_halflife_samples: int = 11_000,
) -> Recipe:
    """Windows of songs in four voices.

    data: chorales (music21's), composed, the path of the JSB json, or an imported folder
    bars: bars of one window, of 4/4
    steps: updates of the generator
    batch_size: real windows in one update
    width: channels of a beat where all voices are together, in both networks
    voice_width: channels of a beat in one voice, in both networks
    coupling: composer (shared latents), jamming (a voice's own) or hybrid (both)
    lr: learning rate of the discriminator at the start, the generator's is .6 of it; both fall to 0
    loss: the game, a name of multigan.engine.losses.LOSSES
    gamma: weight of both gradient penalties, the same all the time
    ema_halflife_samples: half-life of the averaged generator that is sampled, in windows seen
    """
    songs = SongWindows(data, bars=bars)
    frame = songs.domain.frame
    sizes = {
        "steps": frame.steps,
        "steps_per_bar": frame.bar_steps,
        "steps_per_beat": frame.beat_steps,
        "width": width,
        "voice_width": voice_width,
    }
    return Recipe(
        data=songs,
        generator=MusicGenerator(songs.domain.voices, coupling=coupling, **sizes),
        discriminator=MusicDiscriminator(songs.domain.voices, **sizes),
        steps=steps,
        batch_size=batch_size,
        loss=loss,
        penalties={"r1": Schedule(gamma, gamma), "r2": Schedule(gamma, gamma)},
        generator_lr=Schedule(0.6 * lr, 0.0),
        discriminator_lr=Schedule(lr, 0.0),
        ema_halflife_samples=ema_halflife_samples,
    )
