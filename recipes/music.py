"""Two bars of four-part chorale, unconditional or conditioned on voices and bars.

    multigan train music
    multigan sample runs/music-0001 -n 4 --given melody.mid --keep soprano

Result, seeds 0, 1, 2, one thread of 2 busy cores, 11 to 12 minutes, then `multigan evaluate`; in
brackets held-out pieces and voices shuffled: Frechet distance 4.2, 2.4, 4.5 (.4, 88), scale .953,
.926, .928 (.943, .832), dissonance .099, .113, .088 (.108, .386), tonal distance 1.54, 1.60, 1.63
(1.55, 1.81), parallels .035, .021, .016 (.014, .048). `--data Jsb16thSeparated.json`: README.
Try: `multigan train music --coupling hybrid`, where every voice has private latents.
"""

from typing import Literal

from multigan.core.recipe import Recipe, Schedule, read_gamma
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.models.discriminator import MusicDiscriminator
from multigan.music.models.generator import MusicGenerator

TINY = {"data": "composed-few", "steps": 20, "batch_size": 8, "width": 16, "voice_width": 8}


def recipe(
    *,
    data: str = "chorales",
    bars: int = 2,
    time_signature: str = "4/4",
    layout: str = "auto",
    grid: int = 0,
    steps: int = 1200,
    batch_size: int = 32,
    width: int = 96,
    voice_width: int = 48,
    coupling: Literal["composer", "jamming", "hybrid"] = "composer",
    lr: float = 8e-4,
    loss: str = "relativistic",
    gamma: str = "0.2",
    dropout: float = 0.1,
    lookahead_interval: int = 5,
    final_noise: float = 0.15,
    ema_halflife_samples: int = 6000,
) -> Recipe:
    """Windows of songs in four voices, or in those of another layout.

    data: chorales (music21's), composed, the path of the JSB json, or an imported folder
    bars: bars of one window
    time_signature: of the songs, such as 3/4 or 6/8; songs in others are left out
    layout: satb, band, melody+chords, melody+piano or piano; auto: the one of the data
    grid: steps per quarter, 4, 6, 8, 12 or 24; 0: those of the import
    steps: updates of the generator
    batch_size: real windows in one update
    width: channels of a beat in the joint trunk; in the generator a third more
    voice_width: channels of a beat of one voice, in both networks
    coupling: composer (shared latents), jamming (a voice's own) or hybrid (both)
    lr: learning rate of the discriminator at the start, the generator's is .6 of it; both fall to 0
    loss: adversarial loss, a name of multigan.engine.losses.LOSSES
    gamma: weight of both gradient penalties, or auto
    dropout: dropout rate of the discriminator
    lookahead_interval: steps between lookahead averages of both networks; 0: none
    final_noise: scale of the noise on the generator's logits at the end; twice that at the start
    ema_halflife_samples: half-life of the averaged generator that is sampled, in windows
    """
    songs = SongWindowDataset(
        data,
        bars=bars,
        time_signature=time_signature,
        steps_per_quarter=grid or None,
        layout=layout,
    )
    voices, window = songs.domain.voices, songs.domain.grid
    sizes = (window.steps, window.bar_steps, window.beat_steps)
    of_discriminator = {"width": width, "voice_width": voice_width, "dropout": dropout}
    discriminator = MusicDiscriminator(voices, *sizes, **of_discriminator)
    weight = read_gamma(gamma)
    more = {
        "coupling": coupling,
        "beat_latent_dim": 48,
        "initial_noise": 2 * final_noise,
        "final_noise": final_noise,
    }
    return Recipe(
        data=songs,
        generator=MusicGenerator(
            voices, *sizes, width=width * 4 // 3, voice_width=voice_width, depth=4, **more
        ),
        discriminator=discriminator,
        steps=steps,
        batch_size=batch_size,
        loss=loss,
        penalties={"r1": weight, "r2": weight},
        burn_in=0.0,
        generator_lr=Schedule(0.6 * lr, 0.0),
        discriminator_lr=Schedule(lr, 0.0),
        ema_halflife_samples=ema_halflife_samples,
        lookahead_interval=lookahead_interval,
    )
