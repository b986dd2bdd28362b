"""Export a trained generator: weights, programs and a model card, ready to be uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from multigan.core.protocols import Sampler
from multigan.core.serialization import RECIPE_DOMAIN, domain_table
from multigan.export import programs
from multigan.export.model_card import ModelCard, markdown
from multigan.runs.directory import RunDirectory, read_evaluation
from multigan.runs.provenance import redacted_config, strip_local_paths, train_command
from multigan.storage import pretrained
from multigan.storage.checkpoint_files import GENERATOR_EMA_FILE, resolve_weights_file
from multigan.storage.files import write_atomically
from multigan.storage.loading import load
from multigan.storage.weights import read_weights

CARD, RECIPE, SHOWN = "README.md", "recipe.json", "samples"
TORCH, ONNX = "generator.pt2", "generator.onnx"
DRAWN = 16  # samples that the card shows
UNKNOWN = "unknown"  # a licence that nobody has named


class Export(NamedTuple):
    """What an export wrote: file name -> what it is; and what it could not write: name -> why."""

    folder: Path
    written: dict[str, str]
    skipped: dict[str, str]


def export(
    path: str | Path,
    out: str | Path,
    *,
    license: str = UNKNOWN,
    overwrite: bool = False,
    trust: ModuleType | None = None,
) -> Export:
    """Write a run's best generator (or one weight file) into `out`, in the layout of the Hub.

    README.md, generator_ema.safetensors, recipe.json, samples, and as far as the generator allows
    generator.pt2 and generator.onnx, each of which was run and gives the generator's values to
    `programs.TOLERANCE`. Nothing outside `out` is written, and no code of the run is executed.
    Raises ValueError for what is no generator, and for a folder that is not empty unless `force`,
    which replaces files of the same names.
    """
    source, folder = Path(path), Path(out)
    weights = resolve_weights_file(source)
    sampler = load(weights, trust=trust)
    description, table = _known(source, weights)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise ValueError(f"{folder} is not empty; choose another --out, or --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / GENERATOR_EMA_FILE, weights.read_bytes())
    written = {GENERATOR_EMA_FILE: "the averaged weights; what multigan reads"}
    if description is not None:
        RunDirectory(folder).write_config(redacted_config(description))
        written[RECIPE] = "every part of the experiment and its arguments"
    shown = [file.name for file in _preview(sampler, folder)]
    written |= {name: "samples, seed 0" for name in shown}
    made, skipped = _programs(sampler.generator, folder)
    written |= made
    card = _card(sampler, weights, description, written, shown, license, table)
    write_atomically(folder / CARD, markdown(card).encode())
    return Export(folder, written | {CARD: "the model card"}, skipped)


def _known(source: Path, weights: Path) -> tuple[dict[str, Any] | None, Mapping[str, Any] | None]:
    """The description and the evaluation of a run; None for what a weight file alone lacks."""
    if weights.parent == pretrained.pretrained_dir():
        about = pretrained.pretrained_metadata(weights.stem)
        return about["recipe"], about["metrics"]
    if not (source / RECIPE).is_file():
        return None, None
    return RunDirectory(source).read_config(), read_evaluation(source)


def _preview(sampler: Sampler, folder: Path) -> list[Path]:
    """Some samples, in the files of the domain's preview."""
    return sampler.domain.preview(sampler.sample(DRAWN, seed=0), folder / SHOWN)


def _programs(generator: Any, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Write what the generator can be turned into: names with what they are, or why not."""
    written, skipped = {}, {}
    for name in WRITERS:  # of an export that stood here before
        (folder / name).unlink(missing_ok=True)
    try:
        traced = programs.export_program(generator)
    except programs.ExportError as refusal:
        return {}, {TORCH: str(refusal), ONNX: "it is made of the former"}
    count = programs.batch_of(traced)
    batch = "any number of samples" if count is None else f"{count} samples at once"
    for name, (make, reader) in WRITERS.items():
        try:
            program = make(generator, traced)
        except programs.ExportError as refusal:
            skipped[name] = str(refusal)
            continue
        off = f"{program.difference:.1e} from the generator's values at most"
        if not program.difference <= programs.TOLERANCE:  # nor for values that are not numbers
            skipped[name] = f"{reader} gives other samples: {off}"
            continue
        write_atomically(folder / name, program.content)
        written[name] = f"for {reader}, {batch}; checked: {off} (allowed {programs.TOLERANCE:.0e})"
    return written, skipped


WRITERS = {
    TORCH: (programs.torch_program, "torch.export.load"),
    ONNX: (programs.onnx_program, "onnxruntime"),
}


def _card(
    sampler: Sampler,
    weights: Path,
    description: dict[str, Any] | None,
    written: Mapping[str, str],
    shown: list[str],
    license: str,
    table: Mapping[str, Any] | None,
) -> ModelCard:
    parts = read_weights(weights)[0]
    domain = parts["domain"]["component"].partition("/")[0]
    generator: Any = sampler.generator
    has_programs = not WRITERS.keys().isdisjoint(written)
    inputs = [
        (name, "(" + ", ".join(["B", *map(str, leaf.shape[1:])]) + ")", str(leaf.dtype))
        for name, leaf in programs.inputs_of(generator, 1).leaves.items()
        if has_programs
    ]
    return ModelCard(
        title=f"{domain}: {type(generator).__name__}"
        if description is None
        else _title(description),
        domain=domain,
        generator=parts["generator"]["component"],
        parameters=sum(p.numel() for p in generator.parameters()),
        license=license,
        hub={} if domain == RECIPE_DOMAIN else domain_table(domain, "HUB"),
        command="not known"
        if description is None
        else train_command(strip_local_paths(description)),
        inputs=inputs,
        files=list(written.items()),
        shown=shown,
        table=table,
    )


def _title(description: Mapping[str, Any]) -> str:
    return f"multigan {description['name']}, seed {description['seed']}"
