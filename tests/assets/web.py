"""A test hub that also serves files of other hosts: it is the proxy by which clients reach them."""

import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from hub import Handler, Hub


class Web(Hub):
    """A hub, and HTTPS servers of other hosts with a certificate that clients are made to trust.

    Attributes:
        files: contents by address.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.server.RequestHandlerClass = type("", (WebHandler,), {"hub": self})
        self.files: dict[str, bytes] = {}
        self.certificate, self.key = folder / "certificate.pem", folder / "key.pem"

    def certify(self) -> None:
        """Sign a certificate for the hosts of all files."""
        hosts = sorted({f"DNS:{urlsplit(address).hostname}" for address in self.files})
        options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
        names = ["-addext", f"subjectAltName={','.join(hosts)}"]
        files = ["-out", str(self.certificate), "-keyout", str(self.key)]
        subprocess.run(
            ["openssl", "req", *options, *names, *files], check=True, capture_output=True
        )

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        proxy = {"HTTPS_PROXY": self.endpoint, "SSL_CERT_FILE": str(self.certificate)}
        return super().environment(home, token) | proxy


class WebHandler(Handler):
    """Answers for the hub, and in a tunnel for the host at its other end."""

    hub: Web
    host: str | None = None

    def do_CONNECT(self) -> None:
        self.hub.requests.append((self.command, self.path, dict(self.headers)))
        self.host = self.path.removesuffix(":443")
        if not any(urlsplit(address).hostname == self.host for address in self.hub.files):
            self.cut = None
            return self.answer(502)
        self.send_response(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.hub.certificate, self.hub.key)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.close_connection = False

    def do_GET(self) -> None:
        if self.host is None:
            return super().do_GET()
        address, self.cut = f"https://{self.host}{self.path}", None
        self.hub.requests.append((self.command, address, dict(self.headers)))
        content = self.hub.files.get(address)
        return self.answer(404) if content is None else self.content(content, {"ETag": '"1"'})

    do_HEAD = do_POST = do_GET
