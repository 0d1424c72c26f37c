"""Writing sessions: a marker blob that keeps other clients' maintenance away from packs not indexed yet.

Source: kopia v0.23.1 ``repo/content/sessions.go``. The marker is written before the first pack of a session is
uploaded and deleted after the index blobs of its last flush.
"""

from __future__ import annotations

import datetime

from velero_py_plugin.kopia import ids
from velero_py_plugin.kopia.blob import storage as blob_storage
from velero_py_plugin.kopia.codec import encryption, go_json, hashing
from velero_py_plugin.kopia.content import index_blobs


class Session:
    """One writing session.

    Args:
        now: When it starts.
    """

    def __init__(self, now: datetime.datetime) -> None:
        self.session_id = ids.new_session_id(now)
        self._started = now
        self._marker: str | None = None

    def write_marker(
        self,
        storage: blob_storage.Storage,
        hash_of: hashing.HashFunction,
        encryptor: encryption.Encryptor,
        username: str,
        hostname: str,
    ) -> None:
        """Stores the marker unless that was done; not to be called from two threads at once."""
        if self._marker is not None:
            return
        started = go_json.format_time(int(self._started.timestamp() * 1_000_000) * 1000)
        plaintext = go_json.dumps(
            {
                "id": self.session_id,
                "startTime": started,
                "checkpointTime": started,
                "username": username,
                "hostname": hostname,
            }
        )
        blob_id = f"s{hash_of(plaintext).hex()}-{self.session_id}"
        storage.put(blob_id, encryptor.seal(plaintext, index_blobs.blob_iv(blob_id)))
        self._marker = blob_id

    def delete_marker(self, storage: blob_storage.Storage) -> None:
        """Removes the marker; everything the session wrote is indexed."""
        if self._marker is not None:
            storage.delete(self._marker)
            self._marker = None
