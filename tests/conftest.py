"""Lists the fixture plugins; each file in ``tests/support`` holds the fixtures of one subject. Sums up the tiers."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from pathlib import Path

import hypothesis
import pytest

# A machine that is busy with something else is no defect of the code under test.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")

pytest_plugins = sorted(f"tests.support.{path.stem}" for path in (Path(__file__).parent / "support").glob("fix_*.py"))


def pytest_report_header() -> str:
    """Says what decides which tests run."""
    required = "fails" if os.environ.get("REQUIRE_PEERS") == "1" else "is left out with its reason"
    return f"peers: a missing one {required} (REQUIRE_PEERS={os.environ.get('REQUIRE_PEERS', '')}); kernels: reference"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which tiers ran, and which did not and why."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: dict[str, set[str]] = defaultdict(set)
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.getreports(outcome):
            parts = Path(report.nodeid.split("::")[0]).parts
            tier = "/".join(parts[1:3] if parts[1] == "interop" else parts[1:2])
            counts[tier][outcome] += 1
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                reasons[tier].add(report.longrepr[2].removeprefix("Skipped: "))
    terminalreporter.section("tiers")
    for tier, found in sorted(counts.items()):
        ran = ", ".join(f"{number} {outcome}" for outcome, number in found.items())
        verdict = "ran" if found.keys() - {"skipped"} else "did not run"
        terminalreporter.line(f"{tier}: {verdict}: {ran}")
        for reason in sorted(reasons[tier]):
            terminalreporter.line(f"    left out: {reason}")
