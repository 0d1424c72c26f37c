"""The bearer token of each request: fixed, in a file that is rotated, or printed by a command."""

from __future__ import annotations

import base64
import datetime
import json
import os
import pathlib
import subprocess
import threading
import time
from typing import Any, Protocol

from velero_py_plugin.kube import config, errors

_EXEC_TIMEOUT = 60.0
_EXPIRY_MARGIN = 10.0


class TokenSource(Protocol):
    """Supplies the bearer token; safe to use from several threads."""

    def token(self) -> str:
        """The token to send now; empty when none is sent."""
        ...

    def renew(self) -> bool:
        """Forgets a token the server refused.

        Returns:
            Whether another token may now be had.
        """
        ...


def token_source(kube_config: config.KubeConfig) -> TokenSource:
    """Chooses by what is set: command, then file, then fixed token (client-go's order of precedence)."""
    if kube_config.exec_plugin is not None:
        return _ExecToken(kube_config.exec_plugin, kube_config)
    if kube_config.token_file:
        return _FileToken(kube_config.token_file)
    return _FixedToken(kube_config.token)


class _FixedToken:
    def __init__(self, token: str) -> None:
        self._token = token

    def token(self) -> str:
        return self._token

    def renew(self) -> bool:
        return False


class _FileToken:
    """A service account token: the kubelet replaces the file before the token expires."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._identity: tuple[int, ...] = ()
        self._token = ""

    def token(self) -> str:
        try:
            status = os.stat(self._path)
            identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            with self._lock:
                if identity != self._identity:
                    self._token = pathlib.Path(self._path).read_text(encoding="utf-8").strip()
                    self._identity = identity
                return self._token
        except (OSError, UnicodeDecodeError) as error:
            raise errors.KubeConfigError(f"The token file {self._path} cannot be read: {error}.") from error

    def renew(self) -> bool:
        with self._lock:
            before, self._identity = self._token, ()
        return self.token() != before


class _ExecToken:
    """Runs the credential plugin at first use, when its token expires, and when the server refuses the token."""

    def __init__(self, plugin: config.ExecPlugin, kube_config: config.KubeConfig) -> None:
        self._plugin = plugin
        self._config = kube_config
        self._lock = threading.Lock()
        self._token = ""
        self._expires = 0.0

    def token(self) -> str:
        with self._lock:
            if not self._token or time.time() > self._expires:
                self._token, self._expires = self._run()
            return self._token

    def renew(self) -> bool:
        with self._lock:
            self._token = ""
        return True

    def _run(self) -> tuple[str, float]:
        name = self._plugin.command
        environment = {**os.environ, **self._plugin.env, "KUBERNETES_EXEC_INFO": json.dumps(self._exec_info())}
        try:
            done = subprocess.run(
                [name, *self._plugin.args],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=_EXEC_TIMEOUT,
                check=True,
            )
        except FileNotFoundError as error:
            hint = f" {self._plugin.install_hint}" if self._plugin.install_hint else ""
            raise errors.KubeConfigError(f'The credential plugin "{name}" is not installed.{hint}') from error
        except subprocess.CalledProcessError as error:
            raise errors.KubeConfigError(
                f'The credential plugin "{name}" ended with code {error.returncode}; what it says is on standard error.'
            ) from None  # the cause holds the output, which may hold a token
        except (OSError, subprocess.TimeoutExpired):
            raise errors.KubeConfigError(
                f'The credential plugin "{name}" could not be run or did not end within {_EXEC_TIMEOUT:.0f} seconds.'
            ) from None
        return self._read(done.stdout)

    def _exec_info(self) -> dict[str, Any]:
        spec: dict[str, Any] = {"interactive": False}
        if self._plugin.provide_cluster_info:
            spec["cluster"] = {
                "server": self._config.server,
                "tls-server-name": self._config.tls_server_name,
                "insecure-skip-tls-verify": self._config.insecure_skip_tls_verify,
                "certificate-authority-data": _ca_base64(self._config),
            }
        return {"apiVersion": self._plugin.api_version, "kind": "ExecCredential", "spec": spec}

    def _read(self, output: bytes) -> tuple[str, float]:
        try:
            status = json.loads(output)["status"]
            token = status.get("token") or ""
            expires = status.get("expirationTimestamp")
            until = datetime.datetime.fromisoformat(expires).timestamp() - _EXPIRY_MARGIN if expires else float("inf")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise errors.KubeConfigError(
                f'The credential plugin "{self._plugin.command}" printed something else than an ExecCredential.'
            ) from None
        if not token:
            raise errors.KubeConfigError(
                f'The credential plugin "{self._plugin.command}" gives no token; client certificates are not supported.'
            )
        return token, until


def _ca_base64(kube_config: config.KubeConfig) -> str:
    if kube_config.ca_data:
        return base64.b64encode(kube_config.ca_data.encode()).decode()
    if kube_config.ca_file:
        return base64.b64encode(pathlib.Path(kube_config.ca_file).read_bytes()).decode()
    return ""
