"""What kopia writes, we restore: with its own settings, compressed, and in every format that we say we read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interop.kopia.conftest import Ours, assert_same
from tests.support.fix_kopia import Kopia
from velero_py_plugin.kopia import errors
from velero_py_plugin.kopia.snapshot import upload


def test_a_snapshot_with_kopia_s_own_settings(ours: Ours, any_kopia: Kopia, pristine: Path, tmp_path: Path) -> None:
    any_kopia.create(ours.url)
    any_kopia.snapshot(pristine)
    [manifest], [snapshot] = any_kopia.snapshots(), ours.snapshots()
    assert snapshot.manifest_id == manifest["id"]
    assert snapshot.root_entry.to_json() == manifest["rootEntry"]
    assert snapshot.statistics == manifest["stats"]
    ours.restore(manifest["id"], tmp_path / "whole")
    assert_same(pristine, tmp_path / "whole")
    ours.restore("latest", tmp_path / "part", "odd names")
    assert_same(pristine / "odd names", tmp_path / "part")


@pytest.mark.parametrize("compression", ["zstd", "gzip-best-speed", "pgzip", "deflate-best-compression"])
def test_compressed_snapshots(kopia: Kopia, url: str, pristine: Path, tmp_path: Path, compression: str) -> None:
    ours = Ours(url, kopia)
    kopia.create(url)
    kopia.run("policy", "set", "--global", f"--compression={compression}", f"--metadata-compression={compression}")
    snapshot_id = kopia.snapshot(pristine)["id"]
    with ours.open() as opened:
        found = {opened.contents.find(content_id).compression_id for content_id in opened.contents.list("")}
        metadata = {opened.contents.find(content_id).compression_id for content_id in opened.contents.list("k")}
        assert found > {0}  # some, as small and random contents do not become smaller
        assert metadata - {0} == found - {0}
    ours.restore(snapshot_id, tmp_path / "restored")
    assert_same(pristine, tmp_path / "restored")


def test_snapshots_compressed_by_the_old_version(tmp_path: Path, url: str, pristine: Path, any_kopia: Kopia) -> None:
    ours = Ours(url, any_kopia)
    any_kopia.create(url)
    any_kopia.run("policy", "set", "--global", "--compression=zstd-fastest")
    ours.restore(any_kopia.snapshot(pristine)["id"], tmp_path / "restored")
    assert_same(pristine, tmp_path / "restored")


def test_a_compression_that_we_do_not_know_is_named(kopia: Kopia, url: str, pristine: Path, tmp_path: Path) -> None:
    kopia.create(url)
    kopia.run("policy", "set", "--global", "--compression=s2-default")
    snapshot_id = kopia.snapshot(pristine)["id"]
    with pytest.raises(errors.UnsupportedFormatError, match="compression algorithm 0x1200 is not supported"):
        Ours(url, kopia).restore(snapshot_id, tmp_path / "restored")


@pytest.mark.parametrize(
    "options",
    [
        ("--format-version=2",),
        ("--block-hash=HMAC-SHA256-128", "--object-splitter=FIXED-1M"),
        ("--block-hash=BLAKE2S-256", "--encryption=CHACHA20-POLY1305-HMAC-SHA256"),
        ("--block-hash=HMAC-SHA3-224", "--object-splitter=DYNAMIC-1M-BUZHASH"),
    ],
    ids=" ".join,
)
def test_other_formats_both_ways(
    kopia: Kopia, url: str, pristine: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    ours = Ours(url, kopia)
    kopia.create(url, *options)
    theirs = kopia.snapshot(pristine)
    ours.restore(theirs["id"], tmp_path / "restored")
    assert_same(pristine, tmp_path / "restored")
    snapshot, _ = ours.back_up(pristine)
    assert snapshot.root_entry.object_id == theirs["rootEntry"]["obj"]
    kopia.verify()


def test_a_newer_key_derivation(kopia: Kopia, url: str, tmp_path: Path) -> None:
    kopia.create(url, "--format-block-key-derivation-algorithm=pbkdf2-sha256-600000")
    assert Ours(url, kopia).snapshots() == []
    kopia.password = "another"
    with pytest.raises(errors.WrongPasswordError):
        Ours(url, kopia).snapshots()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format-version=1",), "format version 1"),
        (("--ecc=REED-SOLOMON-CRC32", "--ecc-overhead-percent=2"), "error correction"),
        (("--block-hash=BLAKE3-256",), "hash 'BLAKE3-256'"),
        (("--object-splitter=DYNAMIC-4M-RABINKARP",), "splitter 'DYNAMIC-4M-RABINKARP'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_formats_that_we_do_not_know_are_named(kopia: Kopia, url: str, options: tuple[str, ...], message: str) -> None:
    kopia.create(url, *options)
    with pytest.raises(errors.UnsupportedFormatError, match=message):
        Ours(url, kopia).snapshots()


def test_a_changed_password(any_kopia: Kopia, ours: Ours, tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    any_kopia.create(ours.url)
    any_kopia.snapshot(tmp_path / "volume")
    any_kopia.run("repository", "change-password", "--new-password=changed")
    with pytest.raises(errors.WrongPasswordError):
        ours.snapshots()
    any_kopia.password = "changed"
    assert len(ours.snapshots()) == 1


def test_a_single_file_and_what_was_deleted(any_kopia: Kopia, ours: Ours, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    os.utime(tmp_path / "file", ns=(0, 123_456_789))
    any_kopia.create(ours.url)
    first, second = any_kopia.snapshot(tmp_path / "file"), any_kopia.snapshot(tmp_path / "file")
    assert [snapshot.manifest_id for snapshot in ours.snapshots()] == [first["id"], second["id"]]
    ours.restore(first["id"], tmp_path / "restored")
    restored = tmp_path / "restored" / "file"
    assert (restored.read_bytes(), restored.stat().st_mtime_ns) == (b"data", 123_456_789)
    any_kopia.run("snapshot", "delete", first["id"], "--delete")
    assert [snapshot.manifest_id for snapshot in ours.snapshots()] == [second["id"]]


def test_the_root_of_a_file_system(kopia: Kopia, url: str, tmp_path: Path) -> None:
    kopia.create(url)
    kopia.run("policy", "set", "/", "--add-ignore=/*")
    snapshot_id = kopia.snapshot("/")["id"]
    ours = Ours(url, kopia)
    assert [snapshot.root_entry.name for snapshot in ours.snapshots()] == ["/"]
    ours.restore(snapshot_id, tmp_path / "restored")
    assert os.listdir(tmp_path / "restored") == []


def test_manifests_that_kopia_compacted(kopia: Kopia, url: str, tmp_path: Path) -> None:
    kopia.create(url)
    ours = Ours(url, kopia)
    (tmp_path / "volume").mkdir()
    with ours.open() as opened:
        for i in range(20):
            (tmp_path / "volume" / "file").write_bytes(b"%d" % i)
            upload.Uploader(opened).upload(str(tmp_path / "volume"), ours.source(tmp_path / "volume"))
        before = len(opened.contents.list("m"))
    kopia.run("policy", "set", "--global", "--keep-latest=5")
    kopia.snapshot(tmp_path / "volume")
    with ours.open() as opened:
        assert len(opened.contents.list("m")) < before
    snapshots = ours.snapshots()
    assert {snapshot.manifest_id for snapshot in snapshots} == {snapshot["id"] for snapshot in kopia.snapshots()}
    ours.restore(snapshots[-2].manifest_id, tmp_path / "restored")
    assert (tmp_path / "restored" / "file").read_bytes() == b"19"
