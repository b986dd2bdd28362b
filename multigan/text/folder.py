"""The tokenizer of a model as the folder that people load with transformers."""

from __future__ import annotations

from pathlib import Path

from multigan.text.tokenizer import save_folder
from multigan.weights import read_weights, weights_of


def tokenizer(run: Path, *, out: Path | None = None) -> None:
    """Write the tokenizer of a run or weight file as a Hugging Face folder.

    out: the folder to write to; RUN/tokenizer if not given
    """
    folder = out or (run / "tokenizer" if run.is_dir() else Path("tokenizer"))
    domain = read_weights(weights_of(run))[0]["domain"]
    if not domain["part"].startswith("text/"):
        raise ValueError(f"{run} holds a generator of {domain['part']}, which has no tokenizer")
    arguments = domain["arguments"]
    save_folder(arguments["tokenizer"], folder, arguments["length"])
    print(f"{folder}: load it with transformers.AutoTokenizer.from_pretrained({str(folder)!r})")
