from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from velero_py_plugin.kube import config, errors


def _document(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": "https://example.com:6443"}}],
        "users": [{"name": "u", "user": {"token": "secret-token"}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "velero"}}],
        **changes,
    }


def _written(path: Path, **changes: Any) -> dict[str, str]:
    path.write_text(yaml.safe_dump(_document(**changes)))
    return {"KUBECONFIG": str(path)}


def test_kubeconfig_with_a_token(tmp_path: Path) -> None:
    loaded = config.load_config(_written(tmp_path / "config"))
    assert loaded == config.KubeConfig(server="https://example.com:6443", token="secret-token", namespace="velero")


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    user = {
        "token": "secret-token",
        "client-certificate-data": base64.b64encode(b"secret-certificate").decode(),
        "client-key-data": base64.b64encode(b"secret-key").decode(),
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "get-token",
            "env": [{"name": "PASSWORD", "value": "secret-variable"}],
        },
    }
    loaded = config.load_config(_written(tmp_path / "config", users=[{"name": "u", "user": user}]))
    assert loaded.client_key_data == "secret-key"
    assert "secret" not in repr(loaded)
    assert "get-token" in repr(loaded)


def test_file_names_are_relative_to_their_kubeconfig(tmp_path: Path) -> None:
    cluster = {"server": "https://example.com", "certificate-authority": "ca.crt", "tls-server-name": "kubernetes"}
    user = {"tokenFile": "token", "client-certificate": "/etc/client.crt", "client-key": "keys/client.key"}
    loaded = config.load_config(
        _written(
            tmp_path / "config",
            clusters=[{"name": "c", "cluster": cluster}],
            users=[{"name": "u", "user": user}],
        )
    )
    assert loaded.ca_file == str(tmp_path / "ca.crt")
    assert loaded.token_file == str(tmp_path / "token")
    assert loaded.client_certificate_file == "/etc/client.crt"
    assert loaded.client_key_file == str(tmp_path / "keys/client.key")
    assert loaded.tls_server_name == "kubernetes"


def test_the_first_of_several_files_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "config", tmp_path / "b" / "config"
    for path in (first, second):
        path.parent.mkdir()
    _written(first, clusters=None, users=[{"name": "u", "user": {"token": "first"}}], **{"current-context": ""})
    cluster = {"server": "https://second.example.com", "certificate-authority": "ca.crt"}
    _written(second, clusters=[{"name": "c", "cluster": cluster}])
    loaded = config.load_config({"KUBECONFIG": f"{tmp_path / 'missing'}:{first}:{second}"})
    assert (loaded.server, loaded.token) == ("https://second.example.com", "first")
    assert loaded.ca_file == str(tmp_path / "b" / "ca.crt")


def test_home_comes_after_the_variable(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    _written(tmp_path / ".kube" / "config")
    assert config.load_config({"HOME": str(tmp_path)}).token == "secret-token"
    other = _written(tmp_path / "other", users=[{"name": "u", "user": {"token": "other"}}])
    assert config.load_config({"HOME": str(tmp_path), **other}).token == "other"


def test_json_is_a_kubeconfig_too(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(json.dumps(_document()))
    assert config.load_config({"KUBECONFIG": str(tmp_path / "config")}).namespace == "velero"


def test_user_is_optional(tmp_path: Path) -> None:
    contexts = [{"name": "one", "context": {"cluster": "c"}}]
    loaded = config.load_config(_written(tmp_path / "config", contexts=contexts))
    assert (loaded.token, loaded.namespace) == ("", "default")


def test_exec_plugin(tmp_path: Path) -> None:
    section = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "./bin/get-token",
        "args": ["--for", "cluster"],
        "env": [{"name": "A", "value": "b"}],
        "provideClusterInfo": True,
        "installHint": "Install it.",
        "interactiveMode": "IfAvailable",
    }
    loaded = config.load_config(_written(tmp_path / "config", users=[{"name": "u", "user": {"exec": section}}]))
    assert loaded.exec_plugin == config.ExecPlugin(
        command=f"{tmp_path}/./bin/get-token",
        args=("--for", "cluster"),
        env={"A": "b"},
        api_version="client.authentication.k8s.io/v1beta1",
        provide_cluster_info=True,
        install_hint="Install it.",
    )


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"current-context": ""}, "no current-context"),
        ({"current-context": "two"}, '"two" among its contexts'),
        ({"clusters": []}, '"c" among its clusters'),
        ({"users": []}, '"u" among its users'),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "has no server"),
        ({"clusters": [{"name": "c"}]}, "malformed entry among its clusters"),
        ({"users": ["u"]}, "malformed entry among its users"),
        ({"clusters": [{"name": "c", "cluster": {"server": "https://x", "proxy-url": "http://p"}}]}, "proxy-url"),
        ({"users": [{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]}, "auth-provider"),
        ({"users": [{"name": "u", "user": {"username": "me", "password": "secret"}}]}, "username"),
        ({"users": [{"name": "u", "user": {"token": "secret", "as": "other"}}]}, '"as"'),
        ({"users": [{"name": "u", "user": {"client-key-data": "secret!"}}]}, "client-key-data"),
        ({"users": [{"name": "u", "user": {"exec": {"apiVersion": "v1alpha1", "command": "x"}}}]}, "v1alpha1"),
        (
            {
                "users": [
                    {
                        "name": "u",
                        "user": {
                            "exec": {
                                "apiVersion": "client.authentication.k8s.io/v1",
                                "command": "x",
                                "interactiveMode": "Always",
                            }
                        },
                    }
                ]
            },
            "ask a person",
        ),
    ],
)
def test_unusable_kubeconfig(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(errors.KubeConfigError, match=complaint) as caught:
        config.load_config(_written(tmp_path / "config", **changes))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["token: [secret", "", "- a list", "\xff"])
def test_kubeconfig_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_bytes(text.encode("latin-1"))
    with pytest.raises(errors.KubeConfigError) as caught:
        config.load_config({"KUBECONFIG": str(tmp_path / "config")})
    assert "secret" not in str(caught.value)


def test_kubeconfig_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(errors.KubeConfigError, match="Is a directory"):
        config.load_config({"KUBECONFIG": str(tmp_path)})


def test_missing_kubeconfig_is_not_passed_over(tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(tmp_path / "missing"), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    with pytest.raises(errors.KubeConfigError, match="missing, which does not exist"):
        config.load_config(environ)


def test_nothing_configured() -> None:
    with pytest.raises(errors.KubeConfigError, match="No Kubernetes API server is configured"):
        config.load_config({"HOME": "/nonexistent"})


@pytest.fixture
def service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(config, "SERVICE_ACCOUNT_DIRECTORY", str(tmp_path))
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("velero\n")
    return tmp_path


@pytest.mark.parametrize(
    ("host", "url"), [("10.96.0.1", "https://10.96.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")]
)
def test_inside_a_pod(service_account: Path, host: str, url: str) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443", "HOME": "/nonexistent"}
    assert config.load_config(environ) == config.KubeConfig(
        server=url,
        namespace="velero",
        token_file=str(service_account / "token"),
        ca_file=str(service_account / "ca.crt"),
    )


def test_inside_a_pod_without_a_token(service_account: Path) -> None:
    (service_account / "token").unlink()
    with pytest.raises(errors.KubeConfigError, match="automountServiceAccountToken"):
        config.load_config({"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
