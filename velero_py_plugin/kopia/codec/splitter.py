"""Where a stream of bytes is cut into contents.

Source: kopia v0.23.1 ``repo/splitter``, github.com/chmduquesne/rollinghash v4.0.0 ``buzhash32``. A chunk ends at the
first byte k, counted from the chunk's start, where k >= min and the low bits of the rolling hash over the last 64 bytes
are all zero, or at k == max. Because min is far larger than the window, a cut depends on the chunk's own bytes alone,
and nothing before ``min - 64`` needs hashing.

The rolling hash of a window of w bytes ending at i is H_w[i]; two neighbouring windows combine to one twice as long:
H_2w[i] = rotl(H_w[i - w], w) xor H_w[i]. Six doublings give all 64-byte windows of a block at once, which numpy does
some sixty times faster than a loop over bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from velero_py_plugin.kopia import errors

DEFAULT_SPLITTER: Final = "DYNAMIC-4M-BUZHASH"
_WINDOW: Final = 64
_BLOCK: Final = 64 << 10  # positions hashed at once: a block's arrays stay in the second-level cache

_SIZES: Final = {
    f"{n}{unit}": n << shift
    for n, unit, shift in (
        (128, "K", 10),
        (256, "K", 10),
        (512, "K", 10),
        (1, "M", 20),
        (2, "M", 20),
        (4, "M", 20),
        (8, "M", 20),
    )
}

# Go math/rand seeded with 1, successive low 32 bits of Int63, values already used skipped.
_TABLE: Final[npt.NDArray[np.uint32]] = np.frombuffer(
    bytes.fromhex("""
    07fcfd52 5f3f164f 6695721d 7b4d7c03 49c6e2d1 0d1d68d8 7916001e 22c4d294 392907a0 189deb99 f3875d04 95e94627
    ba517936 83c471d4 7cb3ad0b a42655d9 7c4e0b68 d4491d1b 25632186 a9d78d73 169c1121 bb158644 b68e6a3f 759805f5
    2cdf5b8a 57d29245 c5d6d268 6b83d0e2 7674cb74 b068d9db bb9457d8 a15d523b 794209ff 9da1d7eb 5a25e0cb f840ec4b
    36d4ff9b f4a5ee3b 5ad145f4 f6740304 3f71f8cb 91018d7c fccae224 b186b51f 7d9e8fbc 93f93f33 f63a5b6f 19476c36
    bc897d06 169873f5 724c7af1 581eeb39 2257bb7d 6f269a28 be8e9981 7039374b 25416fed ded7e411 6678e7aa 244fcd36
    56aa6b86 de4561ad 3e99b0a8 bed80a3a e58348b0 af63e58d 406aec9d c233f007 a5ead0bd 050143a6 738b6829 3699caf3
    967cd710 06f665a6 25fd3d7f 0fd6e479 26fbf29b 16de4c35 2bf3394b 4af864ba 1cb9e6c6 41439089 69a39144 c34f182d
    421657ff f9fc6568 8b02c917 6c9c64b7 83d17909 ea3d4ca5 af635d47 7fc78769 be14186f 3539b1ea e9174548 c051e18a
    07b73658 29ec300c a250bf34 a7ed5d97 fe3dea79 b8b352f7 c9b344e9 8e5f0475 1941e52a 2694763d 6b40eabc 8485d68b
    336eacca 4399a363 67149b9c ae10a901 5a5ffefb 563b26de 6f00f02b 9f06397d 545836c4 31d6416b 12f4128d 752f33ff
    4a305605 0c8dc214 72521a90 8eb3e4a1 83efc6c6 090ec04f c1540864 ec2c8aaa 70ab53ba 38d3b494 878d4063 a317ae3f
    3cb62f07 f360412c 4ffbf3a9 22d554b4 3f190476 0796a710 f5c353cf 04f59bb7 2d230176 e2d6a9ce 3f1d7427 afd915bb
    b01aa47d cde2c269 7417bf38 1e094f9a 55ece0ea cb94539b 13d346b5 54e0c0c1 6db30e37 dc02b390 a6e222f5 e2f8c1fe
    2e166bdf 67588a74 21898f34 4c330f1d 19af53ba 70658b94 133c9673 4efeeadd 0f212551 070f0914 6f241c57 f13e41b7
    3be70cb0 f4b6f47f 20f31127 6551cb89 289cbd2c 8946f23d 40a79c3b 03c6d982 0365790c 0cf52517 0bb131e8 3da5475c
    139efcca bcd44eb4 a54af747 b73c32ed 9f6c47ac e8ba8f22 54043a66 3b0a7f20 b4926431 e17c02d5 8f0d2558 014fbff2
    7f803594 79b76fbe 33fe2656 792c8ee8 6b41292d fdff9c32 82093298 59483870 b2d5a113 2dd96e5a 5b8e56a9 ebd9dda9
    04f9ce92 cb440950 a67e52b1 49f6d261 92417fc3 1c3b6bd9 b027b7e0 1f765a41 44c9ab40 45d99121 fd7a84af 99b75788
    e3abff4a a88aa67f 736e41cc 9cbcbe5e 7b3ccebc e1b7fa93 315ae6af 9cced2e2 19ea0f2f a9770722 84a6bfdc 88f03f07
    a44a03a4 27a6b885 b580c8ba 018153da b648e604 51180278 893a310f 728f5f4c 37f5198b 3cc0ea9b e39d02db 13883142
    ca599392 c12d154e c176163d 5c92e2b8 f9f95ede b802bdfc 8a928585 dca6e10b 887953e8 48b9e962 e533e9a3 5e0ce6e5
    1dba77ae c8214b8a 53b428d7 4cf20a65
"""),
    dtype=">u4",
).astype(np.uint32)


class Splitter(Protocol):
    """Decides chunk lengths."""

    @property
    def max_chunk(self) -> int:
        """Bytes of the longest chunk."""
        ...

    def cut(self, data: memoryview) -> int:
        """Finds the length of the first chunk.

        Args:
            data: The stream from the chunk's first byte on: ``max_chunk`` bytes, or fewer when the stream ends there.

        Returns:
            Bytes in the chunk; all of ``data`` when no boundary is found.
        """
        ...


@dataclasses.dataclass(frozen=True)
class FixedSplitter:
    """Chunks of one size, the rest last."""

    max_chunk: int

    def cut(self, data: memoryview) -> int:
        """See ``Splitter.cut``."""
        return min(len(data), self.max_chunk)


@dataclasses.dataclass(frozen=True)
class BuzhashSplitter:
    """Content-defined chunks around an average size.

    Attributes:
        average: Bytes, a power of two; chunks are between half and twice of it.
    """

    average: int

    @property
    def max_chunk(self) -> int:
        """Bytes of the longest chunk."""
        return 2 * self.average

    def cut(self, data: memoryview) -> int:
        """See ``Splitter.cut``."""
        end = min(len(data), self.max_chunk)
        mask = np.uint32(self.average - 1)
        position = self.average // 2  # the shortest chunk
        window_bytes = np.frombuffer(data, dtype=np.uint8)
        scratch = np.empty((3, _BLOCK + _WINDOW), np.uint32)
        while position <= end:
            last = min(position + _BLOCK, end + 1)
            hashes = window_hashes(window_bytes[position - _WINDOW : last - 1], scratch)
            hits = np.flatnonzero((hashes & mask) == 0)
            if hits.size:
                return position + int(hits[0])
            position = last
        return end


def window_hashes(data: npt.NDArray[np.uint8], scratch: npt.NDArray[np.uint32] | None = None) -> npt.NDArray[np.uint32]:
    """Computes the buzhash of every 64-byte window.

    Args:
        data: n bytes, at least 64.
        scratch: Three rows of at least n words to work in, so that a caller with many blocks allocates once: fresh
            memory for every step costs more than the arithmetic.

    Returns:
        n - 63 hashes, the first over ``data[0:64]``; a view of ``scratch``.
    """
    count = len(data)
    rows = np.empty((3, count), np.uint32) if scratch is None else scratch
    hashes, rolled, shifted = rows[0], rows[1], rows[2]
    np.take(_TABLE, data, out=hashes[:count], mode="clip")
    for width in (1, 2, 4, 8, 16):
        longer = count - width
        np.left_shift(hashes[:longer], np.uint32(width), out=rolled[:longer])
        np.right_shift(hashes[:longer], np.uint32(32 - width), out=shifted[:longer])
        np.bitwise_or(rolled[:longer], shifted[:longer], out=rolled[:longer])
        np.bitwise_xor(rolled[:longer], hashes[width:count], out=rolled[:longer])
        hashes, rolled, count = rolled, hashes, longer
    longer = count - 32
    result: npt.NDArray[np.uint32] = rolled[:longer]
    np.bitwise_xor(hashes[:longer], hashes[32:count], out=result)  # a rotation by 32 changes nothing
    return result


def splitter(name: str) -> Splitter:
    """Finds a splitter by its name in the repository format.

    Raises:
        UnsupportedFormatError: The name is not known.
    """
    name = {"": "FIXED-4M", "FIXED": "FIXED-4M", "DYNAMIC": DEFAULT_SPLITTER}.get(name, name)
    kind, _, rest = name.partition("-")
    size, _, algorithm = rest.partition("-")
    if kind == "FIXED" and size in _SIZES and not algorithm:
        return FixedSplitter(_SIZES[size])
    if kind == "DYNAMIC" and size in _SIZES and algorithm == "BUZHASH":
        return BuzhashSplitter(_SIZES[size])
    raise errors.UnsupportedFormatError(f"the repository uses the splitter {name!r}, which is not supported")


def split(read_into: Callable[[memoryview], int], how: Splitter) -> Iterator[bytes]:
    """Cuts a stream into chunks.

    Args:
        read_into: Fills a buffer and returns the bytes it put there, 0 at the end of the stream.
        how: Decides the cuts.

    Yields:
        The chunks in order; nothing for an empty stream.
    """
    buffer = memoryview(bytearray(2 * how.max_chunk))
    start = end = 0
    ended = False
    while True:
        while not ended and end - start < how.max_chunk:
            if end == len(buffer):
                buffer[: end - start] = bytes(buffer[start:end])
                start, end = 0, end - start
            count = read_into(buffer[end:])
            ended = count == 0
            end += count
        if start == end:
            return
        length = how.cut(buffer[start : min(end, start + how.max_chunk)])
        yield bytes(buffer[start : start + length])
        start += length
