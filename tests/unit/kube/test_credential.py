from __future__ import annotations

import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from velero_py_plugin.kube import config, credential, errors


def _exec_config(tmp_path: Path, output: str, *, code: int = 0, **plugin: Any) -> config.KubeConfig:
    """A credential plugin that prints ``output`` and notes each run, with what it was told."""
    script = tmp_path / "plugin.py"
    script.write_text(
        "import os, sys\n"
        f"with open({str(tmp_path / 'runs')!r}, 'a') as runs:\n"
        "    print(os.environ['KUBERNETES_EXEC_INFO'], os.environ.get('EXTRA', ''), file=runs)\n"
        f"print({output!r})\n"
        f"sys.exit({code})\n"
    )
    made = config.ExecPlugin(command=sys.executable, args=(str(script),), **plugin)
    return config.KubeConfig(server="https://example.com", exec_plugin=made, ca_data="PEM")


def _output(**status: Any) -> str:
    return json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status})


def _runs(tmp_path: Path) -> list[str]:
    return (tmp_path / "runs").read_text().splitlines()


def test_fixed_token() -> None:
    source = credential.token_source(config.KubeConfig(server="http://x", token="t"))
    assert source.token() == "t"
    assert not source.renew()


def test_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one\n")
    source = credential.token_source(config.KubeConfig(server="http://x", token="ignored", token_file=str(path)))
    assert source.token() == "one"
    replacement = tmp_path / "new"
    replacement.write_text("two")
    os.replace(replacement, path)  # as the kubelet does
    assert source.token() == "two"


def test_refused_token_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("one")
    source = credential.token_source(config.KubeConfig(server="http://x", token_file=str(path)))
    assert source.token() == "one"
    assert not source.renew()
    before = path.stat()
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # a change that the time stamp does not show
    assert source.renew()
    assert source.token() == "two"


def test_missing_token_file(tmp_path: Path) -> None:
    source = credential.token_source(config.KubeConfig(server="http://x", token_file=str(tmp_path / "none")))
    with pytest.raises(errors.KubeConfigError, match="none cannot be read"):
        source.token()


def test_exec_plugin_runs_once_for_many_requests(tmp_path: Path) -> None:
    source = credential.token_source(_exec_config(tmp_path, _output(token="t"), env={"EXTRA": "given"}))
    assert [source.token() for _ in range(3)] == ["t"] * 3
    (run,) = _runs(tmp_path)
    info, extra = run.rsplit(" ", 1)
    assert json.loads(info) == {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {"interactive": False},
    }
    assert extra == "given"


def test_exec_plugin_runs_again_when_refused(tmp_path: Path) -> None:
    source = credential.token_source(_exec_config(tmp_path, _output(token="t")))
    source.token()
    assert source.renew()
    source.token()
    assert len(_runs(tmp_path)) == 2


@pytest.mark.parametrize(("seconds", "runs"), [(3600, 1), (5, 2), (-5, 2)])
def test_exec_plugin_runs_again_when_its_token_expires(tmp_path: Path, seconds: int, runs: int) -> None:
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    output = _output(token="t", expirationTimestamp=expires.strftime("%Y-%m-%dT%H:%M:%SZ"))
    source = credential.token_source(_exec_config(tmp_path, output))
    source.token()
    source.token()
    assert len(_runs(tmp_path)) == runs


def test_exec_plugin_is_told_about_the_cluster(tmp_path: Path) -> None:
    source = credential.token_source(_exec_config(tmp_path, _output(token="t"), provide_cluster_info=True))
    source.token()
    assert json.loads(_runs(tmp_path)[0])["spec"]["cluster"] == {
        "server": "https://example.com",
        "tls-server-name": "",
        "insecure-skip-tls-verify": False,
        "certificate-authority-data": "UEVN",
    }


def test_exec_plugin_is_told_about_the_certificate_file(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("PEM")
    for ca_file, expected in ((str(tmp_path / "ca"), "UEVN"), ("", "")):
        made = _exec_config(tmp_path, _output(token="t"), provide_cluster_info=True)
        made = config.KubeConfig(server=made.server, exec_plugin=made.exec_plugin, ca_file=ca_file)
        credential.token_source(made).token()
        assert json.loads(_runs(tmp_path)[-1])["spec"]["cluster"]["certificate-authority-data"] == expected


@pytest.mark.parametrize(
    ("output", "code", "complaint"),
    [
        ("secret", 0, "something else than an ExecCredential"),
        ('["secret"]', 0, "something else than an ExecCredential"),
        (_output(token="secret", expirationTimestamp="soon"), 0, "something else than an ExecCredential"),
        (_output(clientCertificateData="secret"), 0, "client certificates are not supported"),
        ("secret", 3, "ended with code 3"),
    ],
)
def test_exec_plugin_that_fails(tmp_path: Path, output: str, code: int, complaint: str) -> None:
    source = credential.token_source(_exec_config(tmp_path, output, code=code))
    with pytest.raises(errors.KubeConfigError, match=complaint) as caught:
        source.token()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_exec_plugin_that_is_missing() -> None:
    plugin = config.ExecPlugin(command="no-such-plugin", install_hint="Install it from there.")
    source = credential.token_source(config.KubeConfig(server="http://x", exec_plugin=plugin))
    with pytest.raises(errors.KubeConfigError, match=r'"no-such-plugin" is not installed. Install it from there.'):
        source.token()


def test_exec_plugin_that_cannot_be_run(tmp_path: Path) -> None:
    source = credential.token_source(
        config.KubeConfig(server="http://x", exec_plugin=config.ExecPlugin(command=str(tmp_path)))
    )
    with pytest.raises(errors.KubeConfigError, match="could not be run"):
        source.token()
