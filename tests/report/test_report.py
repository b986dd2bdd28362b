"""A report is self-contained, small, safe to open, and agrees with the files of the run."""

import base64
import hashlib
import json
import os
import re
import shutil
from itertools import pairwise

import pytest
from PIL import Image

from multigan.core.protocols import Medium
from multigan.report import report as reporting
from multigan.report import sample_media
from multigan.report.html_elements import render_medium
from multigan.report.log_reading import MAX_LINES, subsample
from multigan.report.report import compare, page, report
from multigan.report.run_summary import MAX_POINTS, RunSummary, metric_curves, metric_sources
from multigan.report.sample_media import HISTORY_BYTES, downscale, training_history
from multigan.runs.directory import RunDirectory
from tests.html_checks import EVIL, Elements, png, shown_run, write_lines, written_run
from tests.run_helpers import edit_json, train_tiny

MAX_BYTES = 5_000_000
SECTIONS = ("Samples", "During training", "Interpolation between latents", "Curves", "Metrics")
SECTIONS += ("Training setup", "Command")
ALLOWED_TAGS = re.findall(
    r"\w+",
    "html head meta title style body main header section footer h1 h2 h3 div p strong ol ul li img "
    "nav a audio small script noscript figure details summary table thead tbody tr th td "
    "dl dt dd pre code span bdi svg rect",
)


def text_of(file):
    return Elements(file.read_text())


@pytest.fixture
def run(tmp_path):
    return written_run(tmp_path / "run")


def test_nothing_that_a_file_says_becomes_markup(tmp_path):
    html = page(EVIL, shown_run(tmp_path / "run"))
    elements = Elements(html)
    assert {name for name, _ in elements.found} <= set(ALLOWED_TAGS)
    assert "<img src=x" not in html and "</script><b>" not in html
    attributes = {key for _, found in elements.found for key in found}
    assert not [key for key in attributes if key.startswith("on") or key == "style"]
    assert elements.text.count("<img src=x onerror=alert(1)></script><b>") > 10  # seen as text


def test_its_policy_allows_its_own_script_and_no_connection(tmp_path):
    elements = Elements(page("title", shown_run(tmp_path / "run")))
    (policy,) = [a["content"] for _, a in elements.found if "http-equiv" in a]
    (script,) = [text for kind, text in elements.scripts if kind is None]
    assert {kind for kind, _ in elements.scripts} == {None, "application/json"}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert rules["script-src"] == f"'sha256-{digest}'" and "connect-src" not in rules


def test_it_names_nothing_outside_itself(run):
    elements = text_of(report(run))
    sources = [a[key] for _, a in elements.found for key in ("src", "href") if key in a]
    assert sources and all(source.startswith(("data:", "#")) for source in sources)
    targets = {a["id"] for _, a in elements.found if "id" in a}
    assert {source[1:] for source in sources if source.startswith("#")} <= targets
    assert not re.search(r"https?://", (run / "report.html").read_text())


def test_what_was_trained_is_named_without_its_domain(points_run):
    expected = "MLPGenerator trained on GaussianMixture with MLPDiscriminator: "
    assert RunSummary(RunDirectory(points_run)).headline.startswith(expected)


def test_it_shows_what_was_trained_and_its_diagnoses(run):
    text = text_of(report(run)).text
    assert all(name in text for name in SECTIONS)
    assert "200 steps of 64 samples, in 3 min 20 s" in text
    assert "Collapse (steps 100 to 100, not since): fakes are alike" in text
    assert "Not generated:" in text  # it has no checkpoint
    assert "0.25" in text and "0.2 to 0.3" in text


def schedules_of(run, lines, **ends):
    edit_json(run / "recipe.json", schedules=ends)
    write_lines(run / "log.jsonl", [{"step": k + 1} | line for k, line in enumerate(lines)])
    return dict(RunSummary(RunDirectory(run)).schedules)


def test_each_number_of_the_training_is_shown_from_its_start_to_its_end(run):
    ends = {"lr/generator": [0.003, 0.0], "gamma/r1": [0.3, 0.03], "adam/beta1": [0.0, 0.0]}
    lines = [{"lr/generator": 0.003, "gamma/r1": 0.2, "augment/p": 0.1}]
    lines += [{"lr/generator": 1e-9, "gamma/r1": 0.03, "augment/p": 0.2, "loss/generator": 1.0}]
    assert schedules_of(run, lines, **ends) == {
        "lr/generator": "0.003 \u2192 0",
        "gamma/r1": "0.3 \u2192 0.03",
        "adam/beta1": "0",
        "augment/p": "0.1 \u2192 0.2",  # moved by its controller, so that it has no planned end
    }
    text = " ".join(text_of(report(run)).text.split())
    assert "gamma/r1" in text and "0.3 \u2192 0.03" in text


def test_a_number_that_has_not_come_to_its_end_is_shown_with_its_last_value(run):
    shown = schedules_of(run, [{"gamma/r1": 0.3}, {"gamma/r1": 0.25}], **{"gamma/r1": [0.3, 0.03]})
    assert shown == {"gamma/r1": "0.3 \u2192 0.03; last in the log 0.25"}


@pytest.mark.parametrize("stored", [None, [], {"x": 3}, {"x": [1, "2"]}, {"x": [1, 2, 3]}])
def test_ends_that_are_not_two_numbers_are_left_out(run, stored):
    edit_json(run / "recipe.json", schedules=stored)
    assert RunSummary(RunDirectory(run)).schedules == []


def test_a_current_diagnosis_comes_first(run):
    lines = [{"step": 1, "diagnostics": {"apart": "one"}}]
    lines.append({"step": 2, "diagnostics": {"collapse": "two"}})
    write_lines(run / "log.jsonl", lines)
    text = text_of(report(run)).text
    assert text.index("Collapse (steps 2 to the end): two") < text.index("Apart (steps 1 to 1")


FEW = "Stability: not judged: the log's"


@pytest.mark.parametrize(
    ("pretraining_steps", "steps", "message"),
    [
        (0, [1, 50, 70, 100], "Stability: no diagnosis in 4 log lines and 0 checkpoints."),
        (0, [1, 50, 70, 99], f"{FEW} 4 lines over 99 adversarial steps are too few"),
        (0, [1, 50, 100], f"{FEW} 3 lines over 100 adversarial"),  # one step alone
        (1000, [1050, 1070, 1099], f"{FEW} 3 lines over 99 adversarial steps"),
        (1000, [1050, 1070, 1100], "Stability: no diagnosis in 3 log lines"),
        (1000, [], f"{FEW} 0 lines over 0 adversarial steps are too few"),
    ],
)
def test_a_run_is_judged_only_if_its_log_is_long_enough(run, pretraining_steps, steps, message):
    lines = [{"step": pretraining_steps, "seconds": 1.0}] if pretraining_steps else []
    lines += [{"step": step, "seconds": 2.0, "logits/gap": 0.1} for step in steps]
    write_lines(run / "log.jsonl", lines)
    assert message in text_of(report(run)).text


def test_a_run_without_a_log_is_not_judged(run):
    (run / "log.jsonl").unlink()
    assert f"{FEW} 0 lines" in text_of(report(run)).text


def test_diagnoses_of_log_and_checkpoints_stand_together(run):
    write_lines(run / "log.jsonl", [{"step": 1, "diagnostics": {"apart": "one"}}, {"step": 200}])
    lines = [{"step": 100, "kl": 1.0}, {"step": 200, "kl": 0.5, "diagnostics": {"memory": "two"}}]
    write_lines(run / "metrics.jsonl", lines)
    text = text_of(report(run)).text
    assert "Stability: memory at the end; apart before, not at the end." in text
    assert "Memory (steps 200 to the end): two" in text


REFERENCES = {
    "headline": "kl",
    "floor": "real",
    "baseline": "one Gaussian",
    "rows": {"real": {"kl": 0.01}, "one Gaussian": {"kl": 0.7}},
}


@pytest.mark.parametrize(
    ("value", "conclusion"),
    [
        (0.014, "As near to the data as other real data."),
        (0.02, "Better than the baseline, not yet as near to the data as other real data."),
        (0.25, "Better than the baseline, not yet as near to the data as other real data."),
        (0.7, "No better than the baseline. Try more steps or a larger network."),
    ],
)
def test_quality_stands_against_floor_and_baseline(run, value, conclusion):
    (run / "evaluation.json").unlink()
    lines = [{"step": 100, "kl": value, "references": REFERENCES}]
    lines.append({"step": 200, "kl": value + 0.1, "references": REFERENCES})
    write_lines(run / "metrics.jsonl", lines)
    expected = (
        f"Kl {value}; real 0.01; one Gaussian, without a network, 0.7 (on the validation split, "
        f"best checkpoint, step 100). {conclusion}"
    )
    assert f"Quality: {expected}" in text_of(report(run)).text
    names = {key: name for key, name in REFERENCES.items() if key != "rows"}
    rows = REFERENCES["rows"] | {"generator": {"kl": value}}
    (run / "evaluation.json").write_text(json.dumps(names | {"rows": rows, "notes": []}))
    assert f"0.7 (by multigan evaluate). {conclusion}" in text_of(report(run)).text


def test_the_first_curve_is_the_headline_metric_with_its_references_and_best_checkpoint(run):
    lines = [
        {"step": step, "other": 1.0, "kl": value, "references": REFERENCES}
        for step, value in ((100, 0.5), (200, 0.25), (300, 0.4))
    ]
    write_lines(run / "metrics.jsonl", lines)
    charts = [json.loads(text) for kind, text in text_of(report(run)).scripts if kind]
    assert (charts[0]["title"], charts[0]["mark"]) == ("Kl", 200)
    shown = {line["label"]: line["values"] for line in charts[0]["series"]}
    assert shown == {
        "generator": [0.5, 0.25, 0.4],
        "real": [0.01] * 3,
        "one Gaussian": [0.7] * 3,
    }
    assert charts[1]["title"] == "Other" and charts[2]["title"] == "Losses"


def test_quality_that_was_not_measured_is_not_guessed(run):
    text = text_of(report(run)).text
    assert f"Quality: not measured; try: multigan evaluate {run}" in text


def test_of_a_long_log_only_as_many_lines_are_kept_as_a_curve_can_show(run):
    lines, template = 30_000, '{{"step": {0}, "seconds": {0}, "logits/gap": 0.1{1}}}\n'
    found = {7_777: ', "diagnostics": {"apart": "once"}'}
    steps = range(1, lines + 1)
    text = "".join(template.format(step, found.get(step, "")) for step in steps)
    text = text.replace('{"step": 9001, ', '{"step": 9001, "logits/gap": 0.1')  # broken
    (run / "log.jsonl").write_text(text + '{"step": 30001, "logits/gap": 0.')
    summary = RunSummary(RunDirectory(run))
    assert len(summary.log.lines) <= MAX_LINES + 1
    curves = metric_curves(summary.log.lines)
    assert len(curves[0]) == MAX_POINTS and (curves[0][0], curves[0][-1]) == (1, lines)
    gaps = {b - a for a, b in pairwise(curves[0][:-1])}
    assert max(gaps) <= 2 * lines / MAX_POINTS
    assert lines - 1 <= summary.log.judged_lines <= lines
    assert summary.state == "unfinished at step 30,000"
    assert [(d.name, d.last_step) for d in summary.diagnoses] == [("apart", 7_777)]


def test_the_command_trains_it_again_and_is_safe_to_paste(run):
    command = RunSummary(RunDirectory(run)).command
    assert command.startswith("multigan train points --steps 200 --layout '<img")
    assert command.endswith("--ring --save-every 50 --seed 3") and "nothing" not in command
    edit_json(run / "recipe.json", name="mine; rm -rf")
    assert RunSummary(RunDirectory(run)).command.startswith("multigan train 'mine; rm -rf'")


def test_without_an_evaluation_the_last_measurement_is_shown_with_the_command(run):
    (run / "evaluation.json").unlink()
    text = text_of(report(run)).text
    assert "measured on the validation split at step 200" in text
    assert f"multigan evaluate {run}" in text


@pytest.mark.parametrize("name", ["log.jsonl", "metrics.jsonl", "evaluation.json"])
@pytest.mark.parametrize(
    "content",
    [
        '{"step": 1, "diagnostics": 5, "x": NaN, "y": [1], "z": 1e400, "w": true}\n',
        '{"step": 1, "rows": {"a": {"b": "c"}, "d": 3}, "intervals": [1], "notes": 4}\n',
        "[]\n\xff{",
        f'{{"step": 1, "huge": {10**400}}}\n',
        "[" * 200_000,
    ],
)
def test_files_that_hold_anything_do_not_stop_it(run, name, content):
    (run / name).write_text(content)
    assert report(run).is_file()


def test_links_out_of_the_run_are_not_followed(run, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "step-000000300.txt").write_text("my diary")
    os.symlink(secret / "step-000000300.txt", run / "samples" / "step-000000300.txt")
    assert "my diary" not in report(run).read_text()
    shutil.rmtree(run / "samples")
    os.symlink(secret, run / "samples")
    assert "my diary" not in report(run).read_text()


def test_it_stays_small_for_large_images(run, monkeypatch):
    image = png(300, 300, pixels=os.urandom(300 * 300))
    found = []
    monkeypatch.setattr(
        sample_media,
        "training_history",
        lambda *args: found.append(training_history(*args)) or found[0],
    )
    most = int(1.5 * HISTORY_BYTES)  # in base64, and the rest of the page
    assert 24 * len(image) > most
    for step in range(30):
        (run / "samples" / f"step-{step:09d}.png").write_bytes(image)
    assert report(run).stat().st_size < most < MAX_BYTES
    (history,) = found
    kept = [len(medium.content) for media in history.values() for medium in media]
    assert len(kept) == 24 and sum(kept) <= HISTORY_BYTES
    assert {0, 200} <= set(history)  # the first and the last moment


def test_a_damaged_image_is_reported():
    assert b"cannot be shown" in downscale(Medium("image/png", b"\x89PNG" + bytes(100)), 10).content
    assert "cannot be read" in render_medium(Medium("image/png", b"\x89PNG"), "sample 1")


def test_a_huge_image_is_not_opened(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert b"cannot be shown" in downscale(Medium("image/png", png(8, 8)), 10).content


def test_subsampling_keeps_both_ends():
    assert subsample(list(range(10)), 4) == [0, 3, 6, 9] and subsample([1, 2], 4) == [1, 2]


def test_training_ends_with_a_page_that_needs_no_data(tmp_path):
    path = train_tiny("points", tmp_path / "run", report=True, save_every=3, sample_every=3).path
    first = text_of(path / "report.html")
    images = [a for name, a in first.found if name == "img"]
    assert len(images) == 2 + 2 + 3  # samples and real data, two moments, an interpolation
    description = json.loads((path / "recipe.json").read_text())
    description["recipe"]["data"] = {"component": "points/None", "arguments": {}}
    edit_json(path / "recipe.json", recipe=description["recipe"])
    assert len([n for n, _ in text_of(report(path)).found if n == "img"]) == len(images)


def test_a_page_that_fails_is_a_warning_and_the_training_has_ended_well(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no\nroom")

    monkeypatch.setattr(reporting, "_write", fail)
    with pytest.warns(UserWarning, match=r"^no report: no room; try: multigan report "):
        run = train_tiny("points", tmp_path / "run", report=True)
    assert run.ended == "finished"


def test_runs_are_compared_curve_over_curve_and_row_under_row(run, tmp_path):
    other = written_run(tmp_path / "other")
    (other / "evaluation.json").unlink()
    elements = text_of(compare([run, other], tmp_path / "both.html"))
    charts = [json.loads(text) for kind, text in elements.scripts if kind]
    losses = next(chart for chart in charts if chart["title"] == "loss/generator")
    assert [line["label"] for line in losses["series"]] == [str(run), str(other)]
    summaries = [RunSummary(RunDirectory(path)) for path in (run, other)]
    assert [summary.model for summary in summaries] == [{"kl": 0.25}] * 2
    notes = metric_sources(summaries)
    assert notes[-1].startswith("not of one split")
    assert f"{other}: from the last line of metrics.jsonl" in notes


def test_a_directory_that_holds_no_run_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ValueError, match=r"is no run directory"):
        report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_what_the_reader_of_the_data_left_out(tmp_path):
    run = written_run(tmp_path / "run")
    assert "Counts in" not in text_of(report(run)).text
    rows = [["used", "JPEG", 9, []], ["left out", EVIL, 2, ["a.heic", "b.heic"]]]
    edit_json(run / "recipe.json", data_counts={"unit": "images", "rows": rows})
    found = text_of(report(run))
    assert "Counts in images" in found.text and "a.heic, b.heic" in found.text
    assert {name for name, _ in found.found} <= set(ALLOWED_TAGS)
