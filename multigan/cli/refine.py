"""The command `refine`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multigan.cli.common import AUTO, Device, Json, RunPath, TrustRecipe, load_trusted_recipe
from multigan.cli.common import print_json as print_line

EPOCHS_HELP = "passes at most; it stops by validation (default: that of the domain, else 12)"


def refine(
    run: RunPath,
    data: Annotated[str | None, typer.Option(help="other data of the same kind")] = None,
    epochs: Annotated[int | None, typer.Option(help=EPOCHS_HELP)] = None,
    epoch_samples: Annotated[int, typer.Option(help="real samples of a pass")] = 10_000,
    lr: Annotated[float | None, typer.Option(help="learning rate (default: its own)")] = None,
    out: Annotated[Path | None, typer.Option(help="file (default: next to the generator)")] = None,
    seed: Annotated[int, typer.Option(help="random seed")] = 0,
    device: Device = AUTO,
    json: Json = False,
    trust_recipe: TrustRecipe = None,
) -> None:
    """Fit a discriminator to the finished generator, for sample --refine."""
    from multigan.core.refinement import LOG_2
    from multigan.engine.refinement import Epoch, RefinementSettings
    from multigan.runs.refine import refine
    from multigan.training.device import pick_device

    def show(epoch: Epoch) -> None:
        if not json:
            loss = f"validation log loss {epoch.log_loss:.4f} before scaling"
            print(f"epoch {epoch.number}: {loss}", flush=True)

    file, card = refine(
        run,
        data=data,
        seed=seed,
        device=pick_device(device),
        settings=RefinementSettings(epochs, epoch_samples, learning_rate=lr),
        on_epoch=show,
        out=out,
        trust=load_trusted_recipe(trust_recipe),
    )
    if json:
        print_line({"file": file, "card": card.to_json()})
        return
    print(
        f"validation log loss {card.log_loss:.4f} (without knowledge {LOG_2:.4f}), scale "
        f"{card.scale:.2f}, effective sample size {card.effective_sample_size:.1%}"
    )
    print(f"{file}: multigan sample {run} --refine")
