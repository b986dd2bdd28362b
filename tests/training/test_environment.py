"""Requirements, locations and self-tests of `multigan doctor`, on installations made here."""

import json
from importlib import metadata
from pathlib import Path

import pytest

from multigan.cli import app
from multigan.core.serialization import domain_table, domains, import_attribute
from multigan.training import environment
from multigan.training.environment import (
    Location,
    RequirementStatus,
    SelfTestResult,
    check_requirements,
    packages,
    places,
    self_test,
)
from tests.run_helpers import DOMAINS, snapshot

pytestmark = pytest.mark.filterwarnings("default")

METADATA = """Metadata-Version: 2.1
Name: fields
Version: 1
Requires-Dist: torch>=2.6
Requires-Dist: numpy>=999
Requires-Dist: no-such-package-here>=1.5
Requires-Dist: typer>=0.1; extra == "shell"
Requires-Dist: no-such-shell; extra == "shell"
Requires-Dist: only-elsewhere; sys_platform == "elsewhere"
Requires-Dist: fields[shell]; extra == "all"
Provides-Extra: shell
Provides-Extra: all
"""


@pytest.fixture
def fields(tmp_path, monkeypatch):
    """An installed distribution that asks for what is here and for what cannot be."""
    folder = tmp_path / "fields-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(str(tmp_path))
    return {found.name: found for found in packages("fields")}


def test_an_installed_package_is_listed_with_its_version(fields):
    assert fields["torch"] == RequirementStatus("torch", metadata.version("torch"), "", "")
    assert fields["typer"] == RequirementStatus("typer", metadata.version("typer"), "", "shell")


def test_a_missing_package_is_listed_with_its_install_command(fields):
    get = "pip install 'no-such-package-here>=1.5'"
    assert fields["no-such-package-here"] == RequirementStatus(
        "no-such-package-here", None, get, ""
    )
    get = "pip install 'fields[shell]'"
    assert fields["no-such-shell"] == RequirementStatus("no-such-shell", None, get, "shell")


def test_an_outdated_package_is_missing_and_its_version_is_listed(fields):
    found = fields["numpy"]
    assert found.found is None
    assert found.get == f"pip install 'numpy>=999' (version {metadata.version('numpy')} is here)"


def test_requirements_of_other_systems_and_of_bundled_extras_are_skipped(fields):
    assert list(fields) == ["torch", "numpy", "no-such-package-here", "typer", "no-such-shell"]


def test_a_distribution_that_is_not_installed_is_missing():
    (found,) = packages("no-such-package-here")
    assert found.found is None and "pip install" in found.get


@pytest.mark.parametrize("domain", domains())
def test_what_a_domain_requires_is_a_line_or_a_refusal_in_one_line(domain):
    for place in domain_table(domain, "REQUIREMENTS").values():
        assert place.startswith(f"{domains()[domain]}.")
        try:
            said = import_attribute(place)()
        except ValueError as refusal:
            said = str(refusal)
        assert said and "\n" not in said


def test_a_refusal_becomes_the_line_that_gets_what_is_missing(monkeypatch):
    def refuse():
        raise ValueError("apt install it")

    monkeypatch.setattr(environment, "STATES", {"it": refuse, "other": lambda: "here"})
    monkeypatch.setattr(environment, "_of_domains", lambda: [])
    monkeypatch.setattr(environment, "_distributions", lambda: [])
    assert check_requirements() == [
        RequirementStatus("it", None, "apt install it"),
        RequirementStatus("other", "here"),
    ]


def test_locations_are_listed_and_none_is_created(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = {place.name: place for place in places()}
    assert found["runs"] == Location("runs", str(tmp_path / "runs"), False, True)
    assert found["caches"] == Location("caches", str(tmp_path / "cache" / "multigan"), False, True)
    assert found["recipes"].exists
    assert list(tmp_path.iterdir()) == []


def test_a_place_below_a_file_is_not_writable(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert not {place.name: place for place in places()}["caches"].writable


def test_a_self_test_trains_samples_reads_back_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = self_test("points")
    assert outcome.passed and outcome.domain == "points" and outcome.seconds > 0
    assert outcome.message == "20 steps, 3 samples written and read back"
    assert snapshot(tmp_path) == {}


def test_a_self_test_fails_where_samples_do_not_come_back(monkeypatch):
    def other(self, folder: Path):
        return [(0.0, 0.0)] * 3

    monkeypatch.setattr("multigan.points.domain.PointsDomain.read_samples", other)
    outcome = self_test("points")
    assert not outcome.passed and "must equal the samples written" in outcome.message


def test_a_domain_that_cannot_read_its_samples_is_still_tested(monkeypatch):
    monkeypatch.setattr(environment, "SupportsReadSamples", type("Other", (), {}))
    outcome = self_test("points")
    assert outcome.passed and outcome.message == "20 steps, 3 samples written"


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_self_test_keeps_to_its_limit(domain):
    outcome = self_test(domain)
    assert outcome.passed and outcome.cpu_seconds < 2 * environment.SECONDS, (
        outcome
    )  # a busy core's are longer


def test_every_domain_with_a_recipe_is_tested():
    assert environment.testable_domains() == DOMAINS


def test_a_failed_self_test_makes_the_exit_status_1(monkeypatch, capsys):
    broken = SelfTestResult("b", False, "Error: broken", 99.0, 2.0)
    said = {"a": SelfTestResult("a", True, "fine", 1.0, 0.5), "b": broken}
    monkeypatch.setattr(environment, "testable_domains", lambda: list(said))
    monkeypatch.setattr(environment, "self_test", said.__getitem__)
    monkeypatch.setattr(
        environment,
        "check_requirements",
        lambda: [RequirementStatus("it", None, "apt install it", "a")],
    )
    assert app.main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "20 s each at most" in text
    assert "a: passed in 1.0 s, 0.5 s of CPU (fine)\n" in text
    assert "b: FAILED in 99.0 s, 2.0 s of CPU (Error: broken); slow: is the mach" in text
    assert "it (a)  apt install it" in text
    assert app.main(["doctor", "--no-test"]) == 0
    capsys.readouterr()
    assert app.main(["doctor", "--json"]) == 1
    facts = json.loads(capsys.readouterr().out)
    assert [test["passed"] for test in facts["self_tests"]] == [True, False]
    assert facts["requirements"] == [
        {"name": "it", "found": None, "get": "apt install it", "of": "a"}
    ]
    assert facts["machine"]["cores"] >= 1
