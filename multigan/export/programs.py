"""A trained generator as a program that runs without multigan: one of torch.export's, and ONNX."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from multigan.core.protocols import Condition, Latent
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map

BATCH, CHECKED = 3, 5  # samples of the example that is traced, and of the check
TOLERANCE = 1e-4  # between the values of a program and those of the generator
OUTPUT = "samples"  # the name of what comes out
PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # the extra `onnx`


# What exporters say of things that they cannot write: a pattern of theirs -> plain English.
PLAIN = {
    r"\.numpy\(\)": "it leaves torch between its layers to compute with numpy",
    r"data.dependent": "what it computes next depends on the values of its latents",
}


class ExportError(ValueError):
    """What a generator cannot be turned into, and why, in one line."""


class Inputs(NamedTuple):
    """What a generator is called with: trees of tensors with leading axis B."""

    latent: Latent
    condition: Condition

    @property
    def leaves(self) -> dict[str, Tensor]:
        """The tensors by the names of a program's inputs, in their order."""
        latent = _leaves("latent", self.latent)
        return latent | _leaves("condition", self.condition)


class ExportedProgram(NamedTuple):
    """A written program and how far its values are from the generator's, at most."""

    content: bytes
    difference: float


def inputs_of(generator: Any, n: int, seed: int = 0) -> Inputs:
    """Latents of `n` samples, and an example of a condition if the generator takes one."""
    example = getattr(generator, "example_condition", lambda n: None)
    return Inputs(generator.sample_latent(n, keyed_rng(seed, "export")), example(n))


def export_program(generator: nn.Module) -> torch.export.ExportedProgram:
    """The generator in eval mode as a program, of inputs in the order of `Inputs.leaves`.

    The number of samples is left open where the generator allows it. Raises NotExported.
    """
    example = inputs_of(generator, BATCH)
    arguments = tuple(example.leaves.values())
    shapes = tuple({0: torch.export.Dim.AUTO} for _ in arguments)
    with _quiet(), _explained("torch.export"):
        return torch.export.export(
            _Flat(generator, example), arguments, dynamic_shapes={"leaves": shapes}
        )


def batch_of(program: torch.export.ExportedProgram) -> int | None:
    """How many samples the program makes at once; None: any number."""
    nodes = {node.name: node for node in program.graph.nodes}
    size = str(nodes[program.graph_signature.user_inputs[0]].meta["val"].shape[0])  # "s0" if open
    return int(size) if size.isdecimal() else None


def torch_program(generator: nn.Module, program: torch.export.ExportedProgram) -> ExportedProgram:
    """The program as `torch.export.load` reads it, checked. Raises NotExported."""
    checked = inputs_of(generator, batch_of(program) or CHECKED, seed=1)
    with _quiet(), _explained("torch.export"):
        content = io.BytesIO()
        torch.export.save(program, content)
        content.seek(0)
        again = torch.export.load(content).module()
        with torch.no_grad():
            found = again(*checked.leaves.values())
    return ExportedProgram(content.getvalue(), _difference(generator, checked, found))


def onnx_program(generator: nn.Module, program: torch.export.ExportedProgram) -> ExportedProgram:
    """The program in ONNX, checked with onnxruntime on the CPU. Raises NotExported."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ExportError(f"it needs {', '.join(missing)}: pip install 'multigan[onnx]'")
    import onnxruntime

    checked = inputs_of(generator, batch_of(program) or CHECKED, seed=1)
    with _quiet(), _explained("ONNX"):
        table: Any = torch.export.default_decompositions()
        table.update(WITHOUT_ONNX)
        made = torch.onnx.export(
            program.run_decompositions(table),
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=list(checked.leaves),
            output_names=[OUTPUT],
        )
        assert made is not None
        content = made.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        given = {name: leaf.numpy() for name, leaf in checked.leaves.items()}
        wanted = {place.name for place in session.get_inputs()}
        (found,) = session.run(None, {k: v for k, v in given.items() if k in wanted})
    return ExportedProgram(content, _difference(generator, checked, torch.from_numpy(found)))


class _Flat(nn.Module):
    """The generator with tensors as arguments: programs know no NamedTuples of ours."""

    def __init__(self, generator: nn.Module, example: Inputs) -> None:
        super().__init__()
        self.generator, self.example = generator, example

    def forward(self, *leaves: Tensor) -> Tensor:
        """Samples (B, ...) of latents and conditions, leaf by leaf."""
        left = iter(leaves)
        latent, condition = (tree_map(lambda _: next(left), tree) for tree in self.example)
        return self.generator(latent, condition)


def _leaves(name: str, tree: Any) -> dict[str, Tensor]:
    """Leaf by leaf, in the order of `tree_map`, under names such as latent_piece."""
    if tree is None:
        return {}
    if isinstance(tree, Mapping):
        branches = dict(tree)
    elif isinstance(tree, tuple | list):
        branches = dict(zip(getattr(tree, "_fields", range(len(tree))), tree, strict=True))
    else:
        return {name: tree}
    found = [_leaves(f"{name}_{key}", branch) for key, branch in branches.items()]
    return {key: leaf for leaves in found for key, leaf in leaves.items()}


def _difference(generator: nn.Module, inputs: Inputs, found: Tensor) -> float:
    """How far `found` is from what the generator makes, at most; inf for another shape."""
    with torch.no_grad():
        wanted = generator(*inputs)
    if found.shape != wanted.shape:
        return float("inf")
    return float((found - wanted).abs().max())


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters warn of what they lack and do not need here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _explained(by: str) -> Iterator[None]:
    """Whatever an exporter refuses a generator with, in one line."""
    try:
        yield
    except Exception as error:  # they raise anything: their reason is said
        raise ExportError(f"{by} refuses it: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Why, in plain English where it is known; else the first line of the exporter's own words."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    said = lines[0].strip() if lines else "it gives no reason"
    known = [plain for pattern, plain in PLAIN.items() if re.search(pattern, said)]
    return known[0] if known else f"{type(error).__name__}: {said[:200]}"


def _counted(cumulative: Tensor, place: Tensor, *, right: bool = False, **_: Any) -> Tensor:
    """torch.searchsorted in rows (..., V): how many entries lie before each place (..., N)."""
    entries, places = cumulative[..., None, :], place[..., :, None]
    return (entries <= places if right else entries < places).sum(-1)


def _just_below(x: Tensor, towards: Tensor) -> Tensor:
    """torch.nextafter of positive float32 towards 0, but for a unit or two in the last place."""
    return x * (1 - 2**-23)


# What ONNX has no operator for, written with those that it has.
WITHOUT_ONNX: dict[Any, Callable[..., Tensor]] = {
    torch.ops.aten.searchsorted.Tensor: _counted,
    torch.ops.aten.nextafter.default: _just_below,
}
