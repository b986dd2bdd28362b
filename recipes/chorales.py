"""Four bars of four-part chorale over a plan of chords, with keys, endings and given voices.

    multigan train chorales
    multigan sample runs/chorales-0001 -n 4 --bars 8 --key G --ending

Result, `--data Jsb16thSeparated.json`, seeds 0, 1, 2, one thread, 219 to 243 CPU s, in brackets
held-out pieces and voices shuffled: Frechet distance 1.7, 2.1, 1.7 (.9, 126), dissonance .12 in
all (.11, .38), parallels .006, .008, .007 (.010, .047). With `--ending` every song ends on a triad.
Try: `multigan train chorales --bars 2`; `music` learns the same by adversarial training alone.
"""

from multigan.core.recipe import Recipe, Schedule
from multigan.music.datasets.song_windows import SongWindowDataset
from multigan.music.models.discriminator import MusicDiscriminator
from multigan.music.models.sequence_generator import SequenceGenerator

TINY = {"data": "composed-few", "steps": 2, "likelihood_steps": 2, "batch_size": 4, "width": 16}


def recipe(
    *,
    data: str = "chorales",
    bars: int = 4,
    time_signature: str = "4/4",
    likelihood_steps: int = 1500,
    steps: int = 12,
    batch_size: int = 16,
    width: int = 128,
    line_width: int = 64,
    dropout: float = 0.5,
    pitch_temperature: float = 0.7,
    parallels_penalty: float = 2.0,
    likelihood_lr: float = 3e-3,
    lr: float = 4e-4,
    gamma: float = 0.2,
    likelihood_weight: float = 0.02,
) -> Recipe:
    """Windows of songs in four voices, as lines over a plan of chords.

    data: chorales (music21's), the path of the JSB json, or an imported folder
    bars: bars of one window
    time_signature: of the songs, such as 3/4; songs in others are left out
    likelihood_steps: updates of the likelihood stage
    steps: updates of the generator in adversarial training
    batch_size: real windows in one update
    width: of the recurrent state of the generator
    line_width: of the layers of one line
    dropout: in the likelihood stage
    pitch_temperature: of the pitch of a note that begins; below 1: fewer dissonances
    parallels_penalty: in sampling, in logits, of parallel unisons, octaves and fifths
    likelihood_lr: learning rate of the likelihood stage; it decays to a 20th
    lr: learning rate of the discriminator; the generator's is a tenth
    gamma: weight of both gradient penalties
    likelihood_weight: of a window's negative log-likelihood, in nats, in the adversarial loss
    """
    songs = SongWindowDataset(data, bars=bars, time_signature=time_signature, layout="satb")
    voices, window = songs.domain.voices, songs.domain.grid
    sizes = (window.steps, window.bar_steps, window.beat_steps)
    of_lines = {"width": width, "line_width": line_width, "dropout": dropout}
    sampling = {"pitch_temperature": pitch_temperature, "parallels_penalty": parallels_penalty}
    return Recipe(
        data=songs,
        generator=SequenceGenerator(voices, *sizes, **of_lines, **sampling, voice_leading=True),
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
        likelihood_weight=likelihood_weight,
    )
