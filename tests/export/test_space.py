"""The page of a Space: it samples with every option, and shows errors of one line."""

from __future__ import annotations

import ast
import sys
import types
from pathlib import Path

import pytest

from multigan.export.export import APP, REQUIREMENTS, export, space_files


class Control:
    """Stands in for every control of gradio; keeps what it was created with."""

    def __init__(self, *values, **options):
        self.values, self.options = values, options


class Interface(Control):
    def __init__(self, generate, inputs, outputs, **options):
        super().__init__(**options)
        self.generate, self.inputs, self.outputs = generate, inputs, outputs


@pytest.fixture
def gradio(monkeypatch):
    """A module with the names of gradio that the page uses; the real one is a large package."""
    names = ("Dropdown", "Checkbox", "Number", "File", "Files", "Textbox", "Slider", "Gallery")
    module = types.ModuleType("gradio")
    for name in (*names, "Audio"):
        setattr(module, name, type(name, (Control,), {}))
    module.Interface, module.Error = Interface, type("Error", (Exception,), {})
    monkeypatch.setitem(sys.modules, "gradio", module)
    return module


def page_of(folder: Path) -> dict:
    names = {"__file__": str(folder / APP), "__name__": "app"}
    exec(compile((folder / APP).read_text(), APP, "exec"), names)
    return names


def test_the_page_samples_what_the_generator_samples(gradio, tmp_path):
    made = export("image", tmp_path / "space", space=True)
    assert {APP, REQUIREMENTS} <= set(made.written)
    assert 'sdk: "gradio"' in (made.folder / "README.md").read_text()
    page = page_of(made.folder)
    controls = {c.options["label"]: c for c in page["page"].inputs}
    assert "3" in controls["label"].values[0]
    values = ["3" if control is controls["label"] else None for control in page["page"].inputs[2:]]
    images, sound, text, files = page["page"].generate(2, 0, *values)
    assert len(images) >= 2 and sound is None and text == ""
    assert all(Path(file).is_file() for file in files)
    values[[*controls].index("truncation") - 2] = -1.0
    with pytest.raises(gradio.Error, match="truncation"):
        page["page"].generate(2, 0, *values)


def test_an_untrusted_title_is_a_literal():
    title = '"""); import os #\n\u202e'
    tree = ast.parse(space_files(title, "image")[APP])
    titles = [
        keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "title"
    ]
    assert titles == [title]


@pytest.mark.parametrize(
    ("domain", "extra"), [("image", "multigan>="), ("music", "multigan[music]")]
)
def test_requirements_name_the_extra_of_the_domain(domain, extra):
    assert space_files("a", domain)[REQUIREMENTS].startswith(extra)
