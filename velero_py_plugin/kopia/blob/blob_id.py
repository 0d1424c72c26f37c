"""The names a blob may have."""

from __future__ import annotations

import re

from velero_py_plugin.kopia import errors

# Every name that kopia gives a blob fits (v0.23.1, repo/content, internal/epoch, repo/format); what could leave a
# folder does not.
_BLOB_ID = re.compile(r"(?!.*\.\.)[0-9A-Za-z_-][0-9A-Za-z._-]{0,511}", re.ASCII)


def is_blob_id(text: str) -> bool:
    """Tells whether ``text`` can be the name of a blob: letters, digits, ``.``, ``_`` and ``-``, never ``..``."""
    return _BLOB_ID.fullmatch(text) is not None


def check_blob_id(blob_id: str) -> None:
    """Refuses a name that no blob can have, before it becomes part of a path or an object key.

    Names of packs are read out of indexes, which other programs write: one with ``/`` or ``..`` would reach beyond the
    repository.

    Raises:
        CorruptRepositoryError: The name is not one.
    """
    if not is_blob_id(blob_id):
        raise errors.CorruptRepositoryError(
            f"{blob_id[:80]!r} cannot be the name of a blob; the repository is damaged."
        )
