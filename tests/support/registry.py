"""A registry of container images on loopback, with one image of one small file."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

_UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Registry:
    """``answers``: path below /v2/ -> (content type, body). ``layer``: the path of the layer."""

    port: int
    image: str
    digest: str
    layer: str
    answers: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def damage(self) -> None:
        """The layer arrives with another byte."""
        kind, data = self.answers[self.layer]
        self.answers[self.layer] = kind, data[:-1] + bytes([data[-1] ^ 1])


def _image() -> tuple[str, str, dict[str, tuple[str, bytes]]]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    layer = gzip.compress(stream.getvalue())
    settings = {
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [_digest(stream.getvalue())]},
    }  # fmt: skip
    config = json.dumps(settings).encode()

    def described(kind: str, data: bytes) -> dict[str, object]:
        return {"mediaType": kind, "digest": _digest(data), "size": len(data)}

    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": _MANIFEST,
        "config": described("application/vnd.oci.image.config.v1+json", config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
    }).encode()  # fmt: skip
    blobs = {
        f"engine/blobs/{_digest(data)}": ("application/octet-stream", data)
        for data in (config, layer)
    }
    names = (f"engine/manifests/{name}" for name in ("1", _digest(manifest)))
    answers = {**blobs, **dict.fromkeys(names, (_MANIFEST, manifest))}
    return _digest(manifest), f"engine/blobs/{_digest(layer)}", answers


@contextmanager
def registry() -> Iterator[Registry]:
    """A registry that answers until the block ends."""
    digest, layer, answers = _image()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/v2/")
            kind, body = answers.get(path, ("application/json", _UNKNOWN))
            self.send_response(200 if path in ("", *answers) else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.server_address[1]
    try:
        yield Registry(port, f"127.0.0.1:{port}/engine:1", digest, layer, answers)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
