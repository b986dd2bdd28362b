"""Eight bars of a tune over chords, as in a lead sheet: the design of `pop` on folk tunes.

multigan train folk --data nottingham.zip
multigan sample runs/folk-0001 -n 4 --bars 16 --chords "G C G D" --ending

Result, 1,014 tunes of Nottingham, seeds 0 to 2: Frechet distance 2.8, 2.0, 2.3, held-out tunes 1.0,
chords of another tune 14. Time: 440 CPU s, one thread. Without data: `composed-tunes`, by rule.
Try: `multigan train folk --time-signature 6/8 --data nottingham.zip`.
"""

from multigan.core.recipe import Recipe, Schedule
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.models.discriminator import MusicDiscriminator
from multigan.music.models.sequence_generator import SequenceGenerator

TINY = {"steps": 2, "likelihood_steps": 2, "bars": 2, "batch_size": 4, "width": 16}


def recipe(
    *,
    data: str = "composed-tunes",
    bars: int = 8,
    time_signature: str = "4/4",
    layout: str = "melody+chords",
    likelihood_steps: int = 2000,
    steps: int = 12,
    batch_size: int = 16,
    width: int = 192,
    line_width: int = 96,
    likelihood_lr: float = 3e-3,
    lr: float = 4e-4,
    gamma: float = 0.2,
) -> Recipe:
    """Windows of tunes with chords, as monophonic lines over a plan of chords.

    data: composed-tunes (by rule), an imported folder, or a zip of songs such as nottingham.zip
    bars: bars of one window
    time_signature: of the songs, such as 6/8; songs in others are left out
    layout: melody+chords, or another one that the data has
    likelihood_steps: updates of the likelihood stage
    steps: updates of the generator in adversarial training
    batch_size: real windows in one update
    width: of the recurrent state of the generator
    line_width: of the layers of one line
    likelihood_lr: learning rate of the likelihood stage; it decays to a 20th
    lr: learning rate of the discriminator; the generator's is a tenth
    gamma: weight of both gradient penalties
    """
    songs = SongWindowDataset(
        data, bars=bars, time_signature=time_signature, layout=layout, tempo_bpm=110.0
    )
    voices, window = songs.domain.voices, songs.domain.grid
    sizes = (window.steps, window.bar_steps, window.beat_steps)
    return Recipe(
        data=songs,
        generator=SequenceGenerator(voices, *sizes, width=width, line_width=line_width),
        discriminator=MusicDiscriminator(
            voices, *sizes, width=64, voice_width=24, dropout=0.1, compare_bars=True
        ),
        steps=steps,
        batch_size=batch_size,
        penalties={"r1": gamma, "r2": gamma},
        penalty_interval=4,
        burn_in=0.0,
        generator_lr=Schedule(lr / 10, 0.0),
        discriminator_lr=lr,
        ema_halflife_samples=500,
        likelihood_steps=likelihood_steps,
        likelihood_lr=Schedule(likelihood_lr, likelihood_lr / 20),
        likelihood_weight=0.02,
    )
