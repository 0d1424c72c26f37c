from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from velero_py_plugin.testing import tree
from velero_py_plugin.testing.tree import TreeSummary, compare_trees, generate_tree, summarise_tree


def test_the_same_arguments_make_the_same_tree(tmp_path: Path) -> None:
    for name in ("one", "two"):
        generate_tree(tmp_path / name, files=100, large_file_bytes=3_000_000, seed=7)
    assert compare_trees(tmp_path / "one", tmp_path / "two") == []
    generate_tree(tmp_path / "other", files=100, large_file_bytes=3_000_000, seed=8)
    assert len(compare_trees(tmp_path / "one", tmp_path / "other")) > 100


def test_a_tree_has_what_applications_have(tmp_path: Path) -> None:
    generate_tree(tmp_path, files=300, large_file_bytes=5_000_000, seed=1)
    paths = [Path(folder, name) for folder, folders, files in os.walk(tmp_path) for name in folders + files]
    names = {path.name for path in paths}
    assert set(tree.ODD_NAMES) <= names
    assert max(len(os.fsencode(name)) for name in names) == 255
    status = {path: path.lstat() for path in paths}
    files = [path for path in paths if stat.S_ISREG(status[path].st_mode)]
    folders = [path for path in paths if stat.S_ISDIR(status[path].st_mode)]
    modes = {stat.S_IMODE(status[path].st_mode) for path in files}
    assert any(mode & stat.S_ISUID for mode in modes)
    assert any(mode & stat.S_ISGID for mode in modes)
    assert any(stat.S_IMODE(status[path].st_mode) & stat.S_ISVTX for path in folders)
    assert 0o777 in modes
    times = [status[path].st_mtime_ns for path in files]
    assert any(nanoseconds < 0 for nanoseconds in times)
    assert 0 in times
    assert any(nanoseconds % 1_000_000_000 for nanoseconds in times)
    assert any(status[path].st_size == 0 for path in files)
    assert any(not list(path.iterdir()) for path in folders)
    assert max(len(path.relative_to(tmp_path).parts) for path in paths) >= 5
    links = [path for path in paths if stat.S_ISLNK(status[path].st_mode)]
    assert any(os.readlink(path).startswith("/") for path in links)
    assert any(path.is_dir() for path in links)
    assert any(os.readlink(path) == path.name for path in links)
    assert any(os.readlink(path) == "no/such/file" for path in links)
    assert tmp_path.joinpath("large.db").stat().st_size == 5_000_000
    holes = tmp_path.joinpath("sparse").stat()
    assert holes.st_blocks * 512 < holes.st_size / 2
    if os.geteuid() == 0:
        assert len({status[path].st_uid for path in paths}) > 2
        assert 0 in modes


def test_three_thousand_files_take_a_second_or_two(tmp_path: Path) -> None:
    begin = time.process_time()
    generate_tree(tmp_path / "tree", files=3000, large_file_bytes=0)
    assert time.process_time() - begin < 3
    summary = summarise_tree(tmp_path / "tree")
    assert summary.files > 3000
    assert 20e6 < summary.size < 200e6


def _equal_trees(root: Path) -> tuple[Path, Path]:
    for name in ("expected", "found"):
        folder = root / name
        folder.joinpath("folder").mkdir(parents=True)
        folder.joinpath("file").write_bytes(b"0123456789" * 200_000)
        folder.joinpath("folder", "inner").write_bytes(b"inner")
        folder.joinpath("link").symlink_to("file")
        os.mkfifo(folder / "pipe")
        for path in ("file", "folder/inner", "folder", "link", "pipe", "."):
            os.utime(folder / path, ns=(5, 5), follow_symlinks=False)
    return root / "expected", root / "found"


def _keep_times(path: Path, action: Callable[[], object]) -> None:
    action()
    for each in (path, path.parent):
        if each.exists():
            os.utime(each, ns=(5, 5))


def test_equal_trees_have_no_differences(tmp_path: Path) -> None:
    assert compare_trees(*_equal_trees(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "change", "texts"),
    [
        ("file", lambda path: path.unlink(), ["'file': missing: expected a file, found nothing"]),
        ("new", lambda path: path.mkdir(), ["'new': unexpected: expected nothing, found a folder"]),
        (
            "folder/inner",
            lambda path: path.write_bytes(b"longer than before"),
            ["'folder/inner': size: expected 5 bytes, found 18 bytes"],
        ),
        (
            "file",
            lambda path: path.write_bytes(b"0123456789" * 150_000 + b"X" + b"123456789" + b"0123456789" * 49_999),
            [
                "'file': content: expected 30 31 32 33 34 35 36 37 at byte 1500000, found 58 31 32 33 34 35 36 37",
            ],
        ),
        ("file", lambda path: path.chmod(0o4711), ["'file': mode: expected 0644, found 4711"]),
        ("folder", lambda path: path.chmod(0o1755), ["'folder': mode: expected 0755, found 1755"]),
    ],
)
def test_differences(tmp_path: Path, name: str, change: Callable[[Path], object], texts: list[str]) -> None:
    expected, found = _equal_trees(tmp_path)
    for folder in (expected, found):
        folder.joinpath("file").chmod(0o644)
        folder.joinpath("folder").chmod(0o755)
    path = found / name
    _keep_times(path, lambda: change(path))
    assert [str(difference) for difference in compare_trees(expected, found)] == texts


def test_a_nanosecond_is_a_difference(tmp_path: Path) -> None:
    expected, found = _equal_trees(tmp_path)
    for name in ("file", "link", "folder", "."):
        os.utime(found / name, ns=(6, 6), follow_symlinks=False)
    changed = [(difference.path, difference.what) for difference in compare_trees(expected, found)]
    assert changed == [(".", "mtime"), ("file", "mtime"), ("folder", "mtime"), ("link", "mtime")]
    without_folders = compare_trees(expected, found, directory_times=False)
    assert [difference.path for difference in without_folders] == ["file", "link"]


def test_links_are_compared_by_their_targets(tmp_path: Path) -> None:
    expected, found = _equal_trees(tmp_path)
    link = found / "link"
    link.unlink()
    link.symlink_to("./file")
    os.utime(link, ns=(5, 5), follow_symlinks=False)
    os.utime(found, ns=(5, 5))
    (difference,) = compare_trees(expected, found)
    assert str(difference) == "'link': target: expected b'file', found b'./file'"


def test_another_type_is_one_difference(tmp_path: Path) -> None:
    expected, found = _equal_trees(tmp_path)
    found.joinpath("pipe").unlink()
    found.joinpath("pipe").mkdir()
    os.utime(found, ns=(5, 5))
    (difference,) = compare_trees(expected, found)
    assert str(difference) == "'pipe': type: expected a pipe, found a folder"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owners(tmp_path: Path) -> None:
    expected, found = _equal_trees(tmp_path)
    os.chown(found / "file", 1000, 33)
    os.lchown(found / "link", 1000, 33)
    assert [str(difference) for difference in compare_trees(expected, found)] == [
        "'file': owner: expected 0:0, found 1000:33",
        "'link': owner: expected 0:0, found 1000:33",
    ]
    assert compare_trees(expected, found, owners=False) == []


def test_names_that_are_no_text(tmp_path: Path) -> None:
    expected, found = _equal_trees(tmp_path)
    os.mkdir(os.fsencode(expected) + b"/folder/\xff\xfe")
    os.utime(expected / "folder", ns=(5, 5))
    (difference,) = compare_trees(expected, found)
    assert os.fsencode(difference.path) == b"folder/\xff\xfe"


def test_a_summary_counts_without_following_links(tmp_path: Path) -> None:
    expected, _ = _equal_trees(tmp_path)
    assert summarise_tree(expected) == TreeSummary(
        files=2, folders=1, links=1, others=1, size=2_000_005, largest=2_000_000
    )
    assert str(summarise_tree(expected)) == ("2 files, 1 folders, 1 links, 1 others; 2.0 MB, the largest file 2.0 MB")
