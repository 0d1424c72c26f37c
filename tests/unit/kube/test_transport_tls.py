"""TLS to the API server: whom we trust, and who we are."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.kube.scripted import Reply, ScriptedServer
from velero_py_plugin.kube import errors
from velero_py_plugin.kube.config import KubeConfig
from velero_py_plugin.kube.transport import Request, Transport

GET = Request("GET", "/x")


class Authority:
    """A certificate authority, and the certificates it signed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        certificate = self._sign(self._name, self._key, None)
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name: str, *addresses: x509.GeneralName) -> tuple[Path, Path]:
        """Certificate and key files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, x509.SubjectAlternativeName(addresses) if addresses else None)
        paths = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, names: x509.SubjectAlternativeName | None
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("server", x509.IPAddress(ipaddress.ip_address("127.0.0.1"))))
    return context


def _call(config: KubeConfig) -> dict[str, object]:
    transport = Transport(config, timeout=5, retry_seconds=0)
    try:
        return transport.call(GET)
    finally:
        transport.close()


def test_trusted_by_file_and_by_data(authority: Authority, server_context: ssl.SSLContext, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text(authority.pem)
    with ScriptedServer(Reply(body={"a": 1}), tls=server_context) as server:
        assert _call(KubeConfig(server=server.url, ca_data=authority.pem)) == {"a": 1}
        assert _call(KubeConfig(server=server.url, ca_file=str(tmp_path / "ca.crt"))) == {"a": 1}


def test_unknown_authority_is_refused_at_once(server_context: ssl.SSLContext) -> None:
    with ScriptedServer(Reply(), tls=server_context) as server:
        transport = Transport(KubeConfig(server=server.url), timeout=5, retry_seconds=60)
        with pytest.raises(errors.ApiUnavailableError, match="certificate verify failed"):
            transport.call(GET)
    assert server.asked == []


def test_insecure(server_context: ssl.SSLContext) -> None:
    with ScriptedServer(Reply(body={"a": 1}), tls=server_context) as server:
        assert _call(KubeConfig(server=server.url, insecure_skip_tls_verify=True)) == {"a": 1}


def test_server_name(authority: Authority) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("named", x509.DNSName("kubernetes.default")))
    with ScriptedServer(Reply(body={"a": 1}), tls=context) as server:
        with pytest.raises(errors.ApiUnavailableError, match="IP address mismatch"):
            _call(KubeConfig(server=server.url, ca_data=authority.pem))
        config = KubeConfig(server=server.url, ca_data=authority.pem, tls_server_name="kubernetes.default")
        assert _call(config) == {"a": 1}


def test_client_certificate(authority: Authority, server_context: ssl.SSLContext, tmp_path: Path) -> None:
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_verify_locations(cadata=authority.pem)
    certificate, key = authority.issue("client", x509.DNSName("client"))
    with ScriptedServer(Reply(body={"a": 1}), tls=server_context) as server:
        url, ca = server.url, authority.pem
        with pytest.raises(errors.ApiUnavailableError):
            _call(KubeConfig(server=url, ca_data=ca))
        by_file = KubeConfig(server=url, ca_data=ca, client_certificate_file=str(certificate), client_key_file=str(key))
        by_data = KubeConfig(
            server=url, ca_data=ca, client_certificate_data=certificate.read_text(), client_key_data=key.read_text()
        )
        mixed = KubeConfig(
            server=url, ca_data=ca, client_certificate_data=certificate.read_text(), client_key_file=str(key)
        )
        assert [_call(config) for config in (by_file, by_data, mixed)] == [{"a": 1}] * 3


@pytest.mark.parametrize(
    "config",
    [
        KubeConfig(server="https://127.0.0.1", ca_data="not PEM"),
        KubeConfig(server="https://127.0.0.1", ca_file="/nonexistent"),
        KubeConfig(server="https://127.0.0.1", client_certificate_file="/nonexistent"),
        KubeConfig(server="https://127.0.0.1", client_certificate_data="x", client_key_file="/nonexistent"),
    ],
)
def test_certificates_that_cannot_be_loaded(config: KubeConfig) -> None:
    with pytest.raises(errors.KubeConfigError, match=r"certificates for https://127\.0\.0\.1 cannot be loaded"):
        Transport(config, timeout=5, retry_seconds=0)
