"""HTTP to one API server: connections, credentials, bounded retries, failure answers as errors.

What is tried again, after kubernetes v1.34.2 ``client-go/rest/with_retry.go`` and ``urlbackoff.go``: an answer 429, or
5xx with ``Retry-After``, whatever the method (the server says it did nothing); a connection that was never made,
whatever the method; a broken connection or any 5xx only where sending twice does no harm.
"""

from __future__ import annotations

import dataclasses
import json
import os
import ssl
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import urllib3
from urllib3 import exceptions

import velero_py_plugin
from velero_py_plugin import errors as root_errors
from velero_py_plugin.kube import config, credential, errors

MERGE_PATCH: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 4.0
_CONNECTIONS: Final = 32


@dataclasses.dataclass(frozen=True)
class Request:
    """One call.

    Attributes:
        method: HTTP method.
        path: Path below the server's base URL, already quoted.
        query: Query parameters; empty values are left out.
        body: JSON value to send.
        content_type: Media type of the body.
        repeatable: Whether sending it twice does no harm.
    """

    method: str
    path: str
    query: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: Any = None
    content_type: str = _JSON
    repeatable: bool = True


class Transport:
    """Sends requests to one API server; safe to use from several threads.

    Args:
        kube_config: Server and identity.
        timeout: Seconds to wait for a connection, and for each answer.
        retry_seconds: For how long after the first try another one may start.
    """

    def __init__(self, kube_config: config.KubeConfig, *, timeout: float, retry_seconds: float) -> None:
        self.server: Final = kube_config.server.rstrip("/")
        self._base_path = urlsplit(self.server).path
        self._timeout = timeout
        self._retry_seconds = retry_seconds
        self._tokens = credential.token_source(kube_config)
        self._pool = _connection_pool(kube_config, timeout)
        self._user_agent = f"velero-py-plugin/{velero_py_plugin.__version__}"

    def call(self, request: Request) -> dict[str, Any]:
        """Sends a request and reads the whole answer.

        Returns:
            The JSON object of the answer.

        Raises:
            errors.Error: One of :mod:`velero_py_plugin.kube.errors`.
        """
        response = self._send(request, self._timeout, preload=True)
        return self._object(response.data)

    def stream(self, request: Request, *, idle_seconds: float) -> Iterator[dict[str, Any]]:
        """Sends a request and yields the JSON objects of the answer, one per line, as they arrive.

        Ends where the server ends it, and where the connection breaks or stays silent for ``idle_seconds``; an
        incomplete last line is dropped.

        Raises:
            errors.Error: One of :mod:`velero_py_plugin.kube.errors`.
        """
        response = self._send(request, idle_seconds, preload=False)
        try:
            rest = b""
            for chunk in response.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield self._object(line)
        except exceptions.HTTPError:
            return
        finally:
            response.close()

    def close(self) -> None:
        """Closes the idle connections."""
        self._pool.close()

    def _send(self, request: Request, read_timeout: float, *, preload: bool) -> urllib3.BaseHTTPResponse:
        """Sends until there is a success, a final failure, or no time left."""
        deadline = time.monotonic() + self._retry_seconds
        delay = _FIRST_DELAY
        renewed = False
        while True:
            failure: root_errors.Error
            wait = delay
            try:
                response = self._send_once(request, read_timeout, preload=preload)
            except (exceptions.HTTPError, OSError) as error:
                failure = self._connection_error(error)
                again = request.repeatable or isinstance(
                    error, (exceptions.NewConnectionError, exceptions.ConnectTimeoutError)
                )
                again = again and not isinstance(error, (exceptions.SSLError, ssl.SSLError))
            else:
                if response.status < 300:
                    return response
                asked = _retry_after(response)
                failure = self._failure(request, response)
                again = response.status == 429 or (response.status >= 500 and (request.repeatable or asked is not None))
                wait = delay if asked is None else asked
                if response.status == 401 and not renewed:
                    renewed, again, wait = True, self._tokens.renew(), 0.0
            if not again or time.monotonic() + wait > deadline:
                raise failure
            time.sleep(wait)
            delay = min(delay * 2, _LONGEST_DELAY)

    def _send_once(self, request: Request, read_timeout: float, *, preload: bool) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": _JSON, "User-Agent": self._user_agent}
        token = self._tokens.token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        body = None
        if request.body is not None:
            headers["Content-Type"] = request.content_type
            body = json.dumps(request.body, separators=(",", ":")).encode()
        query = urlencode({key: value for key, value in request.query.items() if value})
        return self._pool.urlopen(
            request.method,
            f"{self._base_path}{request.path}{'?' if query else ''}{query}",
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            timeout=urllib3.Timeout(connect=self._timeout, read=read_timeout),
            preload_content=preload,
        )

    def _failure(self, request: Request, response: urllib3.BaseHTTPResponse) -> root_errors.Error:
        """Reads a failure answer; gives its connection back."""
        try:
            text = response.data
        except exceptions.HTTPError:
            text = b""
        try:
            status = json.loads(text)
        except ValueError:
            status = None
        if not isinstance(status, dict) or status.get("kind") != "Status":
            status = {}
        if response.status == 404 and not (status.get("details") or {}).get("name"):
            # Not an object is missing but the path: a Status without a name for built-in groups, else plain text.
            return errors.TypeNotServedError(
                f"The API server {self.server} does not serve {request.path}: is a CustomResourceDefinition missing?"
            )
        return errors.from_status(response.status, status, server=self.server)

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise errors.ApiUnavailableError(f"{self.server} does not answer like a Kubernetes API server.")
        return value

    def _connection_error(self, error: Exception) -> root_errors.Error:
        return errors.ApiUnavailableError(f"The API server {self.server} cannot be reached: {error}")


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """Seconds the server asks to wait; the API server sends whole seconds, never a date."""
    try:
        return max(0.0, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None


def _connection_pool(kube_config: config.KubeConfig, timeout: float) -> urllib3.HTTPConnectionPool:
    parts = urlsplit(kube_config.server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.KubeConfigError(f"The API server's address {kube_config.server} is not an http or https URL.")
    if parts.scheme == "http":
        return urllib3.HTTPConnectionPool(parts.hostname, parts.port or 80, timeout=timeout, maxsize=_CONNECTIONS)
    if kube_config.insecure_skip_tls_verify:
        # The person decided it in the kubeconfig; one warning per request would only bury the log.
        urllib3.disable_warnings(exceptions.InsecureRequestWarning)
    return urllib3.HTTPSConnectionPool(
        parts.hostname,
        parts.port or 443,
        timeout=timeout,
        maxsize=_CONNECTIONS,
        ssl_context=_tls_context(kube_config),
        server_hostname=kube_config.tls_server_name or None,
        assert_hostname=kube_config.tls_server_name or None,
    )


def _tls_context(kube_config: config.KubeConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=None if kube_config.ca_data else kube_config.ca_file or None, cadata=kube_config.ca_data or None
        )
        if kube_config.insecure_skip_tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        _load_client_certificate(context, kube_config)
    except (OSError, ssl.SSLError) as error:
        raise errors.KubeConfigError(f"The certificates for {kube_config.server} cannot be loaded: {error}") from error
    return context


def _load_client_certificate(context: ssl.SSLContext, kube_config: config.KubeConfig) -> None:
    if not kube_config.client_certificate_data:
        if kube_config.client_certificate_file:
            context.load_cert_chain(kube_config.client_certificate_file, kube_config.client_key_file or None)
        return
    # OpenSSL reads certificate chains from files only; the folder is readable by this user alone and lives for a call.
    with tempfile.TemporaryDirectory(prefix="velero-py-plugin-") as folder:
        names = (os.path.join(folder, "client.crt"), os.path.join(folder, "client.key"))
        key = kube_config.client_key_data
        if not key and kube_config.client_key_file:
            with open(kube_config.client_key_file, encoding="utf-8") as file:
                key = file.read()
        for name, text in zip(names, (kube_config.client_certificate_data, key), strict=True):
            with open(name, "w", encoding="utf-8") as file:
                file.write(text)
        context.load_cert_chain(*names)
