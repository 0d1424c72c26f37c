from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.unit.kube.scripted import Reply, ScriptedServer
from velero_py_plugin import errors as root_errors
from velero_py_plugin.kube import errors
from velero_py_plugin.kube.config import ExecPlugin, KubeConfig
from velero_py_plugin.kube.transport import Request, Transport

GET = Request("GET", "/x")
POST = Request("POST", "/x", body={}, repeatable=False)
_BUSY = Reply(429, {"kind": "Status", "message": "too many requests"}, {"Retry-After": "0"})


def _transport(server: ScriptedServer | str, *, retry_seconds: float = 5.0, timeout: float = 5.0) -> Transport:
    url = server if isinstance(server, str) else server.url
    return Transport(KubeConfig(server=url, token="t"), timeout=timeout, retry_seconds=retry_seconds)


def _failure(code: int, message: str = "words", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(code, {"kind": "Status", "message": message, "details": {"name": "x"}}, named)


def _chunked(*chunks: bytes) -> Reply:
    """An answer of chunks; it ends properly where the last one is empty."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return Reply(body=body, headers={"Transfer-Encoding": "chunked"})


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_request_on_the_wire() -> None:
    request = Request("PATCH", "/x", {"a": "b c", "empty": ""}, {"k": "v"}, "application/merge-patch+json")
    with ScriptedServer(Reply(body={"answer": 1})) as server:
        assert _transport(server.url + "/base/").call(request) == {"answer": 1}
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PATCH", "/base/x?a=b+c")
    assert asked.body == b'{"k":"v"}'
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert asked.headers["Authorization"] == "Bearer t"
    assert asked.headers["User-Agent"].startswith("velero-py-plugin/")


def test_no_token_no_header() -> None:
    with ScriptedServer(Reply()) as server:
        Transport(KubeConfig(server=server.url), timeout=5, retry_seconds=0).call(GET)
    assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize("request_", [GET, POST])
def test_overloaded_server_is_asked_again_whatever_the_method(request_: Request) -> None:
    with ScriptedServer(_BUSY, _BUSY, Reply(body={"a": 1})) as server:
        assert _transport(server).call(request_) == {"a": 1}
    assert len(server.asked) == 3


@pytest.mark.parametrize("request_", [GET, POST])
def test_failure_with_retry_after_is_asked_again_whatever_the_method(request_: Request) -> None:
    with ScriptedServer(_failure(503, Retry_After="0"), Reply()) as server:
        _transport(server).call(request_)
    assert len(server.asked) == 2


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_failing_server_is_asked_again_where_that_does_no_harm(code: int) -> None:
    with ScriptedServer(_failure(code), Reply()) as server:
        _transport(server).call(GET)
    assert len(server.asked) == 2
    with ScriptedServer(_failure(code), Reply()) as server, pytest.raises(errors.ApiUnavailableError):
        _transport(server).call(POST)
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [400, 403, 404, 409, 410, 422])
def test_refusals_are_final(code: int) -> None:
    with ScriptedServer(_failure(code, "no"), Reply()) as server, pytest.raises(root_errors.Error, match="no"):
        _transport(server).call(GET)
    assert len(server.asked) == 1


def test_retry_after_is_honoured() -> None:
    with ScriptedServer(_failure(429, Retry_After="1"), Reply()) as server:
        start = time.monotonic()
        _transport(server).call(GET)
    assert 0.9 < time.monotonic() - start < 3


def test_retry_after_beyond_the_patience_fails_at_once() -> None:
    start = time.monotonic()
    with (
        ScriptedServer(_failure(429, "busy", Retry_After="3600")) as server,
        pytest.raises(errors.ApiUnavailableError, match="busy"),
    ):
        _transport(server).call(GET)
    assert time.monotonic() - start < 1
    assert len(server.asked) == 1


def test_patience_ends() -> None:
    start = time.monotonic()
    with ScriptedServer(_failure(500)) as server, pytest.raises(errors.ApiUnavailableError, match=server.url):
        _transport(server, retry_seconds=0.7).call(GET)
    assert 0.5 < time.monotonic() - start < 2
    assert len(server.asked) == 3  # after 0, 0.2 and 0.6 seconds


def test_broken_connection() -> None:
    with ScriptedServer(Reply(0), Reply()) as server:
        _transport(server).call(GET)
    assert len(server.asked) == 2
    with ScriptedServer(Reply(0), Reply()) as server, pytest.raises(errors.ApiUnavailableError, match="cannot be"):
        _transport(server).call(POST)
    assert len(server.asked) == 1


def test_answer_cut_short() -> None:
    with ScriptedServer(Reply(body=b'{"a"', promised=100), Reply(body={"a": 1})) as server:
        assert _transport(server).call(GET) == {"a": 1}


@pytest.mark.parametrize("request_", [GET, POST])
def test_refused_connection_is_tried_again_whatever_the_method(request_: Request) -> None:
    port = _closed_port()
    answers: list[object] = []
    with ScriptedServer(Reply(body={"a": 1})) as server:
        # The port is closed at first, and later leads to the server.
        relay = socket.socket()
        relay.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        relay.bind(("127.0.0.1", port))
        caller = threading.Thread(target=lambda: answers.append(_transport(f"http://127.0.0.1:{port}").call(request_)))
        caller.start()
        caller.join(0.1)
        assert not answers
        relay.listen()
        _relay_one(relay, server.port)
        caller.join(5)
    assert answers == [{"a": 1}]


def _relay_one(listener: socket.socket, port: int) -> None:
    with listener, listener.accept()[0] as client, socket.create_connection(("127.0.0.1", port)) as upstream:
        upstream.sendall(client.recv(65536))
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            answer += upstream.recv(65536)
        client.sendall(answer)


def test_server_that_never_listens() -> None:
    url = f"http://127.0.0.1:{_closed_port()}"
    with pytest.raises(errors.ApiUnavailableError, match=url) as caught:
        _transport(url, retry_seconds=0.3).call(GET)
    assert "refused" in str(caught.value)


def test_server_that_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(errors.ApiUnavailableError, match="timed out"):
            _transport(url, timeout=0.1, retry_seconds=0).call(GET)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_answer_that_is_no_object(body: bytes) -> None:
    with (
        ScriptedServer(Reply(body=body)) as server,
        pytest.raises(errors.ApiUnavailableError, match="does not answer like a Kubernetes API server"),
    ):
        _transport(server).call(GET)


def test_missing_path_is_not_a_missing_object() -> None:
    with (
        ScriptedServer(Reply(404, b"404 page not found")) as server,
        pytest.raises(errors.TypeNotServedError, match="does not serve /x"),
    ):
        _transport(server).call(GET)


def test_redirect_is_not_followed() -> None:
    with ScriptedServer(Reply(302, b"", {"Location": "/y"})) as server, pytest.raises(root_errors.Error):
        _transport(server, retry_seconds=0).call(GET)
    assert len(server.asked) == 1


def test_refused_token_is_asked_for_again_once(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    script = (
        "import json, sys\n"
        f"open({str(runs)!r}, 'a').write('.')\n"
        f"token = 'token-%d' % len(open({str(runs)!r}).read())\n"
        "print(json.dumps({'kind': 'ExecCredential', 'status': {'token': token}}))\n"
    )
    plugin = ExecPlugin(command=sys.executable, args=("-c", script))
    refusal = _failure(401, "Unauthorized")
    with ScriptedServer(refusal, Reply(), refusal) as server:
        transport = Transport(KubeConfig(server=server.url, exec_plugin=plugin), timeout=5, retry_seconds=5)
        transport.call(POST)
        with pytest.raises(errors.UnauthorizedError, match=server.url):
            transport.call(GET)
    tokens = [asked.headers["Authorization"] for asked in server.asked]
    assert tokens == ["Bearer token-1", "Bearer token-2", "Bearer token-2", "Bearer token-3"]


def test_refused_token_that_cannot_be_renewed() -> None:
    with ScriptedServer(_failure(401, "Unauthorized")) as server, pytest.raises(errors.UnauthorizedError):
        _transport(server).call(GET)
    assert len(server.asked) == 1


class TestStream:
    def test_objects_by_line(self) -> None:
        with ScriptedServer(_chunked(b'{"a"', b':1}\n{"a":2}\n{"a":3}\n', b"")) as server:
            assert list(_transport(server).stream(GET, idle_seconds=5)) == [{"a": 1}, {"a": 2}, {"a": 3}]

    def test_incomplete_last_line_is_dropped(self) -> None:
        with ScriptedServer(_chunked(b'{"a":1}\n', b'{"a"')) as server:
            assert list(_transport(server).stream(GET, idle_seconds=5)) == [{"a": 1}]

    def test_silence_ends_it(self) -> None:
        release = threading.Event()
        with ScriptedServer(_chunked(b'{"a":1}\n'), hold=release) as server:
            assert list(_transport(server).stream(GET, idle_seconds=0.1)) == [{"a": 1}]
            release.set()

    def test_failure_before_the_first_object(self) -> None:
        with ScriptedServer(_failure(403, "no")) as server, pytest.raises(errors.ForbiddenError, match="no"):
            list(_transport(server).stream(GET, idle_seconds=5))

    def test_failure_that_is_cut_short(self) -> None:
        with (
            ScriptedServer(Reply(403, b"{", promised=100)) as server,
            pytest.raises(errors.ForbiddenError, match="code 403 and no message"),
        ):
            list(_transport(server).stream(GET, idle_seconds=5))

    def test_line_that_is_no_object(self) -> None:
        with ScriptedServer(Reply(body=b"<html>\n")) as server, pytest.raises(errors.ApiUnavailableError):
            list(_transport(server).stream(GET, idle_seconds=5))


@pytest.mark.parametrize("server", ["ftp://x", "example.com", "https://"])
def test_address_that_is_none(server: str) -> None:
    with pytest.raises(errors.KubeConfigError, match="not an http or https URL"):
        _transport(server)


def test_import_stays_cheap() -> None:
    code = (
        "import sys, velero_py_plugin.kube.client;"
        "print(sorted({'yaml', 'aiohttp', 'grpc', 'kubernetes', 'kopf', 'asyncio', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == "[]"
