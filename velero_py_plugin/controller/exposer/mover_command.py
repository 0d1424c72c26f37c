"""The argument vector of a mover, the same wherever it runs.

What a snapshot is called and tagged, so that Velero's own mover continues it: vmware-tanzu/velero v1.18.1
``pkg/uploader/kopia/snapshot.go``, ``pkg/uploader/types.go``.
"""

from __future__ import annotations

from velero_py_plugin.api.data_download import DataDownload
from velero_py_plugin.api.data_upload import DataUpload
from velero_py_plugin.api.names import ASYNC_OPERATION_ID_LABEL


def backup_arguments(upload: DataUpload, *, url: str, password_file: str, source: str) -> list[str]:
    """Arguments of the mover that fulfils a DataUpload.

    Args:
        upload: The request.
        url: Place of the repository.
        password_file: File with its password.
        source: Where the mover finds the snapshot's files.
    """
    tags = {
        ASYNC_OPERATION_ID_LABEL: upload.operation_id,
        "snapshot-requester": "snapshot-data-upload-download",
        "snapshot-uploader": "kopia",
    }
    arguments = ["mover", "backup", "--repository", url, "--password-file", password_file]
    arguments += ["--source", source, "--source-name", f"{upload.source_namespace}/{upload.source_pvc}"]
    for key, value in tags.items():
        if value:
            arguments += ["--tag", f"{key}={value}"]
    return arguments


def restore_arguments(download: DataDownload, *, url: str, password_file: str, target: str) -> list[str]:
    """Arguments of the mover that fulfils a DataDownload.

    Args:
        download: The request.
        url: Place of the repository.
        password_file: File with its password.
        target: The empty volume to fill.
    """
    arguments = ["mover", "restore", "--repository", url, "--password-file", password_file]
    arguments += ["--snapshot", download.snapshot_id, "--target", target]
    return [*arguments, "--write-sparse-files"] if download.write_sparse_files else arguments
