"""Speed and memory of the mover beside kopia, in one run on the same data.

    python -m tests.bench [--folder DIR] [--files N] [--large-bytes N] [--rounds N]

Each line is one process: wall seconds, CPU seconds, peak memory; the last column is kopia's wall time divided by ours,
so that more than 1 means faster than kopia. Of several rounds the fastest counts. Data, repositories and targets lie in
one temporary folder, by default in memory, so that disks do not blur the comparison.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_MEMORY_LIMIT_MIB = 400  # what the mover promises for a 2 GB file and for 100,000 files
_PASSWORD = "bench-password"


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One process, measured."""

    wall: float
    cpu: float
    peak_mib: float


@dataclasses.dataclass(frozen=True)
class Case:
    """One data set."""

    name: str
    folder: Path
    size: int
    files: int


def measure(command: Sequence[str], environment: dict[str, str]) -> Measurement:
    """Runs a command to its end and takes the kernel's word for what it used."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed with {process.returncode}:\n{output.read().decode()[-2000:]}")
    return Measurement(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def make_small_files(folder: Path, count: int) -> Case:
    """Files of 0 to 8 kB, a hundred to a folder."""
    generator = random.Random(1)
    size = 0
    for number in range(count):
        path = folder / f"d{number // 10_000}" / f"d{number // 100 % 100}" / f"file-{number}"
        if number % 100 == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
        data = generator.randbytes(generator.randrange(8000))
        path.write_bytes(data)
        size += len(data)
    return Case(f"{count} small files", folder, size, count)


def make_large_file(folder: Path, size: int) -> Case:
    """One file that neither compresses nor repeats."""
    generator = random.Random(2)
    folder.mkdir(parents=True)
    with (folder / "large").open("wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(generator.randbytes(min(1 << 20, size - start)))
    return Case(f"one file of {size / 1e9:.1f} GB", folder, size, 1)


class Ours:
    """The mover, as the controller starts it."""

    name = "velero-py"

    def __init__(self, work: Path) -> None:
        self._work = work
        self._url = f"file://{work}/repository"
        self._password = work / "password"
        self._password.write_text(_PASSWORD)
        self._program = [sys.executable, "-m", "velero_py_plugin.cli"]
        self._repository = ["--repository", self._url, "--password-file", str(self._password)]
        self._environment = dict(os.environ)
        measure([*self._program, "repo", *self._repository, "create"], self._environment)

    def backup(self, case: Case) -> Measurement:
        """One ``mover backup`` process."""
        arguments = ["--source", str(case.folder), "--source-name", "bench/data"]
        return measure([*self._program, "mover", "backup", *self._repository, *arguments], self._environment)

    def restore(self, case: Case, target: Path) -> Measurement:
        """One ``mover restore`` process."""
        del case
        listing = subprocess.run(
            [*self._program, "repo", *self._repository, "snapshots"],
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        snapshot = listing.stdout.splitlines()[-1].split()[0]
        arguments = ["--snapshot", snapshot, "--target", str(target)]
        return measure([*self._program, "mover", "restore", *self._repository, *arguments], self._environment)


class Kopia:
    """The real tool, with the settings Velero gives it: no compression."""

    name = "kopia"

    def __init__(self, work: Path, binary: Path) -> None:
        self._binary = str(binary)
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(work),
            "KOPIA_PASSWORD": _PASSWORD,
            "KOPIA_CHECK_FOR_UPDATES": "false",
            "KOPIA_CONFIG_PATH": str(work / "kopia.config"),
            "KOPIA_CACHE_DIRECTORY": str(work / "cache"),
            "KOPIA_LOG_DIR": str(work / "logs"),
        }
        measure([self._binary, "repository", "create", "filesystem", f"--path={work}/repository"], self._environment)
        measure([self._binary, "policy", "set", "--global", "--compression=none"], self._environment)

    def backup(self, case: Case) -> Measurement:
        """One ``snapshot create`` process."""
        return measure([self._binary, "snapshot", "create", "--no-progress", str(case.folder)], self._environment)

    def restore(self, case: Case, target: Path) -> Measurement:
        """One ``restore`` process, of the folder's latest snapshot."""
        arguments = ["--no-progress", "--snapshot-time=latest", str(case.folder), str(target)]
        return measure([self._binary, "restore", *arguments], self._environment)


def run_tool(tool: Ours | Kopia, case: Case, work: Path) -> dict[str, Measurement]:
    """First backup, backup of nothing new, restore."""
    target = work / "restored"
    result = {
        "backup": tool.backup(case),
        "backup, nothing new": tool.backup(case),
        "restore": tool.restore(case, target),
    }
    found = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if found != case.size:
        sys.exit(f"{tool.name} restored {found} bytes of {case.size}")
    return result


def best(rounds: list[dict[str, Measurement]], step: str) -> Measurement:
    """The fastest round's time, the largest memory of all rounds."""
    measurements = [measured[step] for measured in rounds]
    fastest = min(measurements, key=lambda measurement: measurement.wall)
    return dataclasses.replace(fastest, peak_mib=max(measurement.peak_mib for measurement in measurements))


def run_case(case: Case, root: Path, kopia: Path, rounds: int) -> bool:
    """Prints one data set's lines; returns whether our memory kept its promise."""
    measured: dict[str, list[dict[str, Measurement]]] = {Ours.name: [], Kopia.name: []}
    for _ in range(rounds):
        for name, results in measured.items():  # alternating, so that a slow minute hits both
            work = root / name
            work.mkdir()
            tool = Ours(work) if name == Ours.name else Kopia(work, kopia)
            results.append(run_tool(tool, case, work))
            shutil.rmtree(work)
    print(f"\n{case.name}, {case.size / 1e6:.0f} MB; best of {rounds}")
    print(
        f"{'':<22}{'velero-py':>10}{'kopia':>9}{'':>4}{'velero-py':>11}{'kopia':>9}{'':>4}{'velero-py':>11}{'kopia':>9}"
    )
    print(
        f"{'':<22}{'s':>10}{'s':>9}{'':>4}{'CPU s':>11}{'CPU s':>9}{'':>4}{'MiB':>11}{'MiB':>9}{'ratio':>9}{'MB/s':>8}"
    )
    kept = True
    for step in measured[Ours.name][0]:
        ours, theirs = best(measured[Ours.name], step), best(measured[Kopia.name], step)
        kept = kept and ours.peak_mib < _MEMORY_LIMIT_MIB
        speed, ratio = case.size / 1e6 / ours.wall, theirs.wall / ours.wall
        print(
            f"{step:<22}{ours.wall:>10.2f}{theirs.wall:>9.2f}{'':>4}{ours.cpu:>11.2f}{theirs.cpu:>9.2f}{'':>4}"
            f"{ours.peak_mib:>11.0f}{theirs.peak_mib:>9.0f}{ratio:>9.2f}{speed:>8.0f}"
        )
    return kept


def main() -> None:
    """Runs both data sets."""
    memory = Path("/dev/shm")
    parser = argparse.ArgumentParser(description="Speed and memory of the mover beside kopia.")
    parser.add_argument("--folder", type=Path, default=memory if memory.is_dir() else None, help="where to work")
    parser.add_argument("--files", type=int, default=100_000, help="small files (default: 100000)")
    parser.add_argument("--large-bytes", type=int, default=2_000_000_000, help="size of the large file (default: 2 GB)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds, of which the fastest counts (default: 2)")
    arguments = parser.parse_args()
    binaries = Path(os.environ.get("PEERS_BIN", Path.home() / ".cache/velero-py-plugin/peers/bin"))
    kopia = binaries / "kopia"
    if not kopia.exists():
        sys.exit(f"there is no {kopia}: run `make peers` (needs Go)")
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="velero-py-bench-") as root:
        kept = True
        for make, amount, name in (
            (make_large_file, arguments.large_bytes, "large"),
            (make_small_files, arguments.files, "small"),
        ):
            case = make(Path(root) / name, amount)
            kept = run_case(case, Path(root), kopia, arguments.rounds) and kept
            shutil.rmtree(case.folder)
    print(f"\npeak memory of every velero-py process below {_MEMORY_LIMIT_MIB} MiB: {'yes' if kept else 'NO'}")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
