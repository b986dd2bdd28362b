"""Export of a trained generator for the Hub: weights, programs and a model card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from multigan.core.protocols import Sampler
from multigan.core.serialization import RECIPE_DOMAIN, domain_table
from multigan.core.version import __version__
from multigan.export import programs
from multigan.export.model_card import ModelCard, markdown
from multigan.runs.directory import RunDirectory, read_evaluation
from multigan.runs.provenance import redacted_config, strip_local_paths, train_command
from multigan.storage import hub, pretrained
from multigan.storage.checkpoint_integrity import GENERATOR_EMA_FILE, resolve_weights_file
from multigan.storage.files import write_atomically
from multigan.storage.loading import load
from multigan.storage.weights import read_weights, weights_with_sampling

CARD, RECIPE, PREVIEW = "README.md", "recipe.json", "samples"
TORCH, ONNX = "generator.pt2", "generator.onnx"
NUM_SAMPLES = 16  # on the model card
APP, REQUIREMENTS = "app.py", "requirements.txt"  # of a Space
EXTRAS = {"music": "[music]", "text": "[text]"}  # of the domains whose samples need packages
UNKNOWN = "unknown"  # license


class Export(NamedTuple):
    """Result of an export: written files with descriptions, skipped files with reasons."""

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
    address: str = ".",
    space: bool = False,
) -> Export:
    """Write the best generator of a run (or a weight file) to `out`, in the layout of the Hub.

    The files are README.md, generator_ema.safetensors, recipe.json and samples, and if possible
    generator.pt2 and generator.onnx. Each program is verified against the generator, to
    `programs.TOLERANCE`. No code of the run is executed. `address` is what the card's commands
    load: the folder itself, or its later address on the Hub. `space` adds app.py and
    requirements.txt, which make the folder a Gradio Space. Raises ValueError for invalid
    weights, and for a folder that is not empty unless `overwrite`, which replaces files of the
    same names.
    """
    source, folder = Path(path), Path(out)
    weights = resolve_weights_file(source)
    sampler = load(weights, trust=trust)
    config, table = _load_config(source, weights)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise ValueError(f"{folder} is not empty; choose another --out, or --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    content = weights_with_sampling(weights, sampler.defaults)
    write_atomically(folder / GENERATOR_EMA_FILE, content)
    written = {GENERATOR_EMA_FILE: "the EMA weights, which multigan loads"}
    if config is not None:
        RunDirectory(folder).write_config(redacted_config(config))
        written[RECIPE] = "all components of the experiment and their arguments"
    previews = [file.name for file in _preview(sampler, folder)]
    written |= {name: "samples, seed 0" for name in previews}
    made, skipped = _programs(sampler.generator, folder)
    written |= made
    card = _card(sampler, weights, config, written, previews, license, table, address)
    if space:
        card = card._replace(hub={**card.hub, "sdk": "gradio", "app_file": APP})
        for name, text in space_files(card.title, card.domain).items():
            write_atomically(folder / name, text.encode())
            written[name] = "a page that samples, for Gradio and Spaces"
    write_atomically(folder / CARD, markdown(card).encode())
    return Export(folder, written | {CARD: "the model card"}, skipped)


def push(
    path: str | Path,
    name: str,
    *,
    license: str = UNKNOWN,
    private: bool = False,
    trust: ModuleType | None = None,
) -> str:
    """Export the generator of `path` and upload it to the Hub as `name`; the commit's address.

    `name` is user/name; the repository is created if it does not exist.
    Raises ValueError for invalid weights, an invalid name and a refused upload.
    """
    resolve_weights_file(Path(path))  # before a repository is created for it
    hub.create_repository(name, private=private)
    with tempfile.TemporaryDirectory() as folder:
        export(path, folder, license=license, trust=trust, address=f"{hub.PREFIX}{name}")
        return hub.upload(Path(folder), name)


def space_files(title: str, domain: str) -> dict[str, str]:
    """Return app.py and requirements.txt of a Gradio page, as texts by file name.

    The page has a control for each sampling option of the domain. `title` may be untrusted: it is
    written as a string literal.
    """
    app = resources.files("multigan.export").joinpath("space_app.py.txt").read_text("utf-8")
    requirement = f"multigan{EXTRAS.get(domain, '')}>={__version__}\n"
    return {APP: app.replace("title=TITLE", f"title={title!a}"), REQUIREMENTS: requirement}


def _load_config(
    source: Path, weights: Path
) -> tuple[dict[str, Any] | None, Mapping[str, Any] | None]:
    """Return the config and the evaluation of a run; None for a weight file without a run."""
    if weights.parent == pretrained.pretrained_dir():
        metadata = pretrained.pretrained_metadata(weights.stem)
        return metadata["recipe"], metadata["metrics"]
    if not (source / RECIPE).is_file():
        return None, None
    return RunDirectory(source).read_config(), read_evaluation(source)


def _preview(sampler: Sampler, folder: Path) -> list[Path]:
    """Write a preview of NUM_SAMPLES samples; return its files."""
    return sampler.domain.preview(sampler.sample(NUM_SAMPLES, seed=0), folder / PREVIEW)


def _programs(generator: Any, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Write the programs; return descriptions of those written and reasons for those skipped."""
    written, skipped = {}, {}
    for name in WRITERS:  # of an earlier export
        (folder / name).unlink(missing_ok=True)
    try:
        traced = programs.export_program(generator)
    except programs.ExportError as refusal:
        return {}, {TORCH: str(refusal), ONNX: "it needs the former"}
    count = programs.batch_of(traced)
    batch = "any number of samples" if count is None else f"{count} samples at once"
    for name, (build, reader) in WRITERS.items():
        try:
            program = build(generator, traced)
        except programs.ExportError as refusal:
            skipped[name] = str(refusal)
            continue
        difference = f"{program.difference:.1e} from the generator's values at most"
        if not program.difference <= programs.TOLERANCE:  # false for NaN
            skipped[name] = f"{reader} gives other samples: {difference}"
            continue
        write_atomically(folder / name, program.content)
        written[name] = (
            f"for {reader}, {batch}; checked: {difference} (allowed {programs.TOLERANCE:.0e})"
        )
    return written, skipped


WRITERS = {
    TORCH: (programs.torch_program, "torch.export.load"),
    ONNX: (programs.onnx_program, "onnxruntime"),
}


def _card(
    sampler: Sampler,
    weights: Path,
    config: dict[str, Any] | None,
    written: Mapping[str, str],
    previews: list[str],
    license: str,
    table: Mapping[str, Any] | None,
    address: str,
) -> ModelCard:
    components = read_weights(weights)[0]
    domain = components["domain"]["component"].partition("/")[0]
    generator: Any = sampler.generator
    has_programs = not WRITERS.keys().isdisjoint(written)
    inputs = [
        (name, "(" + ", ".join(["B", *map(str, leaf.shape[1:])]) + ")", str(leaf.dtype))
        for name, leaf in programs.inputs_of(generator, 1).leaves.items()
        if has_programs
    ]
    return ModelCard(
        title=f"{domain}: {type(generator).__name__}" if config is None else _title(config),
        domain=domain,
        generator=components["generator"]["component"],
        parameters=sum(p.numel() for p in generator.parameters()),
        license=license,
        hub={} if domain == RECIPE_DOMAIN else domain_table(domain, "HUB"),
        source=address,
        command="not known" if config is None else train_command(strip_local_paths(config)),
        inputs=inputs,
        sampling=dict(sampler.defaults),
        files=list(written.items()),
        previews=previews,
        table=table,
    )


def _title(config: Mapping[str, Any]) -> str:
    return f"multigan {config['name']}, seed {config['seed']}"
