"""What an index knows about one content."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a content lies and how it was stored (kopia v0.23.1 ``repo/content/index/info.go``).

    Attributes:
        key: Prefix byte (0 for none) and raw hash.
        timestamp: Seconds since 1970 when this entry was made; the newest entry of a content decides.
        pack_blob_id: The pack that holds the content.
        pack_offset: First byte of the sealed content in the pack.
        packed_length: Bytes of the sealed content.
        original_length: Bytes of the plaintext.
        deleted: Whether the content is marked as deleted; it can still be read until it is dropped.
        format_version: Repository format version at the time of writing.
        compression_id: Compression header id, 0 for none.
    """

    key: bytes
    timestamp: int
    pack_blob_id: str
    pack_offset: int
    packed_length: int
    original_length: int
    deleted: bool = False
    format_version: int = 3
    compression_id: int = 0
