"""The command that checks the installation: doctor."""

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
    """Check dependencies, folders and a tiny training of each domain."""
    from multigan.training import environment

    facts = {"machine": environment.system_info(), "python": environment.interpreter()}
    requirements, locations = environment.check_requirements(), environment.places()
    if not json:
        _print_system(facts)
        _print_requirements(requirements)
        _print_locations(locations)
    results = [] if no_test else _self_tests(quiet=json)
    if json:
        lists: dict[str, Sequence[Any]] = {
            "requirements": requirements,
            "locations": locations,
            "self_tests": results,
        }
        rows = {name: [row._asdict() for row in rows] for name, rows in lists.items()}
        print(json_module.dumps(facts | rows, indent=1))
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def _print_system(facts: dict[str, Any]) -> None:
    m = facts["machine"]
    print(f"multigan {m['multigan']}, Python {m['python']} on {m['system']}: {facts['python']}")
    print(f"{m['cores']} cores; torch uses {m['threads']} of them (OMP_NUM_THREADS changes that)")


def _print_requirements(requirements: Sequence[Any]) -> None:
    installed = [(_label(r), r.found) for r in requirements if r.found is not None]
    missing = [(_label(r), r.get) for r in requirements if r.found is None]
    print("\ninstalled")
    print_columns(installed, "  ")
    print("\nmissing, and how to install it" if missing else "\nnothing is missing")
    print_columns(missing, "  ")


def _label(requirement: Any) -> str:
    return f"{requirement.name} ({requirement.of})" if requirement.of else requirement.name


def _print_locations(locations: Sequence[Any]) -> None:
    print("\nlocations")
    states = {True: "writable", False: "NOT writable"}
    later = {True: "", False: ", created when needed"}
    rows = [(p.name, p.path, states[p.writable] + later[p.exists]) for p in locations]
    print_columns(rows, "  ")


def _self_tests(quiet: bool) -> list[Any]:
    """Test one domain after the other, and print each result."""
    from multigan.training.environment import SECONDS, self_test, testable_domains

    if not quiet:
        print(f"\nself-test: the TINY recipe of each domain, about {SECONDS:.0f} s each at most")
    results = []
    for domain in testable_domains():
        results.append(result := self_test(domain))
        state = "passed" if result.passed else "FAILED"
        if not quiet:
            took = f"{result.seconds:.1f} s, {result.cpu_seconds:.1f} s of CPU"
            slow = "; slow: is the machine busy?" if result.slow else ""
            print(f"  {domain}: {state} in {took} ({result.message}){slow}", flush=True)
    return results
