"""Lists the fixture plugins; each file in ``tests/support`` holds the fixtures of one subject."""

from __future__ import annotations

from pathlib import Path

pytest_plugins = sorted(f"tests.support.{path.stem}" for path in (Path(__file__).parent / "support").glob("fix_*.py"))
