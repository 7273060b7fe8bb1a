"""A store that speaks S3 on this machine (moto), behind a proxy that breaks connections.

The real clients find it by ``AWS_ENDPOINT_URL``.
"""

import logging
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests"}


@dataclass
class Break:
    """What happens to the next ``times`` requests in whose first line ``pattern`` occurs.

    The connection ends after ``answered`` bytes of the answer, and ``then`` is called.
    """

    pattern: str
    times: int = 1
    answered: int = 0
    then: Callable[[], Any] = lambda: None


class ObjectStore:
    """The server, which runs while the object is a context."""

    def __enter__(self) -> "ObjectStore":
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else it writes every request
        self.server = ThreadedMotoServer(port=0, verbose=False)
        self.server.start()
        self.breaks: list[Break] = []
        self.requests: list[str] = []  # first lines
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        host, port = self.server.get_host_and_port()
        self.client = boto3.client(
            "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self.server.stop()

    def environment(self) -> dict[str, str]:
        """Variables of a command that uses the store."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.endpoint, "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip

    def bucket(self, name: str, **files: bytes | str) -> None:
        """Make a bucket with files."""
        self.client.create_bucket(Bucket=name)
        for key, content in files.items():
            self.put(name, key, content)

    def put(self, bucket: str, key: str, content: bytes | str) -> None:
        """Write an object."""
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Contents of objects by key, without the prefix."""
        listed = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {
            entry["Key"].removeprefix(prefix): self.client.get_object(
                Bucket=bucket, Key=entry["Key"]
            )["Body"].read()
            for entry in listed
        }

    def _accept(self) -> None:
        while True:
            try:
                client = self.socket.accept()[0]
                server = socket.create_connection(self.server.get_host_and_port())
            except OSError:
                return
            left: list[int] = []  # bytes of the answer until the connection ends
            for run in (self._ask, self._answer):
                threading.Thread(target=run, args=(client, server, left), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, left: list[int]) -> None:
        try:
            while data := client.recv(1 << 16):
                for line in re.findall(rb"(?:GET|PUT|HEAD|POST|DELETE) /\S* HTTP", data):
                    self.requests.append(line.decode())
                    for fault in self.breaks:
                        if fault.times and re.search(fault.pattern, line.decode()):
                            fault.times -= 1
                            fault.then()
                            left.append(fault.answered)
                            if not fault.answered:
                                return
                server.sendall(data)
        except OSError:
            pass
        finally:
            _close(server, client)

    def _answer(self, client: socket.socket, server: socket.socket, left: list[int]) -> None:
        try:
            while data := server.recv(1 << 16):
                if left:
                    data, left[0] = data[: left[0]], left[0] - len(data)
                client.sendall(data)
                if left and left[0] <= 0:
                    return
        except OSError:
            pass
        finally:
            _close(client, server)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
