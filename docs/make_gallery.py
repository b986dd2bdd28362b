"""Write docs/gallery.md and its files: the first samples of every pretrained generator.

    python docs/make_gallery.py

Seed 0 throughout; the samples are the first ones, not a selection. Domains show their previews:
images and piano-rolls as PNG, lines as text.
"""

from pathlib import Path

from multigan.core.protocols import Sampler
from multigan.storage.loading import load
from multigan.storage.pretrained import list_pretrained, list_refiners

DOCS = Path(__file__).parent
FOLDER = DOCS / "assets" / "gallery"
NUM_SAMPLES = 36
SHOWN = (".png", ".txt")  # of a preview; sound stays out of the page
MAX_LINES = 24
HEAD = """# Gallery

The first samples of each pretrained generator, with seed 0, not a selection; of lines the first 24.
`python docs/make_gallery.py` writes this page.
`multigan list --pretrained` prints the commands that trained them.
"""


def section(name: str, sampler: Sampler, options: str = "") -> str:
    """Write the preview of a generator and return its part of the page."""
    files = sampler.domain.preview(sampler.sample(NUM_SAMPLES), FOLDER / name)
    shown = [file for file in files if file.suffix in SHOWN]
    for file in set(files) - set(shown):
        file.unlink()
    parts = [f"## {name}", f"Sampled by `multigan sample {name} -n {NUM_SAMPLES}{options}`."]
    return "\n\n".join([*parts, *(view(name, file) for file in shown)])


def view(name: str, file: Path) -> str:
    """An image by its address, or the first lines of a text, which is then not kept."""
    if file.suffix == ".png":
        return f"![Samples of {name}]({file.relative_to(DOCS).as_posix()})"
    lines = file.read_text(encoding="utf-8").splitlines()[:MAX_LINES]
    file.unlink()
    return "\n".join(["```text", *lines, "```"])


def main() -> None:
    """Write the page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    sections = []
    for name in list_pretrained():
        refines = name in list_refiners()
        options = " --refine" if refines else ""
        sections.append(section(name, load(name, refine=refines), options))
    page = "\n\n".join([HEAD.strip(), *sections]) + "\n"
    (DOCS / "gallery.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
