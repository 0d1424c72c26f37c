"""Regenerates ``velero_py_plugin/_pb`` from the ``.proto`` files beside this module.

The sources lie under ``velero_py_plugin/_pb/`` here as well, so that the imports protoc writes are right as they are.
Only messages are generated: the services' method handlers are made from the descriptors
(``velero_py_plugin.plugin.goplugin.service``), because generated gRPC stubs refuse every grpcio older than the one that
generated them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent
PACKAGE: Final = Path("velero_py_plugin/_pb")
MARKER: Final = '"""Generated from proto/ by `make proto`; never edited."""\n'


def generate(destination: Path) -> None:
    """Writes the generated package.

    Args:
        destination: Directory in which ``velero_py_plugin/_pb`` appears.

    Raises:
        subprocess.CalledProcessError: protoc refused a source; its complaint went to standard error.
    """
    sources = sorted((SOURCES / PACKAGE).rglob("*.proto"))
    destination.mkdir(parents=True, exist_ok=True)
    options = [f"-I{SOURCES}", f"--python_out={destination}", f"--pyi_out={destination}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, *map(str, sources)], check=True)
    package = destination / PACKAGE
    for directory in {package, *(path.parent for path in package.rglob("*_pb2.py"))}:
        (directory / "__init__.py").write_text(MARKER, encoding="utf-8")


def replace(root: Path) -> None:
    """Replaces the generated package below ``root``, so that nothing stays of a source that is gone."""
    with tempfile.TemporaryDirectory(dir=root, prefix=".proto-") as fresh:
        generate(Path(fresh))
        target = root / PACKAGE
        if target.exists():
            target.rename(Path(fresh) / "replaced")
        (Path(fresh) / PACKAGE).rename(target)


if __name__ == "__main__":
    replace(SOURCES.parent)
