"""Sound as mel spectrograms: to look at, and to say how far apart two folders of it are.

torchaudio does it where it is installed; without it the same arithmetic in torch.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from multigan.core import optional_dependencies
from multigan.core.fidelity import frechet_distance
from multigan.core.media import PLOT_METADATA
from multigan.music.rendering.audio import read_sound, read_wav
from multigan.music.rendering.loudness import sound_figures
from multigan.storage.files import write_atomically

RATE = 22_050  # samples per second: what spectrograms are made of
WINDOW, HOP = 1024, 256  # samples of a Fourier transform, and from one to the next
MELS = 64  # bands between 0 Hz and RATE / 2
FLOOR = 1e-10  # of power: -100 dB
LOWPASS_ZEROS, ROLLOFF = 6, 0.99  # of the resampling filter: zero crossings; share of the band


def compare_spectrograms(folder: str, *, against: str | None = None) -> None:
    """Plot the mel spectrogram of every WAV file of a folder, and compare it with another folder.

    against: a folder of other WAV files: print the mel Frechet distance to them
    """
    files = _wav_files(folder)
    mels = [log_mel(load_audio(file)) for file in files]
    for file, mel in zip(files, mels, strict=True):
        figures = sound_figures(*read_sound(file))
        print(f"{plot_mel(mel, file.with_name(f'{file.stem}-mel.png'))}: {figures.line()}")
    if against is not None:
        others = [log_mel(load_audio(file)) for file in _wav_files(against)]
        distance = mel_frechet(others, mels)
        print(f"mel Frechet distance of {len(files)} files to {len(others)}: {distance:.2f}")
        print(f"over frames of {MELS} mel bands in dB; it knows no timbre by name: it is no FAD")
    print(optional_dependencies.torchaudio_status())


def load_audio(path: Path) -> Tensor:
    """The sound of a file, mono (samples,), at RATE. Raises ValueError if it is no sound."""
    wave, rate = read_wav(path)
    return resample(torch.from_numpy(wave), rate, RATE)


def log_mel(wave: Tensor) -> Tensor:
    """The power (MELS, frames) in dB of a wave (samples,) at RATE, -100 dB or more.

    Frames are centred on every HOP-th sample; triangular HTK bands, not normalised.
    Raises ValueError for a wave shorter than half a window.
    """
    if len(wave) <= WINDOW // 2:
        raise ValueError(f"a sound must have more than {WINDOW // 2} samples; got {len(wave)}")
    power = _torchaudio_mel(wave) if _has_torchaudio() else torch_mel(wave)
    return 10 * power.clamp(min=FLOOR).log10()


def resample(wave: Tensor, rate: int, new_rate: int) -> Tensor:
    """A wave (samples,) at another rate: band-limited, with a Hann-windowed sinc."""
    if rate == new_rate:
        return wave
    if _has_torchaudio():
        return optional_dependencies.torchaudio().functional.resample(wave, rate, new_rate)
    return torch_resample(wave, rate, new_rate)


def mel_frechet(real: Sequence[Tensor], fake: Sequence[Tensor]) -> float:
    """The Frechet distance between the frames of two sets of log-mel spectrograms (MELS, frames).

    Raises ValueError for fewer than two frames in a set.
    """
    frames = [torch.cat(list(mels), dim=1).T for mels in (real, fake)]  # (frames, MELS)
    return frechet_distance(*frames)


def plot_mel(mel: Tensor, path: Path) -> Path:
    """Write a log-mel spectrogram (MELS, frames) as a PNG file."""
    seconds = mel.shape[1] * HOP / RATE
    figure = Figure(figsize=(min(max(3.0, 0.8 * seconds), 40.0), 3), layout="constrained")
    axes = figure.add_subplot()
    top = float(mel.max())
    edges = (0, seconds, 0, MELS)
    axes.imshow(mel.numpy(), origin="lower", aspect="auto", extent=edges, vmin=top - 80, vmax=top)
    centers = mel_frequencies()[1:-1]
    bands = range(0, MELS, 8)
    names = [f"{centers[band]:.0f}" for band in bands]
    axes.set_yticks([band + 0.5 for band in bands], names, fontsize=7)
    axes.set_xlabel("seconds")
    axes.set_ylabel("Hz")
    content = io.BytesIO()
    figure.savefig(content, dpi=100, format="png", metadata=PLOT_METADATA)
    write_atomically(path, content.getvalue())
    return path


def torch_mel(wave: Tensor) -> Tensor:
    """The mel power (MELS, frames) of a wave (samples,), in torch alone."""
    window = torch.hann_window(WINDOW, dtype=wave.dtype)
    spectrum = torch.stft(wave, WINDOW, HOP, window=window, return_complex=True)
    return mel_bands().to(wave.dtype) @ spectrum.abs().square()


def torch_resample(wave: Tensor, rate: int, new_rate: int) -> Tensor:
    """A wave (samples,) at another rate, in torch alone: a filter for each phase of the ratio.

    Source: J. O. Smith, Digital Audio Resampling, and torchaudio's `sinc_interp_hann`.
    """
    common = math.gcd(rate, new_rate)
    old, new = rate // common, new_rate // common
    band = min(old, new) * ROLLOFF
    reach = math.ceil(LOWPASS_ZEROS * old / band)
    taps = torch.arange(-reach, reach + old, dtype=torch.float64) / old
    times = (taps - torch.arange(new, dtype=torch.float64)[:, None] / new) * band  # (new, taps)
    times = times.clamp(-LOWPASS_ZEROS, LOWPASS_ZEROS)
    window = torch.cos(times * math.pi / LOWPASS_ZEROS / 2).square()
    filters = (torch.sinc(times) * window * band / old).to(wave.dtype)
    padded = F.pad(wave, (reach, reach + old))[None, None]
    phases = F.conv1d(padded, filters[:, None], stride=old)[0]  # (new, blocks)
    return phases.T.flatten()[: math.ceil(new * len(wave) / old)]


def mel_frequencies() -> Tensor:
    """The corners (MELS + 2,) of the triangular bands in Hz, float64, evenly spaced in mels.

    Source: Young et al., The HTK Book: 2595 log10(1 + f / 700).
    """
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    mels = torch.linspace(0, top, MELS + 2, dtype=torch.float64)
    return 700 * (10 ** (mels / 2595) - 1)


def mel_bands() -> Tensor:
    """The weight (MELS, WINDOW / 2 + 1), float64, of each frequency in each band."""
    frequencies = torch.linspace(0, RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)
    corners = mel_frequencies()[:, None]
    slopes = (frequencies - corners[:-1]) / (corners[1:] - corners[:-1])  # (MELS + 1, F)
    return torch.minimum(slopes[:-1], 1 - slopes[1:]).clamp(min=0)


def _torchaudio_mel(wave: Tensor) -> Tensor:
    transform = optional_dependencies.torchaudio().transforms.MelSpectrogram(
        RATE, n_fft=WINDOW, hop_length=HOP, n_mels=MELS
    )
    return transform(wave)


def _has_torchaudio() -> bool:
    return find_spec("torchaudio") is not None


def _wav_files(folder: str) -> list[Path]:
    """The WAV files in a folder, in order; ValueError if there is none."""
    if files := sorted(Path(folder).glob("*.wav")):
        return files
    raise ValueError(f"{folder}: no WAV files; multigan sample writes some")
