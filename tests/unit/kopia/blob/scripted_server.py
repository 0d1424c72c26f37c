"""A server on the loopback that answers each request as the next line of a script says."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import socket
import ssl
import threading
import types
from collections.abc import Callable
from typing import Any

Send = Callable[[http.server.BaseHTTPRequestHandler], None]


@dataclasses.dataclass
class Request:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclasses.dataclass
class Answer:
    """One answer.

    Attributes:
        status: HTTP status.
        body: What is sent.
        headers: Beside Content-Length.
        claimed_length: Content-Length, when it is not that of ``body``; the connection is closed after the body.
        hang: Send nothing until the server ends.
        read_slowly: Take the request's body in small pieces with pauses.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    claimed_length: int | None = None
    hang: bool = False
    read_slowly: bool = False


def s3_error(status: int, code: str) -> Answer:
    """Makes S3's answer to a request that failed."""
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>The server says {code}.</Message></Error>'
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


class ScriptedServer:
    """The server, as a context manager.

    Args:
        script: The answers in order; the last one is repeated.
        tls: Speak TLS with this context.

    Attributes:
        requests: What arrived so far.
    """

    def __init__(self, *script: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._script = script
        self._connections: list[socket.socket] = []
        self._end = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer._connections.append(self.connection)

            def answer(self) -> None:
                outer._answer(self)

            do_GET = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815 (the names http.server calls)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name http.server uses)
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = False
            block_on_close = True

            def server_bind(self) -> None:
                # Small, so that a slow reader is noticed by the sender.
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
                super().server_bind()

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that break off are part of the tests

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self.scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        self._end.set()
        self._server.shutdown()
        self._thread.join()
        for connection in self._connections:
            # Clients keep connections open, and a thread of the server waits for the next request on each.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        answer = self._script[min(len(self.requests), len(self._script) - 1)]
        length = int(handler.headers.get("Content-Length") or 0)
        if answer.read_slowly:
            body = b""
            while len(body) < length:
                body += handler.rfile.read(min(length - len(body), 1 << 20))
                self._end.wait(0.1)
        else:
            body = handler.rfile.read(length)
        self.requests.append(Request(handler.command, handler.path, dict(handler.headers), body))
        if answer.hang:
            self._end.wait(10)
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        claimed = len(answer.body) if answer.claimed_length is None else answer.claimed_length
        handler.send_header("Content-Length", str(claimed))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(answer.body)
        handler.close_connection = claimed != len(answer.body) and handler.command != "HEAD"
