"""Samples are a list; a notebook shows the images, audio and text that the domain writes."""

import base64
import pickle
import sys
import types
import wave

import pytest

from multigan.core.results_table import ResultsTable
from multigan.core.samples import MAX_SHOWN, Samples, file_html
from multigan.training.loop import progress_display
from multigan.training.metric_logging import NotebookProgress, ProgressDisplay
from multigan.training.run import Run
from tests.toy_domain import ToyDomain
from tests.training.test_progress import TenSteps


def test_samples_are_a_list_whose_slices_know_their_domain():
    samples = Samples([(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)], ToyDomain())
    assert samples == [(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)] and samples[1] == (2.0, 3.0)
    assert samples[1:] == [(2.0, 3.0), (4.0, 5.0)] and samples[1:].domain == ToyDomain()
    again = pickle.loads(pickle.dumps(samples))
    assert again == samples and again.domain == samples.domain


def test_a_notebook_shows_what_the_domain_previews():
    shown = Samples([(0.0, 1.0)], ToyDomain())._repr_html_()
    assert shown.startswith("<pre") and "0.000000 1.000000" in shown and "first" not in shown
    many = Samples([(0.0, 1.0)] * (MAX_SHOWN + 6), ToyDomain())._repr_html_()
    assert f"the first {MAX_SHOWN} of {MAX_SHOWN + 6}" in many
    assert many.count("0.000000 1.000000") == MAX_SHOWN
    assert Samples([], ToyDomain())._repr_html_() == "<p>no samples</p>"


def test_text_is_escaped(tmp_path):
    (tmp_path / "lines.txt").write_text("<script>alert(1)</script> & more\n")
    shown = file_html(tmp_path / "lines.txt")
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "&amp; more" in shown


def test_audio_is_compressed_where_soundfile_is_installed(tmp_path, monkeypatch):
    file = tmp_path / "song.wav"
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(44_100)
        sound.writeframes(bytes(4 * 200_000))
    shown = file_html(file)
    assert "<audio controls" in shown and len(shown) < file.stat().st_size / 10
    content = base64.b64decode(shown.partition("base64,")[2].partition('"')[0])
    assert content.startswith(b"OggS")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "data:audio/wav;base64," in file_html(file)


def test_files_that_pages_cannot_show_are_left_out(tmp_path):
    (tmp_path / "song.mid").write_bytes(b"MThd")
    assert file_html(tmp_path / "song.mid") == ""


def test_a_table_of_results_shows_itself():
    table = ResultsTable({"real": {"fid": 0.5}, "a <b>": {"fid": 1.25}}, ("of 5 & more",))
    shown = table._repr_html_()
    assert "<th>a &lt;b&gt;</th><td>1.25</td>" in shown and "of 5 &amp; more" in shown


def test_a_run_shows_itself(points_run):
    run = Run(points_run, 6, "finished")
    shown = run._repr_html_()
    assert f"<b>{points_run}</b>: finished at step 6" in shown
    assert "<table>" in shown and shown.count("<img") == 1


class Handle:
    """A cell's output that is updated in place."""

    def __init__(self):
        self.contents = []

    def update(self, content):
        self.contents.append(content)


@pytest.fixture
def notebook(monkeypatch):
    """Stands in for a Jupyter kernel."""
    handle = Handle()
    ipython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    shell = type("ZMQInteractiveShell", (), {})()
    ipython.get_ipython = lambda: shell
    display.HTML, display.display = str, lambda content, display_id: handle
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return handle


def test_progress_in_a_notebook_is_one_line_updated_in_place(notebook, capsys):
    progress = progress_display(1)
    assert isinstance(progress, NotebookProgress)
    progress.on_start(TenSteps())
    for step in range(1, 11):
        progress.on_step(step, {})
        progress.on_log(step, {"loss/generator": 1.5}, {"mode collapse": "few <modes>"})
    progress.on_end(10, "finished", None)
    last = notebook.contents[-1]
    assert '<progress value="10" max="10">' in last and "G 1.5" in last
    assert "finished at step 10" in last and "few &lt;modes&gt;" in last
    assert len(notebook.contents) < 10  # not at every step
    assert capsys.readouterr() == ("", "")


def test_elsewhere_progress_is_that_of_a_terminal():
    assert isinstance(progress_display(1), ProgressDisplay)
