"""Files that were made to run code or to write elsewhere, and the commands that open them."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from multigan.storage.checkpoint_integrity import MANIFEST, sha256
from tests.image.image_factory import content, random_image
from tests.run_helpers import STEPS, edit_json
from tests.text.test_hf_tokenizer import byte_pairs

ABSENT = "absent"
EXECUTED = "executed"  # what a payload leaves behind, in the folder it runs in
RESUME = ["resume", "run", "--steps", str(STEPS + 1)]
SAMPLE = ["sample", "run", "-n", "1", "--out", "out"]
EVALUATE = ["evaluate", "run", "--json"]
MAILED = ["sample", "mailed.safetensors", "-n", "1", "--out", "out"]
HOSTILE_NAMES = ("os.system", "os/system", "builtins/eval", "../points/MLPGenerator",
                 "points/", "points/domain.PointsDomain", "multigan.points/layers", "recipe/Evil",
                 "", None)  # fmt: skip
CLIMBING = ("../escaped", "../../outside/escaped", "{outside}/escaped")
Commands = list[list[str]]


class Payload:
    """A pickle that runs a command when it is opened."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, (f"touch {EXECUTED}",))


@dataclass(frozen=True)
class Box:
    """Where a crafted file is tried: a working folder with a run in it, and what lies outside."""

    root: Path

    @property
    def inside(self) -> Path:
        return self.root / "inside"

    @property
    def outside(self) -> Path:
        return self.root / "outside"

    @property
    def run(self) -> Path:
        return self.inside / "run"

    def forge(self, name: str, data: bytes) -> None:
        """Put `data` in the place of a checkpoint file, wherever it stands, with its checksum."""
        for folder in (self.run / "checkpoints").iterdir():
            if (folder / name).exists():
                (folder / name).write_bytes(data)
                edit_json(folder / MANIFEST, **{name: sha256(folder / name)})


def saved(value: object, **settings: bool) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **settings)
    return buffer.getvalue()


def pickled_weights(box: Box, name: str, data: bytes) -> Commands:
    box.forge(f"{name}.safetensors", data)
    return [RESUME, SAMPLE, EVALUATE]


def forged_state(box: Box, data: bytes) -> Commands:
    box.forge("train_state.pt", data)
    return [RESUME]


def mailed(box: Box, data: bytes) -> Commands:
    (box.inside / "mailed.safetensors").write_bytes(data)
    return [MAILED, ["interpolate", "mailed.safetensors", "--out", "out"]]


def described(box: Box, part: str, name: object) -> Commands:
    """A weight file whose generator or domain is a part of that name."""
    from safetensors.torch import load_file, save_file

    good = box.run / "checkpoints" / "best" / "generator_ema.safetensors"
    said = {"format": 2, "domain": {"component": "points/PointsDomain"}}
    said |= {"generator": {"component": "points/MLPGenerator"}}
    said[part] = {"component": name, "arguments": {"command": f"touch {EXECUTED}"}}
    file = box.inside / "mailed.safetensors"
    save_file(load_file(good), file, metadata={"multigan": json.dumps(said)})
    return [MAILED]


def renamed_part(box: Box, part: str, name: object) -> Commands:
    """A run whose data or generator is a part of that name."""
    recipe = json.loads((box.run / "recipe.json").read_text())["recipe"]
    recipe[part] = {"component": name, "arguments": {"command": f"touch {EXECUTED}"}}
    edit_json(box.run / "recipe.json", recipe=recipe)
    return [RESUME, EVALUATE]


def flagged(box: Box, flag: str, value: str) -> Commands:
    """A run whose flags name a place outside."""
    flags = json.loads((box.run / "recipe.json").read_text())["flags"]
    edit_json(box.run / "recipe.json", flags=flags | {flag: value.format(outside=box.outside)})
    return [RESUME, EVALUATE]


def named(box: Box, value: str) -> Commands:
    edit_json(box.run / "recipe.json", name=value.format(outside=box.outside))
    return [RESUME, EVALUATE, SAMPLE]


def hostile_recipe(box: Box) -> Commands:
    (box.run / "recipe.py").write_text(f"import os; os.system('touch {EXECUTED}')")
    return [RESUME, SAMPLE, EVALUATE]


def listed(box: Box, name: str) -> Commands:
    """A manifest that names a file elsewhere."""
    for folder in (box.run / "checkpoints").iterdir():
        edit_json(folder / MANIFEST, **{name.format(outside=box.outside): "0" * 64})
    return [RESUME, SAMPLE]


def linked(box: Box, name: str, target: str) -> Commands:
    """A file or folder of the run is a link to somewhere outside, there or not."""
    place = box.run / name
    if place.is_dir():
        if target != ABSENT:
            target = "victims"
            shutil.copytree(place, box.outside / target)
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(box.outside / target)
    return [RESUME, EVALUATE, SAMPLE, ["train", "points", "--tiny", "--steps", "1", "--overwrite",
                                       "--out", "run"]]  # fmt: skip


def archived(box: Box, name: str, mode: int = stat.S_IFREG) -> Commands:
    """A zip archive of pictures, one of them under a hostile name, or a link."""
    with zipfile.ZipFile(box.inside / "set.zip", "w") as archive:
        for k in range(12):
            archive.writestr(f"{k}.png", content(random_image(k, side=4)))
        item = zipfile.ZipInfo(name.format(outside=box.outside) + ".png")
        item.external_attr = (mode | 0o777) << 16
        archive.writestr(item, content(random_image(99, side=4)))
    return [["image", "check", "set.zip", "--resolution", "4"]]


def object_array(box: Box, name: str) -> Commands:
    """Pictures as an array of objects, which numpy would unpickle."""
    stack = np.array([Payload()] * 12)
    save = np.savez if name.endswith(".npz") else np.save
    save(box.inside / name, **{"x" if name.endswith(".npz") else "arr": stack})
    return [["train", "image", "--tiny", "--data", name, "--out", "out"]]


def pickled_songs(box: Box) -> Commands:
    (box.inside / "songs").mkdir()
    np.savez(box.inside / "songs" / "songs.npz", notes=np.array([Payload()]), header=b"[]")
    return [["train", "music", "--tiny", "--data", "songs", "--out", "out"]]


def coded_tokenizer(box: Box) -> Commands:
    """A tokenizer folder that brings code and asks for it to be run."""
    folder = box.inside / "tokenizer"
    folder.mkdir()
    byte_pairs().save(str(folder / "tokenizer.json"))
    asked = {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, "tokenizer_class": "Evil"}
    (folder / "tokenizer_config.json").write_text(json.dumps(asked | {"trust_remote_code": True}))
    (folder / "evil.py").write_text(f"import os; os.system('touch {EXECUTED}')")
    command = "train text --tiny --steps 1 --likelihood-steps 0 --out out --tokenizer tokenizer"
    return [command.split()]


def pickled_tokenizer(box: Box) -> Commands:
    (box.inside / "tokenizer").mkdir()
    (box.inside / "tokenizer" / "tokenizer.json").write_bytes(pickle.dumps(Payload()))
    return [["train", "text", "--tiny", "--tokenizer", "tokenizer", "--out", "out"]]


def cases() -> Iterator[tuple[str, Callable[[Box], Commands]]]:
    """Every crafted file by name, and what makes it."""
    pickles = {"a pickle": pickle.dumps(Payload()), "torch's": saved(Payload())}
    for kind, data in pickles.items():
        for file in ("generator", "generator_ema", "discriminator"):
            yield f"{file}: {kind}", lambda b, f=file, d=data: pickled_weights(b, f, d)
        yield f"mailed weights: {kind}", lambda b, d=data: mailed(b, d)
    old = saved({"trainer": Payload()}, _use_new_zipfile_serialization=False)
    inside = {"nested": saved({"trainer": {"number": Payload()}}), "the old format": old}
    for kind, data in (pickles | inside).items():
        yield f"train_state.pt: {kind}", lambda b, d=data: forged_state(b, d)
    for name in HOSTILE_NAMES:
        for part in ("generator", "domain"):
            yield f"weights: {part} {name}", lambda b, p=part, n=name: described(b, p, n)
        for part in ("data", "generator", "augment"):
            yield f"recipe.json: {part} {name}", lambda b, p=part, n=name: renamed_part(b, p, n)
    yield "recipe.py", hostile_recipe
    for path in CLIMBING:
        yield f"recipe.json: cache_dir {path}", lambda b, v=path: flagged(b, "cache_dir", v)
        yield f"recipe.json: out {path}", lambda b, v=path: flagged(b, "out", v)
        yield f"recipe.json: name {path}", lambda b, v=path: named(b, v)
        yield f"manifest.json: {path}", lambda b, v=path: listed(b, v)
        yield f"zip: {path}", lambda b, v=path: archived(b, v)
    yield "zip: a link", lambda b: archived(b, "link", stat.S_IFLNK)
    files = ("log.jsonl", "metrics.jsonl", ".lock", "recipe.py", "recipe.json", "evaluation.json",
             "checkpoints", "samples", f"checkpoints/step-{STEPS:09d}",
             "checkpoints/best")  # fmt: skip
    for file in files:
        for target in ("victim.txt", ABSENT):
            yield f"link: {file} to {target}", lambda b, f=file, t=target: linked(b, f, t)
    for file in ("x.npy", "x.npz"):
        yield f"{file} of objects", lambda b, f=file: object_array(b, f)
    yield "songs.npz of objects", pickled_songs
    yield "tokenizer folder with code", coded_tokenizer
    yield "tokenizer.json: a pickle", pickled_tokenizer


CASES: dict[str, Callable[[Box], Commands]] = dict(cases())
