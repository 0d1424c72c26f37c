"""The demo, small: the whole line through the product, and what it leaves opened by the real kopia."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.fix_kopia import Kopia
from velero_py_plugin.demo import run as demo


def test_the_demo_and_its_repository(kopia: Kopia, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep = tmp_path / "kept"
    demo.run(keep=keep, verbose=True, files=120, large_file_bytes=9_000_000)
    output = capsys.readouterr().out
    assert "The restored volume is identical" in output
    assert "velero-py-plugin.io/volumesnapshot-backupper on VolumeSnapshot" in output
    password = (tmp_path / "kept.password").read_text().strip()
    assert os.stat(tmp_path / "kept.password").st_mode & 0o777 == 0o600
    assert password not in output
    kopia.password = password
    kopia.connect(f"file://{keep}")
    kopia.verify()
    [snapshot] = kopia.snapshots()
    assert snapshot["source"]["path"] == "snapshot-data-upload-download/kopia/shop/data"
    kopia.restore(snapshot["rootEntry"]["obj"], tmp_path / "by-kopia")
    assert (tmp_path / "by-kopia").is_dir()
