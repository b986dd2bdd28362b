"""CPU time of a step of the image recipe in bf16 over fp32, on this processor.

    python -m tests.benchmarks.precision_step --data faces64.zip --resolution 64

One thread, both precisions in alternating blocks of steps in one process; the median ratio with its
95 % interval. The processor needs instructions for bf16, or bf16 is emulated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch

from multigan.core.recipe_file import build_recipe, read_recipe
from multigan.engine.trainer import AdversarialTrainer
from multigan.training.allocator import keep_freed_memory
from tests.benchmarks.timing import Ratio, compare, line


def steps(precision: str, **hyperparameters: Any) -> Iterator[Any]:
    """The steps of a new training of the recipe."""
    recipe = build_recipe(read_recipe("image"), hyperparameters, seed=0)
    return AdversarialTrainer(recipe, precision=precision).steps()


def ratio(blocks: int, **hyperparameters: Any) -> Ratio:
    """Time bf16 against fp32."""
    return compare(steps("bf16", **hyperparameters), steps("fp32", **hyperparameters), blocks)


def main(arguments: list[str] | None = None) -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--blocks", type=int, default=12)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    print(line(ratio(chosen.blocks, data=chosen.data, resolution=chosen.resolution)))


if __name__ == "__main__":
    main()
