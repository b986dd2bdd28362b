"""Programs of a trained generator that run without multigan: torch.export and ONNX."""

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

from multigan.core.protocols import Condition, Latent, SupportsExampleCondition
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map

TRACE_BATCH, CHECK_BATCH = 3, 5  # samples of the traced example, and of the verification
TOLERANCE = 1e-4  # of absolute differences between a program and the generator
OUTPUT = "samples"  # the name of the output
PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # the extra `onnx`


# Patterns in errors of exporters -> explanations.
EXPLANATIONS = {
    r"\.numpy\(\)": "its forward pass computes with numpy",
    r"data.dependent": "its control flow depends on the values of its latents",
}


class ExportError(ValueError):
    """An exporter refuses the generator; the message is one line."""


class Inputs(NamedTuple):
    """Arguments of a generator: trees of tensors with leading axis B."""

    latent: Latent
    condition: Condition

    @property
    def leaves(self) -> dict[str, Tensor]:
        """Tensors by the names of a program's inputs, in their order."""
        latent = _leaves("latent", self.latent)
        return latent | _leaves("condition", self.condition)


class ExportedProgram(NamedTuple):
    """A serialized program and its largest difference from the generator."""

    content: bytes
    difference: float


def inputs_of(generator: Any, n: int, seed: int = 0) -> Inputs:
    """Return latents of `n` samples, and an example condition if the generator has one."""
    conditional = isinstance(generator, SupportsExampleCondition)
    condition = generator.example_condition(n) if conditional else None
    return Inputs(generator.sample_latent(n, keyed_rng(seed, "export")), condition)


def export_program(generator: nn.Module) -> torch.export.ExportedProgram:
    """Trace the generator in eval mode, with inputs in the order of `Inputs.leaves`.

    The batch axis is dynamic if the generator allows it. Raises ExportError.
    """
    example = inputs_of(generator, TRACE_BATCH)
    arguments = tuple(example.leaves.values())
    shapes = tuple({0: torch.export.Dim.AUTO} for _ in arguments)
    with _quiet(), _explained("torch.export"):
        return torch.export.export(
            _Flat(generator, example), arguments, dynamic_shapes={"leaves": shapes}
        )


def batch_of(program: torch.export.ExportedProgram) -> int | None:
    """Return the batch size of a program; None for a dynamic one."""
    nodes = {node.name: node for node in program.graph.nodes}
    size = str(nodes[program.graph_signature.user_inputs[0]].meta["val"].shape[0])
    return int(size) if size.isdecimal() else None


def torch_program(generator: nn.Module, program: torch.export.ExportedProgram) -> ExportedProgram:
    """Serialize for `torch.export.load`, and verify. Raises ExportError."""
    inputs = inputs_of(generator, batch_of(program) or CHECK_BATCH, seed=1)
    with _quiet(), _explained("torch.export"):
        content = io.BytesIO()
        torch.export.save(program, content)
        content.seek(0)
        again = torch.export.load(content).module()
        with torch.no_grad():
            found = again(*inputs.leaves.values())
    return ExportedProgram(content.getvalue(), _difference(generator, inputs, found))


def onnx_program(generator: nn.Module, program: torch.export.ExportedProgram) -> ExportedProgram:
    """Convert to ONNX, and verify with onnxruntime on the CPU. Raises ExportError."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ExportError(f"it needs {', '.join(missing)}: pip install 'multigan[onnx]'")
    import onnxruntime

    inputs = inputs_of(generator, batch_of(program) or CHECK_BATCH, seed=1)
    with _quiet(), _explained("ONNX"):
        table: Any = torch.export.default_decompositions()
        table.update(WITHOUT_ONNX)
        exported = torch.onnx.export(
            program.run_decompositions(table),
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=list(inputs.leaves),
            output_names=[OUTPUT],
        )
        assert exported is not None
        content = exported.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        values = {name: leaf.numpy() for name, leaf in inputs.leaves.items()}
        used = {argument.name for argument in session.get_inputs()}
        (found,) = session.run(None, {k: v for k, v in values.items() if k in used})
    return ExportedProgram(content, _difference(generator, inputs, torch.from_numpy(found)))


class _Flat(nn.Module):
    """The generator with tensors as arguments: programs have no custom NamedTuples."""

    def __init__(self, generator: nn.Module, example: Inputs) -> None:
        super().__init__()
        self.generator, self.example = generator, example

    def forward(self, *leaves: Tensor) -> Tensor:
        """Return samples (B, ...) of the leaves of latents and conditions."""
        remaining = iter(leaves)
        latent, condition = (tree_map(lambda _: next(remaining), tree) for tree in self.example)
        return self.generator(latent, condition)


def _leaves(name: str, tree: Any) -> dict[str, Tensor]:
    """Flatten a tree in the order of `tree_map`, with names such as latent_piece."""
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
    """Return the largest absolute difference from the generator; inf for another shape."""
    with torch.no_grad():
        expected = generator(*inputs)
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).abs().max())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of exporters about optional packages."""
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
    """Turn every exception of an exporter into an ExportError of one line."""
    try:
        yield
    except Exception as error:  # exporters raise arbitrary exceptions
        raise ExportError(f"{by} refuses it: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return an explanation of EXPLANATIONS, else the first line of the exporter's message."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    message = lines[0].strip() if lines else "it gives no reason"
    known = [text for pattern, text in EXPLANATIONS.items() if re.search(pattern, message)]
    return known[0] if known else f"{type(error).__name__}: {message[:200]}"


def _searchsorted(cumulative: Tensor, values: Tensor, *, right: bool = False, **_: Any) -> Tensor:
    """torch.searchsorted in rows (..., V): the number of entries below each value (..., N)."""
    entries, bounds = cumulative[..., None, :], values[..., :, None]
    return (entries <= bounds if right else entries < bounds).sum(-1)


def _nextafter(x: Tensor, towards: Tensor) -> Tensor:
    """torch.nextafter of positive float32 towards 0, up to two units in the last place."""
    return x * (1 - 2**-23)


# Replacements of operators that ONNX lacks.
WITHOUT_ONNX: dict[Any, Callable[..., Tensor]] = {
    torch.ops.aten.searchsorted.Tensor: _searchsorted,
    torch.ops.aten.nextafter.default: _nextafter,
}
