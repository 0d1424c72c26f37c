"""Folders like those of a real application: made, compared and counted."""

from __future__ import annotations

import dataclasses
import os
import random
import stat
from collections.abc import Iterator
from typing import Final

_POOL_BYTES: Final = 2 << 20
_BLOCK: Final = 1 << 20
_LARGEST_SMALL_FILE: Final = 4 << 20
_FILES_PER_FOLDER: Final = 12
_DEEPEST: Final = 7

_LINE: Final = (
    "2026-11-21T13:{minute:02d}:{second:02d}.{micro:06d}Z level=info worker={worker} "
    'msg="request served" bytes={size}\n'
)

#: Names that programs have stumbled over.
ODD_NAMES: Final = (
    "with space",
    " leading and trailing ",
    "single'quote",
    'double"quote',
    "<angle> & ampersand",
    "back\\slash",
    "new\nline",
    "carriage\rreturn",
    "tab\tand\x01control\x7f",
    "caf\u00e9 composed",
    "cafe\u0301 decomposed",
    "emoji \U0001f600 \U0001f3f3\ufe0f\u200d\U0001f308",
    "line\u2028separator\u2029",
    "right\u202eto left",
    "-leading-dash",
    "--help",
    ".hidden",
    "..two dots",
    "...",
    "~",
    "percent%20%2F",
    "$(touch x) `y` *?[z]",
    "x" * 255,
    "\u00e9" * 127,
)

_FILE_MODES: Final = (0o644, 0o644, 0o644, 0o600, 0o664, 0o755, 0o700, 0o640, 0o444, 0o400)
_ODD_FILE_MODES: Final = (0o000, 0o777, 0o4755, 0o2755, 0o1644, 0o6711, 0o222, 0o111, 0o7777, 0o007)
_FOLDER_MODES: Final = (0o755, 0o755, 0o755, 0o750, 0o700)
_ODD_FOLDER_MODES: Final = (0o1777, 0o2775, 0o555, 0o000, 0o711, 0o7777)
_OWNERS: Final = ((0, 0), (1000, 1000), (999, 0), (1000, 33), (65534, 65534))
#: Nanoseconds since 1970.
_ODD_TIMES: Final = (
    0,
    1,
    -1,
    999_999_999,
    -1_000_000_001,
    -86_400_000_000_000,
    2_147_483_648_000_000_000,
    1_000_000_000,
)


def generate_tree(root: str | os.PathLike[str], *, files: int = 1000, large_file_bytes: int = 0, seed: int = 0) -> None:
    """Fills a folder with what volumes of applications hold, the same for the same arguments.

    It has several levels; odd names; all kinds of modes; empty files and folders; links to files and folders, absolute,
    dangling and endless; times with nanoseconds, before 1970 and after 2038; a file with holes; sizes of which most are
    small and few are large. Owners differ when this process is root, as does what nobody but root could read.

    Args:
        root: The folder, made when missing.
        files: Regular files, beside the few that every tree has.
        large_file_bytes: Size of one more file, of random, repetitive and zero parts; 0 for none.
        seed: Chooses one of the trees.
    """
    _Generator(os.fsencode(os.path.abspath(root)), seed).run(files, large_file_bytes)


class _Generator:
    def __init__(self, root: bytes, seed: int) -> None:
        self._root = root
        self._random = random.Random(seed)
        self._is_root = os.geteuid() == 0
        self._folders: list[tuple[bytes, int]] = []
        self._noise = self._random.randbytes(_POOL_BYTES)
        self._text = self._log_lines()

    def run(self, files: int, large_file_bytes: int) -> None:
        os.makedirs(self._root, exist_ok=True)
        # Folders get their attributes last, because everything made in them would change their times again.
        self._folders.append((self._root, 0))
        self._make_folders(max(1, files // _FILES_PER_FOLDER))
        for number in range(files):
            self._make_file(number)
        self._make_odd_entries()
        self._make_links()
        self._make_sparse_file()
        if large_file_bytes:
            self._make_large_file(large_file_bytes)
        for path, _ in reversed(self._folders):
            self._set_attributes(path, _FOLDER_MODES, readable=0o500)

    def _make_folders(self, count: int) -> None:
        for number in range(count):
            # Some branches grow deep, most stay flat.
            parent, depth = self._random.choice(self._folders[-20:])
            if depth < _DEEPEST:
                self._make_folder(parent, depth, b"folder-%04d" % number)

    def _make_folder(self, parent: bytes, depth: int, name: bytes) -> bytes:
        path = b"%s/%s" % (parent, name)
        os.mkdir(path)
        self._folders.append((path, depth + 1))
        return path

    def _make_file(self, number: int) -> None:
        folder, _ = self._random.choice(self._folders)
        suffix = self._random.choice((b"log", b"dat", b"json", b"py", b"jpg"))
        size = min(int(self._random.lognormvariate(8.0, 2.0)), _LARGEST_SMALL_FILE)
        self._write(b"%s/file-%05d.%s" % (folder, number, suffix), self._content(size))

    def _content(self, size: int) -> bytes:
        if self._random.random() < 0.05:
            size = 0
        pool = self._noise if self._random.random() < 0.4 else self._text
        offset = self._random.randrange(_POOL_BYTES)
        repeated = pool[offset : offset + size]
        while len(repeated) < size:
            repeated += pool[: size - len(repeated)]
        # One in ten is a copy of a part of the pool, which another file may be as well; the others are unique.
        if self._random.random() < 0.1 or size < 8:
            return repeated
        return self._random.randbytes(8) + repeated[8:]

    def _make_odd_entries(self) -> None:
        names = self._make_folder(self._root, 0, b"odd names")
        for name in ODD_NAMES:
            self._write(b"%s/%s" % (names, os.fsencode(name)), self._content(100))
            self._make_folder(names, 1, b"%s" % os.fsencode(name)[:200] + b".d")
        modes = self._make_folder(self._root, 0, b"modes")
        for mode in _ODD_FILE_MODES:
            path = b"%s/%04o" % (modes, mode)
            self._write(path, b"mode")
            os.chmod(path, mode if self._is_root else mode | 0o400)
            self._set_time(path)
        for mode in _ODD_FOLDER_MODES:
            path = b"%s/%04o.d" % (modes, mode)
            os.mkdir(path)
            self._write(b"%s/inside" % path, b"inside")
            os.chmod(path, mode if self._is_root else mode | 0o700)
            self._set_time(path)
        times = self._make_folder(self._root, 0, b"times")
        for number, nanoseconds in enumerate(_ODD_TIMES):
            for path in (b"%s/%d" % (times, number), b"%s/%d.d" % (times, number)):
                if path.endswith(b".d"):
                    os.mkdir(path)
                else:
                    self._write(path, b"")
                os.utime(path, ns=(nanoseconds, nanoseconds))
        folder = self._root
        for depth in range(3):
            folder = self._make_folder(folder, depth, b"empty")

    def _make_links(self) -> None:
        links = self._make_folder(self._root, 0, b"links")
        targets = {
            b"file": b"../times/0",
            b"folder": b"../times",
            b"absolute": b"/etc/hostname",
            b"absolute folder": b"/",
            b"dangling": b"no/such/file",
            b"endless": b"endless",
            b"upwards": b"../../../../../..",
            b"odd \n target": os.fsencode('caf\u00e9 "<&>" \n'),
            b"long": b"x/" * 500 + b"y",
        }
        for name, target in targets.items():
            path = b"%s/%s" % (links, name)
            os.symlink(target, path)
            if self._is_root:
                os.lchown(path, *self._random.choice(_OWNERS))
            self._set_time(path)

    def _make_sparse_file(self) -> None:
        path = b"%s/sparse" % self._root
        with open(path, "wb") as file:
            for offset in (3 << 20, 9 << 20):
                file.seek(offset)
                file.write(self._noise[:10_000])
            file.truncate(12 << 20)
        self._set_attributes(path, _FILE_MODES, readable=0o400)

    def _make_large_file(self, size: int) -> None:
        path = b"%s/large.db" % self._root
        with open(path, "wb", buffering=0) as file:
            left = size
            while left:
                kind = self._random.random()
                if kind < 0.5:
                    block = self._random.randbytes(_BLOCK)
                elif kind < 0.9:
                    offset = self._random.randrange(_POOL_BYTES - _BLOCK)
                    block = self._text[offset : offset + _BLOCK]
                else:
                    block = bytes(_BLOCK)
                left -= file.write(block[:left])
        self._set_attributes(path, _FILE_MODES, readable=0o400)

    def _write(self, path: bytes, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while content:
                content = content[os.write(descriptor, content) :]
        finally:
            os.close(descriptor)
        self._set_attributes(path, _FILE_MODES, readable=0o400)

    def _set_attributes(self, path: bytes, modes: tuple[int, ...], *, readable: int) -> None:
        if self._is_root:
            os.chown(path, *self._random.choice(_OWNERS))
        os.chmod(path, self._random.choice(modes) | (0 if self._is_root else readable))
        self._set_time(path)

    def _set_time(self, path: bytes) -> None:
        nanoseconds = self._random.randrange(1_400_000_000, 1_790_000_000) * 1_000_000_000
        nanoseconds += self._random.choice((0, 1, 123_456_789, 999_999_999, self._random.randrange(1_000_000_000)))
        os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)

    def _log_lines(self) -> bytes:
        lines = [
            _LINE.format(
                minute=number % 60,
                second=self._random.randrange(60),
                micro=self._random.randrange(1_000_000),
                worker=self._random.randrange(16),
                size=self._random.randrange(100_000),
            )
            for number in range(_POOL_BYTES // 600)
        ]
        text = "".join(lines).encode()
        return (text * (_POOL_BYTES // len(text) + 1))[:_POOL_BYTES]


@dataclasses.dataclass(frozen=True)
class Difference:
    """One thing that is not the same in two trees.

    Attributes:
        path: Where, relative to the roots; ``.`` is the root itself.
        what: ``missing``, ``unexpected``, ``type``, ``size``, ``content``, ``mode``, ``owner``, ``mtime``, ``target``
            or ``device``.
        expected: What the first tree has, in words.
        found: What the second tree has, in words.
    """

    path: str
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.path!r}: {self.what}: expected {self.expected}, found {self.found}"


def compare_trees(
    expected: str | os.PathLike[str],
    found: str | os.PathLike[str],
    *,
    directory_times: bool = True,
    owners: bool = True,
) -> list[Difference]:
    """Compares two folders: names, types, bytes, modes, owners, modification times to the nanosecond, link targets.

    Links are never followed; their modes, which Linux does not have, are not compared.

    Args:
        expected: The tree as it should be.
        found: The tree as it is.
        directory_times: Compare the times of folders as well.
        owners: Compare user and group ids as well.

    Returns:
        All differences, by path; none when the trees are the same.
    """
    comparison = _Comparison(directory_times=directory_times, owners=owners)
    comparison.compare(os.fsencode(expected), os.fsencode(found), b".")
    return sorted(comparison.differences, key=lambda difference: (difference.path, difference.what))


class _Comparison:
    def __init__(self, *, directory_times: bool, owners: bool) -> None:
        self._directory_times = directory_times
        self._owners = owners
        self.differences: list[Difference] = []

    def compare(self, left: bytes, right: bytes, path: bytes) -> None:
        pending = [(left, right, path)]
        while pending:
            left, right, path = pending.pop()
            left_status, right_status = os.lstat(left), os.lstat(right)
            if stat.S_IFMT(left_status.st_mode) != stat.S_IFMT(right_status.st_mode):
                self._add(path, "type", _type_of(left_status), _type_of(right_status))
                continue
            self._compare_status(path, left_status, right_status)
            if stat.S_ISREG(left_status.st_mode):
                self._compare_content(left, right, path, left_status.st_size, right_status.st_size)
            elif stat.S_ISLNK(left_status.st_mode):
                self._expect(path, "target", repr(os.readlink(left)), repr(os.readlink(right)))
            elif stat.S_ISDIR(left_status.st_mode):
                pending.extend(self._compare_names(left, right, path))
            else:
                self._expect(path, "device", str(left_status.st_rdev), str(right_status.st_rdev))

    def _compare_names(self, left: bytes, right: bytes, path: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
        left_names, right_names = set(os.listdir(left)), set(os.listdir(right))
        prefix = b"" if path == b"." else path + b"/"
        for name in left_names - right_names:
            self._add(prefix + name, "missing", _type_of(os.lstat(b"%s/%s" % (left, name))), "nothing")
        for name in right_names - left_names:
            self._add(prefix + name, "unexpected", "nothing", _type_of(os.lstat(b"%s/%s" % (right, name))))
        for name in left_names & right_names:
            yield b"%s/%s" % (left, name), b"%s/%s" % (right, name), prefix + name

    def _compare_status(self, path: bytes, left: os.stat_result, right: os.stat_result) -> None:
        if not stat.S_ISLNK(left.st_mode):
            self._expect(path, "mode", f"{stat.S_IMODE(left.st_mode):04o}", f"{stat.S_IMODE(right.st_mode):04o}")
        if self._owners:
            self._expect(path, "owner", f"{left.st_uid}:{left.st_gid}", f"{right.st_uid}:{right.st_gid}")
        if self._directory_times or not stat.S_ISDIR(left.st_mode):
            self._expect(path, "mtime", f"{left.st_mtime_ns} ns", f"{right.st_mtime_ns} ns")

    def _compare_content(self, left: bytes, right: bytes, path: bytes, left_size: int, right_size: int) -> None:
        if left_size != right_size:
            self._add(path, "size", f"{left_size} bytes", f"{right_size} bytes")
            return
        with open(left, "rb", buffering=0) as left_file, open(right, "rb", buffering=0) as right_file:
            offset = 0
            while left_block := left_file.read(_BLOCK):
                right_block = right_file.read(_BLOCK)
                if left_block != right_block:
                    at = next(
                        (
                            i
                            for i, (one, other) in enumerate(zip(left_block, right_block, strict=False))
                            if one != other
                        ),
                        min(len(left_block), len(right_block)),
                    )
                    self._add(
                        path,
                        "content",
                        f"{left_block[at : at + 8].hex(' ')} at byte {offset + at}",
                        right_block[at : at + 8].hex(" "),
                    )
                    return
                offset += len(left_block)

    def _expect(self, path: bytes, what: str, expected: str, found: str) -> None:
        if expected != found:
            self._add(path, what, expected, found)

    def _add(self, path: bytes, what: str, expected: str, found: str) -> None:
        self.differences.append(Difference(os.fsdecode(path), what, expected, found))


@dataclasses.dataclass(frozen=True)
class TreeSummary:
    """What a tree consists of.

    Attributes:
        files: Regular files.
        folders: Folders below the root.
        links: Symbolic links.
        others: Everything else.
        size: Bytes of all regular files, holes included.
        largest: Bytes of the largest file.
    """

    files: int
    folders: int
    links: int
    others: int
    size: int
    largest: int

    def __str__(self) -> str:
        return (
            f"{self.files} files, {self.folders} folders, {self.links} links, {self.others} others; "
            f"{self.size / 1e6:.1f} MB, the largest file {self.largest / 1e6:.1f} MB"
        )


def summarise_tree(root: str | os.PathLike[str]) -> TreeSummary:
    """Counts what a folder holds, without following links."""
    folders = links = others = 0
    sizes: list[int] = []
    pending = [os.fsencode(root)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    links += 1
                elif entry.is_dir(follow_symlinks=False):
                    folders += 1
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    sizes.append(entry.stat(follow_symlinks=False).st_size)
                else:
                    others += 1
    return TreeSummary(len(sizes), folders, links, others, sum(sizes), max(sizes, default=0))


def _type_of(status: os.stat_result) -> str:
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
    }
    return kinds[stat.S_IFMT(status.st_mode)]
