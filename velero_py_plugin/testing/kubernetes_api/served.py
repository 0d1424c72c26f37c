"""The resource types the embedded API serves, and how each differs from the others.

Sources: kubernetes v1.34.2 ``pkg/registry/*/strategy.go`` (conditional updates, creation by update) and
``pkg/apis/core/v1/conversion.go`` (selectable fields).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from velero_py_plugin.api import resource
from velero_py_plugin.api.resource import ResourceType
from velero_py_plugin.testing.kubernetes_api import builtin, custom, schema

CUSTOM_RESOURCE_DEFINITION: Final = ResourceType(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
READ_VERBS: Final = ("get", "list", "watch")
ALL_VERBS: Final = ("create", "delete", "get", "list", "patch", "update", "watch")

_SHORT_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "namespaces": ("ns",),
    "configmaps": ("cm",),
    "pods": ("po",),
    "persistentvolumeclaims": ("pvc",),
    "persistentvolumes": ("pv",),
    "events": ("ev",),
    "storageclasses": ("sc",),
    "volumesnapshots": ("vs",),
    "volumesnapshotcontents": ("vsc", "vscs"),
    "volumesnapshotclasses": ("vsclass", "vsclasses"),
    "backupstoragelocations": ("bsl",),
    "customresourcedefinitions": ("crd", "crds"),
}
_INVOLVED: Final = ("apiVersion", "fieldPath", "kind", "name", "namespace", "resourceVersion", "uid")
_FIELDS: Final[Mapping[ResourceType, list[str]]] = {
    resource.NAMESPACE: ["status.phase"],
    resource.SECRET: ["type"],
    resource.EVENT: ["reason", "reportingComponent", "type", *(f"involvedObject.{field}" for field in _INVOLVED)],
    resource.POD: [
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
    ],
}


@dataclasses.dataclass(frozen=True)
class ServedType:
    """One resource type of the embedded API.

    Attributes:
        resource: The type.
        schema: Schema of a custom resource; None for built-in types.
        verbs: What discovery lists and the server allows.
        short_names: Abbreviations kubectl accepts.
        fields: Field selector label -> path in the object.
        names_are_labels: Whether names are DNS labels instead of DNS subdomains.
        unconditional_update: Whether PUT works without a resourceVersion.
        create_on_update: Whether PUT of an absent object creates it.
        counts_generations: Whether ``metadata.generation`` counts changes of the desired state.
    """

    resource: ResourceType
    schema: schema.Schema | None = None
    verbs: tuple[str, ...] = ALL_VERBS
    short_names: tuple[str, ...] = ()
    fields: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    names_are_labels: bool = False
    unconditional_update: bool = False
    create_on_update: bool = False
    counts_generations: bool = False

    @property
    def singular(self) -> str:
        """``singularName`` of discovery."""
        return self.resource.kind.lower()

    def complete(self, new: dict[str, Any], old: Mapping[str, Any] | None) -> Iterator[str]:
        """Prunes the new object and fills in its defaults, in place; yields what is wrong with it."""
        if self.schema is None:
            yield from builtin.rule(self.resource)(new, old)
            return
        pruned = schema.prune(self.schema, new)
        new.clear()
        new.update(pruned)
        yield from schema.problems(self.schema, new, "", old)


def _serve(resource_type: ResourceType) -> ServedType:
    own_fields = ["metadata.name", *(["metadata.namespace"] if resource_type.namespaced else [])]
    fields = own_fields + _FIELDS.get(resource_type, [])
    is_custom = resource_type in custom.SCHEMAS
    return ServedType(
        resource_type,
        schema=custom.SCHEMAS.get(resource_type),
        short_names=_SHORT_NAMES.get(resource_type.plural, ()),
        fields={label: tuple(label.split(".")) for label in fields},
        names_are_labels=resource_type == resource.NAMESPACE,
        unconditional_update=not is_custom and resource_type != resource.LEASE,
        create_on_update=resource_type in (resource.LEASE, resource.EVENT),
        counts_generations=is_custom,
    )


DEFINITIONS: Final = dataclasses.replace(_serve(CUSTOM_RESOURCE_DEFINITION), verbs=READ_VERBS)
SERVED: Final = (*(_serve(resource_type) for resource_type in resource.ALL), DEFINITIONS)
BY_PATH: Final[Mapping[tuple[str, str, str], ServedType]] = {
    (served.resource.group, served.resource.version, served.resource.plural): served for served in SERVED
}
BY_KIND: Final[Mapping[tuple[str, str], ServedType]] = {
    (served.resource.api_version, served.resource.kind): served for served in SERVED
}


def definition(served: ServedType) -> dict[str, Any]:
    """The CustomResourceDefinition object of a custom resource, without the schema's text."""
    resource_type = served.resource
    return {
        "metadata": {"name": resource_type.group_resource},
        "spec": {
            "group": resource_type.group,
            "names": {
                "kind": resource_type.kind,
                "listKind": f"{resource_type.kind}List",
                "plural": resource_type.plural,
                "singular": served.singular,
                **({"shortNames": list(served.short_names)} if served.short_names else {}),
            },
            "scope": "Namespaced" if resource_type.namespaced else "Cluster",
            "versions": [
                {
                    "name": resource_type.version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}} if resource_type.status_subresource else {},
                }
            ],
        },
        "status": {
            "conditions": [
                {"type": kind, "status": "True", "reason": reason}
                for kind, reason in (("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted"))
            ],
            "storedVersions": [resource_type.version],
        },
    }
