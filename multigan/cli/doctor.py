"""The command that says whether everything is in place: doctor."""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from multigan.cli.common import print_columns


def doctor(
    no_test: Annotated[bool, typer.Option("--no-test", help="skip the self-tests")] = False,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Say what is installed and missing, where things lie, and whether each domain works."""
    from multigan.training import environment as asked

    facts = {"machine": asked.system_info(), "python": asked.interpreter()}
    found, places = asked.check_requirements(), asked.places()
    if not json:
        _say_machine(facts)
        _say_findings(found)
        _say_places(places)
    outcomes = [] if no_test else _tested(quiet=json)
    if json:
        lists: dict[str, Sequence[Any]] = {
            "findings": found,
            "places": places,
            "self_tests": outcomes,
        }
        rows = {name: [row._asdict() for row in rows] for name, rows in lists.items()}
        print(json_module.dumps(facts | rows, indent=1))
    if not all(outcome.passed for outcome in outcomes):
        raise typer.Exit(1)


def _say_machine(facts: dict[str, Any]) -> None:
    m = facts["machine"]
    print(f"multigan {m['multigan']}, Python {m['python']} on {m['system']}: {facts['python']}")
    print(f"{m['cores']} cores; torch uses {m['threads']} of them (OMP_NUM_THREADS changes that)")


def _say_findings(found: Sequence[Any]) -> None:
    here = [(_named(f), f.found) for f in found if f.found is not None]
    missing = [(_named(f), f.get) for f in found if f.found is None]
    print("\nhere")
    print_columns(here, "  ")
    print("\nmissing, and how to get it" if missing else "\nnothing is missing")
    print_columns(missing, "  ")


def _named(found: Any) -> str:
    return f"{found.name} ({found.of})" if found.of else found.name


def _say_places(places: Sequence[Any]) -> None:
    print("\nplaces")
    states = {True: "writable", False: "NOT writable"}
    later = {True: "", False: ", made when needed"}
    rows = [(p.name, p.path, states[p.writable] + later[p.exists]) for p in places]
    print_columns(rows, "  ")


def _tested(quiet: bool) -> list[Any]:
    """Test one domain after the other, saying each outcome as it comes."""
    from multigan.training.environment import SECONDS, self_test, testable_domains

    if not quiet:
        print(f"\nself-test: the TINY recipe of each domain, about {SECONDS:.0f} s each at most")
    outcomes = []
    for domain in testable_domains():
        outcomes.append(outcome := self_test(domain))
        state = "passed" if outcome.passed else "FAILED"
        if not quiet:
            took = f"{outcome.seconds:.1f} s, {outcome.cpu_seconds:.1f} s of CPU"
            slow = "; slow: is the machine busy?" if outcome.slow else ""
            print(f"  {domain}: {state} in {took} ({outcome.message}){slow}", flush=True)
    return outcomes
