"""An HTTP server that answers what a test wrote down, and remembers what it was asked."""

from __future__ import annotations

import dataclasses
import http.server
import json
import ssl
import threading
from typing import Any, Self


@dataclasses.dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        code: HTTP code; 0 breaks the connection instead.
        body: JSON value, or bytes as they are.
        headers: Headers of the answer.
        promised: Content-Length, where it is not the body's; the connection ends after the body.
    """

    code: int = 200
    body: Any = dataclasses.field(default_factory=dict)
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    promised: int | None = None


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ScriptedServer:
    """Answers the replies in turn, the last one for ever.

    Args:
        replies: The answers.
        tls: Serves https.
        hold: Keeps connections open after an answer that should end them, until it is set.
    """

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None, hold: threading.Event | None = None) -> None:
        self.asked: list[Asked] = []
        script = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
                script.asked.append(asked)
                reply = replies[min(len(script.asked), len(replies)) - 1]
                if not reply.code:
                    self.close_connection = True
                    self.connection.close()
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.code)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if "Transfer-Encoding" not in reply.headers:
                    self.send_header("Content-Length", str(len(body) if reply.promised is None else reply.promised))
                self.end_headers()
                self.wfile.write(body)
                if hold is not None:
                    hold.wait(10)
                self.close_connection = reply.promised is not None or "Transfer-Encoding" in reply.headers

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients may leave early
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.port: int = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
