"""Picture generators: latents (B, Z), and labels (B,) if class-conditional, to (B, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from multigan.image.layers import (
    Cast,
    ResidualBlock,
    Upsample,
    check_bf16_stages,
    check_labels,
    check_widths,
    convolution,
    growth,
    label_embedding,
    linear,
)
from multigan.part import part

DCGAN_STD = 0.02  # of all initial weights (Radford et al. 2016, section 3)
PARALLEL = 1e-6  # sine of an angle below which slerp is linear


@part
class R3Generator(nn.Module):
    """The residual generator of R3GAN: a learned 4x4 basis, scaled by z, grown stage by stage.

    The basis is larger for pictures that are not square, or not of 4 * 2^k pixels: see `growth`.

    No normalisation, no noise inputs and no tanh: pictures lie in about [-1, 1].

    Args:
        resolution: height and width in pixels, or both: growth(resolution) doubles k times.
        channels: 1 grey, 3 colour.
        widths: channels of each stage, the smallest first: k + 1 of them.
        blocks: residual blocks per stage.
        group_size: channels per group of the 3x3 convolutions; divides twice each width.
        latent_dim: length of z ~ N(0, I); a label adds an embedding of the same length.
        classes: number of classes; None for a generator without labels.
        bf16_stages: so many of the largest stages train in bf16, but on a CPU; the rest in float32.

    Raises ValueError for sizes that do not fit each other.
    Source: Huang et al. 2024 (R3GAN), section 3, Config E.
    """

    def __init__(
        self,
        resolution: int | Sequence[int],
        channels: int,
        widths: Sequence[int],
        blocks: int = 2,
        group_size: int = 16,
        latent_dim: int = 64,
        classes: int | None = None,
        bf16_stages: int = 0,
    ) -> None:
        super().__init__()
        self.growth = growth(resolution)
        check_widths(widths, self.growth.doublings + 1, resolution)
        check_bf16_stages(bf16_stages, len(widths))
        self.latent_dim, self.classes = latent_dim, classes
        self.label = None if classes is None else label_embedding(classes, latent_dim)
        inputs = latent_dim * (1 if classes is None else 2)
        self.scale = linear(inputs, widths[0])
        self.basis = nn.Parameter(torch.randn(widths[0], *self.growth.start))
        layers: list[nn.Module] = []
        for stage, width in enumerate(widths):
            layers += [Cast(torch.bfloat16)] if stage == len(widths) - bf16_stages else []
            if stage > 0:
                before = widths[stage - 1]
                layers += [convolution(before, width)] if before != width else []
                layers += [Upsample(width)]
            depth = blocks * len(widths)
            layers += [ResidualBlock(width, group_size, depth) for _ in range(blocks)]
        layers += [Cast(torch.float32)] if bf16_stages else []
        self.body = nn.Sequential(*layers)
        self.to_picture = convolution(widths[-1], channels)

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw z ~ N(0, I): (n, Z), on the CPU."""
        return torch.randn(n, self.latent_dim, generator=rng)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, Z), labels (B,) -> (B, C, H, W)."""
        return self._draw(with_label(latent, condition, self.label, self.classes))

    def morph(self, latent: Tensor, start: Tensor, end: Tensor, t: float) -> Tensor:
        """Pictures (B, C, H, W) at share `t` of the way between labels: see `between_labels`."""
        return self._draw(between_labels(latent, start, end, t, self.label))

    def _draw(self, z: Tensor) -> Tensor:
        """(B, Z) or, with the label's embedding, (B, 2 Z) -> (B, C, H, W)."""
        h = self.basis * self.scale(z)[:, :, None, None]  # (B, C, 4, 4), or more
        return self.growth.cut(self.to_picture(self.body(h)))

    def example_condition(self, n: int) -> Tensor | None:
        """Labels (n,) of the first class, if there are classes."""
        return None if self.classes is None else torch.zeros(n, dtype=torch.int64)

    def interpolate(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """The latent at share `t` of the arc from `a` to `b`: see `slerp`."""
        return slerp(a, b, t)


@part
class DCGANGenerator(nn.Module):
    """The generator of DCGAN: transposed convolutions with stride 2, batch norm, ReLU, tanh.

    Kernels are 4x4, which meets every output pixel equally often (the paper has 5x5).

    Args:
        resolution: height and width in pixels, or both: growth(resolution) doubles k >= 1 times.
        channels: 1 grey, 3 colour.
        widths: channels of each stage below the picture, the smallest first: k of them.
        norm: "batch" or "none".
        latent_dim: length of z ~ N(0, I); a label adds an embedding of the same length.
        classes: number of classes; None for a generator without labels.

    Raises ValueError for sizes that do not fit each other and for an unknown norm.
    Source: Radford et al. 2016 (DCGAN), section 3.
    """

    def __init__(
        self,
        resolution: int | Sequence[int],
        channels: int,
        widths: Sequence[int],
        norm: str = "batch",
        latent_dim: int = 64,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        if norm not in ("batch", "none"):
            raise ValueError(f"norm is {norm!r}; wanted 'batch' or 'none'")
        self.growth = growth(resolution, at_least=1)
        check_widths(widths, self.growth.doublings, resolution)
        self.latent_dim, self.classes = latent_dim, classes
        self.label = None if classes is None else label_embedding(classes, latent_dim)
        inputs = latent_dim * (1 if classes is None else 2)
        layers: list[nn.Module] = []
        for stage, (before, width) in enumerate(zip((inputs, *widths), widths, strict=False)):
            layers += grow(before, width, norm, start=None if stage else self.growth.start)
        self.body = nn.Sequential(*layers)
        self.to_picture = nn.ConvTranspose2d(widths[-1], channels, 4, stride=2, padding=1)
        for layer in (*self.body, self.to_picture):
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, std=DCGAN_STD)

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw z ~ N(0, I): (n, Z), on the CPU."""
        return torch.randn(n, self.latent_dim, generator=rng)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, Z), labels (B,) -> (B, C, H, W) in [-1, 1]."""
        return self._draw(with_label(latent, condition, self.label, self.classes))

    def morph(self, latent: Tensor, start: Tensor, end: Tensor, t: float) -> Tensor:
        """Pictures (B, C, H, W) at share `t` of the way between labels: see `between_labels`."""
        return self._draw(between_labels(latent, start, end, t, self.label))

    def _draw(self, z: Tensor) -> Tensor:
        """(B, Z) or, with the label's embedding, (B, 2 Z) -> (B, C, H, W)."""
        return self.growth.cut(self.to_picture(self.body(z[:, :, None, None]))).tanh()

    def example_condition(self, n: int) -> Tensor | None:
        """Labels (n,) of the first class, if there are classes."""
        return None if self.classes is None else torch.zeros(n, dtype=torch.int64)

    def interpolate(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """The latent at share `t` of the arc from `a` to `b`: see `slerp`."""
        return slerp(a, b, t)


def grow(
    inputs: int, outputs: int, norm: str, start: tuple[int, int] | None = None
) -> list[nn.Module]:
    """One stage of DCGAN: from 1x1 to `start` where it is given, else twice height and width."""
    kernel, stride, padding = (4, 2, 1) if start is None else (start, 1, 0)
    bias = norm == "none"  # batch norm brings its own
    layer = nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, bias=bias)
    return [layer, *([] if bias else [nn.BatchNorm2d(outputs)]), nn.ReLU()]


def with_label(
    latent: Tensor, condition: Tensor | None, label: nn.Embedding | None, classes: int | None
) -> Tensor:
    """`latent` (B, Z), followed by the embedding of its label if there are classes.

    Raises ValueError in one line if `condition` is not what `classes` asks for.
    """
    check_labels(condition, classes, latent.shape[0])  # len() would fix B in an export
    return latent if label is None else torch.cat([latent, label(condition)], dim=1)


def between_labels(
    latent: Tensor, start: Tensor, end: Tensor, t: float, label: nn.Embedding | None
) -> Tensor:
    """`latent` (B, Z), followed by what lies at share `t` between two labels' embeddings.

    Raises ValueError for a generator without labels.
    """
    if label is None:
        raise ValueError("this generator was built without classes; there is nothing to morph")
    return torch.cat([latent, torch.lerp(label(start), label(end), t)], dim=1)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point (B, Z) at share `t` in [0, 1] of the great arc from `a` to `b`, row by row.

    The length moves linearly from |a| to |b|, so that points in between are as long as Gaussian
    latents are: a straight line would pass through the unlikely middle. Parallel and opposite
    rows have no one arc and are joined by the line.

    Source: Shoemake 1985; for GAN latents White 2016, section 2.1.
    """
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    unit_a, unit_b = a / length_a, b / length_b
    angle = (unit_a * unit_b).sum(1, keepdim=True).clamp(-1, 1).acos()  # (B, 1)
    sine = angle.sin()
    arc = (((1 - t) * angle).sin() * unit_a + (t * angle).sin() * unit_b) / sine
    length = (1 - t) * length_a + t * length_b
    return torch.where(sine > PARALLEL, length * arc, (1 - t) * a + t * b)
