"""Eight bars of melody and piano: likelihood training, then adversarial training.

    multigan train pop --data songs.zip --layout melody+piano
    multigan sample runs/pop-0001 -n 4 --bars 16 --chords "G Em C D"

Result, 896 songs of POP909, seeds 0, 1, 2, 20 minutes of CPU time on a busy core (the guide has
the command): Frechet distance 3.0, 3.3, 3.0, held-out songs 0.46. Without training data
`composed-pop` is used, songs by rule. Try: `--likelihood-steps 4000`, not run.
"""

from multigan.core.recipe import Recipe, Schedule
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.models.discriminator import MusicDiscriminator
from multigan.music.models.sequence_generator import SequenceGenerator

TINY = {"steps": 2, "likelihood_steps": 2, "bars": 2, "batch_size": 4, "width": 16}


def recipe(
    *,
    data: str = "composed-pop",
    bars: int = 8,
    time_signature: str = "4/4",
    layout: str = "auto",
    grid: int = 0,
    stride_bars: int = 4,
    likelihood_steps: int = 2000,
    steps: int = 12,
    batch_size: int = 16,
    width: int = 224,
    line_width: int = 128,
    dropout: float = 0.1,
    temperature: float = 1.0,
    pitch_temperature: float = 0.8,
    likeness_bonus: float = 2.0,
    likelihood_lr: float = 3e-3,
    lr: float = 4e-4,
    gamma: float = 0.2,
    likelihood_weight: float = 0.02,
) -> Recipe:
    """Windows of songs, as monophonic lines over a plan of chords.

    data: an imported folder, a folder or a zip of MIDI files
    bars: bars of one window
    time_signature: of the songs; songs in others are left out
    layout: satb, melody+chords, melody+piano or piano; auto: the one of the data
    grid: steps per quarter, 4, 6, 8, 12 or 24; 0: those of the import
    stride_bars: bars between the windows of one song
    likelihood_steps: updates of the likelihood stage
    steps: updates of the generator in adversarial training
    batch_size: real windows in one update
    width: of the recurrent state of the generator
    line_width: of the layers of one line
    dropout: in the likelihood stage, and of the discriminator
    temperature: of all choices of a line; above 1: more notes
    pitch_temperature: of the pitch of a note that begins; below 1: fewer notes out of the key
    likeness_bonus: in sampling, in logits, of what the bar has that the plan names
    likelihood_lr: learning rate of the likelihood stage; it decays to a 20th
    lr: learning rate of the discriminator; the generator's is a tenth
    gamma: weight of both gradient penalties
    likelihood_weight: of a window's negative log-likelihood, in nats, in the adversarial loss
    """
    songs = SongWindowDataset(
        data,
        bars=bars,
        time_signature=time_signature,
        steps_per_quarter=grid or None,
        stride_bars=stride_bars,
        layout=layout,
        tempo_bpm=84.0,
    )
    voices, window = songs.domain.voices, songs.domain.grid
    sizes = (window.steps, window.bar_steps, window.beat_steps)
    return Recipe(
        data=songs,
        generator=SequenceGenerator(
            voices,
            *sizes,
            width=width,
            line_width=line_width,
            dropout=dropout,
            temperature=temperature,
            pitch_temperature=pitch_temperature,
            likeness_bonus=likeness_bonus,
        ),
        discriminator=MusicDiscriminator(
            voices, *sizes, width=64, voice_width=24, dropout=dropout, compare_bars=True
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
        likelihood_weight=likelihood_weight,
    )
