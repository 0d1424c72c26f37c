"""BackupStorageLocation: where backups are kept, as far as a repository needs to know.

Sources: vmware-tanzu/velero v1.18.1 ``pkg/apis/velero/v1/backup_storage_location_types.go``,
``pkg/repository/config/config.go`` (names of providers).
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping
from typing import Any, Final, Self

from velero_py_plugin.api.object_meta import ObjectMeta

READ_ONLY: Final = "ReadOnly"


@dataclasses.dataclass(frozen=True)
class SecretKey:
    """One key of a Secret in the namespace of the object that names it.

    Attributes:
        name: Name of the Secret.
        key: Key of its data.
    """

    name: str
    key: str

    @classmethod
    def from_object(cls, selector: Mapping[str, Any] | None) -> Self | None:
        """Reads a ``SecretKeySelector``; ``None`` when it is absent or names nothing."""
        if not selector or not selector.get("name"):
            return None
        return cls(name=selector["name"], key=selector.get("key") or "")


@dataclasses.dataclass(frozen=True)
class BackupStorageLocation:
    """One BackupStorageLocation.

    Attributes:
        meta: Metadata.
        provider: Provider with its domain: ``velero.io/aws``.
        bucket: Bucket; ``config["bucket"]`` where ``objectStorage`` is absent.
        prefix: Prefix inside the bucket, without slashes at its ends; from ``config`` likewise.
        config: Settings of the provider.
        credential: Secret with the provider's credentials file; ``None`` means the process's own identity.
        ca_certificate: PEM text of the certificates that may sign the store's; empty means the system's.
        ca_certificate_secret: Where that PEM text is kept instead (Velero 1.18).
        access_mode: ``ReadWrite`` or ``ReadOnly``.
    """

    meta: ObjectMeta
    provider: str = ""
    bucket: str = ""
    prefix: str = ""
    config: Mapping[str, str] = dataclasses.field(default_factory=dict)
    credential: SecretKey | None = None
    ca_certificate: str = ""
    ca_certificate_secret: SecretKey | None = None
    access_mode: str = "ReadWrite"

    @classmethod
    def from_object(cls, resource: Mapping[str, Any]) -> Self:
        """Reads an object; whatever is absent keeps its default."""
        spec = resource.get("spec") or {}
        storage = spec.get("objectStorage")
        config = dict(spec.get("config") or {})
        place = storage if storage else config
        provider = spec.get("provider") or ""
        return cls(
            meta=ObjectMeta.from_object(resource),
            provider=provider if "/" in provider or not provider else f"velero.io/{provider}",
            bucket=place.get("bucket") or "",
            prefix=(place.get("prefix") or "").strip("/"),
            config=config,
            credential=SecretKey.from_object(spec.get("credential")),
            ca_certificate=_pem((storage or {}).get("caCert")),
            ca_certificate_secret=SecretKey.from_object((storage or {}).get("caCertRef")),
            access_mode=spec.get("accessMode") or "ReadWrite",
        )


def _pem(encoded: str | None) -> str:
    """Decodes ``caCert``; the API server's schema (format: byte) lets nothing but base64 pass."""
    try:
        return base64.b64decode(encoded or "").decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
