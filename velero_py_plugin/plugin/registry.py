"""The actions of a plugin process: which names exist, of which kind, and the one instance behind each.

::

    errors.PermanentError
    ├─ InvalidActionError       wrong when the plugin was written: raised before Velero sees anything
    ├─ ActionNotFoundError      Velero asked for a name that is not served
    └─ ActionNotStartedError    the action's constructor raised; the next call tries again
"""

from __future__ import annotations

import dataclasses
import functools
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from velero_py_plugin import errors
from velero_py_plugin.plugin.kinds import BackupItemActionV2, RestoreItemActionV2

KINDS: Final[Mapping[type, str]] = {
    BackupItemActionV2: "BackupItemActionV2",
    RestoreItemActionV2: "RestoreItemActionV2",
}
"""Base class and Velero's word for the kind, in the order kinds are listed (velero v1.18.1
``pkg/plugin/framework/common/plugin_kinds.go``, ``pkg/plugin/framework/server.go``)."""

_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_LIMIT: Final = 253
_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_NAME_LIMIT: Final = 63


class InvalidActionError(errors.PermanentError):
    """A plugin offers something that Velero would refuse, and Velero's server ends when a plugin does that."""

    reason: ClassVar[str] = "InvalidAction"


class ActionNotFoundError(errors.PermanentError):
    """Velero called an action that this process does not serve."""

    reason: ClassVar[str] = "ActionNotFound"


class ActionNotStartedError(errors.PermanentError):
    """An action's constructor raised; the text is that of the exception, which is the cause."""

    reason: ClassVar[str] = "ActionNotStarted"


@dataclasses.dataclass(frozen=True)
class Registration:
    """One served action.

    Attributes:
        kind: The base class that says how it is called.
        name: Its full name, such as ``example.io/annotate``.
        factory: Makes the instance.
    """

    kind: type
    name: str
    factory: Callable[[], object]


class Registry:
    """Names to actions.

    An action is made when it is first called and then kept for the process' lifetime.

    Args:
        actions: Full names and, for each, a subclass of a kind or a ``functools.partial`` of one. Velero runs the
            actions of one kind in this order.

    Raises:
        InvalidActionError: A name breaks Velero's rules, or a value is not an action.
    """

    def __init__(self, actions: Mapping[str, Callable[[], Any]]) -> None:
        found = [_registration(name, factory) for name, factory in actions.items()]
        self._registrations = {
            (entry.kind, entry.name): entry for kind in KINDS for entry in found if entry.kind is kind
        }
        self._instances: dict[tuple[type, str], object] = {}
        # One lock each: an action whose constructor waits for something must not hold up the others.
        self._locks = {key: threading.Lock() for key in self._registrations}

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """Everything served: kinds in the order of ``KINDS``, names in the order they were given."""
        return tuple(self._registrations.values())

    def get(self, kind: type, name: str) -> Any:
        """Finds an action, and makes it if it is asked for the first time.

        Raises:
            ActionNotFoundError: There is no such name of this kind.
            ActionNotStartedError: The action cannot be made; a later call tries again.
        """
        key = (kind, name)
        registration = self._registrations.get(key)
        if registration is None:
            raise ActionNotFoundError(f"{KINDS[kind]} plugin: {name} was not found or has an invalid name format")
        with self._locks[key]:
            if key not in self._instances:
                try:
                    self._instances[key] = registration.factory()
                except Exception as error:
                    raise ActionNotStartedError(str(error) or type(error).__name__) from error
            instance = self._instances[key]
        if not isinstance(instance, kind):
            raise ActionNotStartedError(f"what {name} makes is not a {kind.__name__} but a {type(instance).__name__}")
        return instance


def _registration(name: str, factory: Callable[[], Any]) -> Registration:
    check_name(name)
    cls = factory.func if isinstance(factory, functools.partial) else factory
    kinds = [kind for kind in KINDS if isinstance(cls, type) and issubclass(cls, kind)]
    if len(kinds) != 1:
        known = " or ".join(kind.__name__ for kind in KINDS)
        raise InvalidActionError(f"{name}: {cls!r} is not a subclass of exactly one kind ({known})")
    missing = getattr(cls, "__abstractmethods__", ())
    if missing:
        raise InvalidActionError(f"{name}: {cls!r} lacks {', '.join(sorted(missing))}")
    return Registration(kinds[0], name, factory)


def check_name(name: str) -> None:
    """Checks an action's full name.

    The part before the slash is a DNS-1123 subdomain, as Velero demands (velero v1.18.1
    ``pkg/plugin/framework/common/server_mux.go``); the part after it is what a label key allows, because the whole name
    is the label that finds a plugin's ConfigMap.

    Raises:
        InvalidActionError: The name breaks these rules.
    """
    prefix, _, rest = name.partition("/")
    if not is_dns_subdomain(prefix):
        raise InvalidActionError(f"{name!r} does not begin with a domain name of lower-case letters and a slash")
    if not (_NAME.fullmatch(rest) and len(rest) <= _NAME_LIMIT):
        raise InvalidActionError(
            f"{name!r} does not end, after its one slash, with 1 to {_NAME_LIMIT} letters, digits, dots, dashes or "
            "underscores that begin and end with a letter or digit"
        )


def is_dns_subdomain(text: str) -> bool:
    """Whether the text is a DNS-1123 subdomain, as Kubernetes understands it."""
    return len(text) <= _SUBDOMAIN_LIMIT and _SUBDOMAIN.fullmatch(text) is not None
