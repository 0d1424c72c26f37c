"""Where the API server is and how this process identifies itself: kubeconfig file or Pod environment.

Sources: kubernetes v1.34.2 ``client-go/tools/clientcmd/api/v1/types.go`` (the file's fields and how several files
merge), ``client-go/rest/config.go`` (``InClusterConfig``), ``client-go/pkg/apis/clientauthentication/v1``
(credential plugins).
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Final

from velero_py_plugin.kube import errors

SERVICE_ACCOUNT_DIRECTORY: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_EXEC_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")


@dataclasses.dataclass(frozen=True)
class ExecPlugin:
    """A command that prints an ``ExecCredential`` object.

    Attributes:
        command: The executable, absolute or looked up in PATH.
        args: Its arguments.
        env: Variables added to this process's environment.
        api_version: ``apiVersion`` of the object it reads and prints.
        provide_cluster_info: Whether it is told the server's address and certificate authority.
        install_hint: What the kubeconfig's author says about a missing command.
    """

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    api_version: str = _EXEC_VERSIONS[0]
    provide_cluster_info: bool = False
    install_hint: str = ""


@dataclasses.dataclass(frozen=True)
class KubeConfig:
    """One API server and one identity.

    Attributes:
        server: Base URL.
        namespace: Namespace for what names none.
        token: Bearer token.
        token_file: File with the bearer token; read again when it changes.
        exec_plugin: Command that supplies the bearer token.
        ca_file: File with the certificates that may sign the server's; empty means the system's.
        ca_data: The same as PEM text; wins over ``ca_file``.
        client_certificate_file: File with the client certificate.
        client_key_file: File with its key.
        client_certificate_data: Client certificate as PEM text; wins over the file.
        client_key_data: Its key as PEM text; wins over the file.
        tls_server_name: Name expected in the server's certificate, if not the URL's host.
        insecure_skip_tls_verify: Accept any certificate.
    """

    server: str
    namespace: str = "default"
    token: str = dataclasses.field(default="", repr=False)
    token_file: str = ""
    exec_plugin: ExecPlugin | None = None
    ca_file: str = ""
    ca_data: str = dataclasses.field(default="", repr=False)
    client_certificate_file: str = ""
    client_key_file: str = ""
    client_certificate_data: str = dataclasses.field(default="", repr=False)
    client_key_data: str = dataclasses.field(default="", repr=False)
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False


def load_config(environ: Mapping[str, str]) -> KubeConfig:
    """Finds the API server the way kubectl does, and inside a Pod through its service account.

    ``KUBECONFIG`` (one or more files) comes first, then ``~/.kube/config`` where it exists, then the service account.

    Args:
        environ: The process's environment.

    Returns:
        The server and the identity of the current context, or of the Pod.

    Raises:
        KubeConfigError: Nothing describes a server, or what does is unreadable, incomplete or asks for a method of
            authentication that is not supported.
    """
    if environ.get("KUBECONFIG"):
        paths = [path for path in environ["KUBECONFIG"].split(os.pathsep) if path]
        existing = [path for path in paths if os.path.exists(path)]
        if not existing:
            raise errors.KubeConfigError(f"KUBECONFIG names {environ['KUBECONFIG']}, which does not exist.")
        return _from_files(existing)
    home_file = os.path.join(environ.get("HOME", ""), ".kube", "config")
    if environ.get("HOME") and os.path.exists(home_file):
        return _from_files([home_file])
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return _from_service_account(environ)
    raise errors.KubeConfigError(
        "No Kubernetes API server is configured: set KUBECONFIG, create ~/.kube/config, or run inside a Pod."
    )


def _from_service_account(environ: Mapping[str, str]) -> KubeConfig:
    host = environ["KUBERNETES_SERVICE_HOST"]
    port = environ.get("KUBERNETES_SERVICE_PORT", "443")
    token_file = os.path.join(SERVICE_ACCOUNT_DIRECTORY, "token")
    if not os.path.exists(token_file):
        raise errors.KubeConfigError(
            f"The Pod has no service account token at {token_file}: is automountServiceAccountToken switched off?"
        )
    namespace_file = pathlib.Path(SERVICE_ACCOUNT_DIRECTORY, "namespace")
    return KubeConfig(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=namespace_file.read_text().strip() if namespace_file.exists() else "default",
        token_file=token_file,
        ca_file=os.path.join(SERVICE_ACCOUNT_DIRECTORY, "ca.crt"),
    )


def _from_files(paths: list[str]) -> KubeConfig:
    """Merges kubeconfig files (the first that sets something wins) and reads the current context."""
    sections: dict[str, dict[str, dict[str, Any]]] = {"clusters": {}, "users": {}, "contexts": {}}
    current = ""
    for path in paths:
        document = _read_yaml(path)
        current = current or document.get("current-context") or ""
        for section, entries in sections.items():
            for entry in document.get(section) or []:
                value = entry.get(section.removesuffix("s")) if isinstance(entry, dict) else None
                if not isinstance(value, dict) or not isinstance(entry.get("name"), str):
                    raise errors.KubeConfigError(f"The kubeconfig {path} has a malformed entry among its {section}.")
                # File names inside a kubeconfig are relative to its own folder.
                entries.setdefault(entry["name"], {**value, "_folder": os.path.dirname(os.path.abspath(path))})
    where = ":".join(paths)
    if not current:
        raise errors.KubeConfigError(f"The kubeconfig {where} has no current-context: run kubectl config use-context.")
    context = _entry(sections, "contexts", current, where)
    cluster = _entry(sections, "clusters", context.get("cluster", ""), where)
    user = _entry(sections, "users", context["user"], where) if context.get("user") else {"_folder": ""}
    return _build(context, cluster, user, where)


def _entry(sections: dict[str, dict[str, dict[str, Any]]], section: str, name: str, where: str) -> dict[str, Any]:
    entry = sections[section].get(name)
    if entry is None:
        raise errors.KubeConfigError(f'The kubeconfig {where} has no "{name}" among its {section}.')
    return entry


def _build(context: dict[str, Any], cluster: dict[str, Any], user: dict[str, Any], where: str) -> KubeConfig:
    if not cluster.get("server"):
        raise errors.KubeConfigError(f"The cluster of the current context in kubeconfig {where} has no server.")
    for holder, keys in ((cluster, ("proxy-url",)), (user, ("auth-provider", "username", "as", "as-uid"))):
        for key in keys:
            if holder.get(key):
                raise errors.KubeConfigError(
                    f'The kubeconfig {where} uses "{key}", which is not supported: '
                    "use a token, a client certificate or a credential plugin (exec)."
                )
    return KubeConfig(
        server=cluster["server"],
        namespace=context.get("namespace") or "default",
        token=user.get("token") or "",
        token_file=_path(user, "tokenFile"),
        exec_plugin=_exec_plugin(user["exec"], user["_folder"], where) if user.get("exec") else None,
        ca_file=_path(cluster, "certificate-authority"),
        ca_data=_decoded(cluster, "certificate-authority-data", where),
        client_certificate_file=_path(user, "client-certificate"),
        client_key_file=_path(user, "client-key"),
        client_certificate_data=_decoded(user, "client-certificate-data", where),
        client_key_data=_decoded(user, "client-key-data", where),
        tls_server_name=cluster.get("tls-server-name") or "",
        insecure_skip_tls_verify=bool(cluster.get("insecure-skip-tls-verify")),
    )


def _exec_plugin(section: dict[str, Any], folder: str, where: str) -> ExecPlugin:
    api_version = section.get("apiVersion")
    if api_version not in _EXEC_VERSIONS:
        raise errors.KubeConfigError(
            f"The credential plugin of kubeconfig {where} speaks {api_version}, not {' or '.join(_EXEC_VERSIONS)}."
        )
    if section.get("interactiveMode") == "Always":
        raise errors.KubeConfigError(
            f"The credential plugin of kubeconfig {where} wants to ask a person, which is not supported."
        )
    command = section.get("command") or ""
    if os.sep in command:
        command = os.path.join(folder, command)
    return ExecPlugin(
        command=command,
        args=tuple(section.get("args") or ()),
        env={entry["name"]: entry["value"] for entry in section.get("env") or ()},
        api_version=api_version,
        provide_cluster_info=bool(section.get("provideClusterInfo")),
        install_hint=section.get("installHint") or "",
    )


def _path(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key) or ""
    return os.path.join(entry["_folder"], value) if value else ""


def _decoded(entry: dict[str, Any], key: str, where: str) -> str:
    try:
        return base64.b64decode(entry.get(key) or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise errors.KubeConfigError(f'"{key}" in kubeconfig {where} is not base64 of PEM text.') from error


def _read_yaml(path: str) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - a plugin in a Pod never reads a kubeconfig and should not pay for the import

    try:
        with open(path, encoding="utf-8") as file:
            document = yaml.safe_load(file)
    except OSError as error:
        raise errors.KubeConfigError(f"The kubeconfig {path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError):
        # The parser's own message may quote the line, and with it a token.
        raise errors.KubeConfigError(f"The kubeconfig {path} is not YAML.") from None
    if not isinstance(document, dict):
        raise errors.KubeConfigError(f"The kubeconfig {path} is empty or not a mapping.")
    return document
