"""A forward proxy in a process of its own: every request goes to one server and into a log.

    python recording_proxy.py UPSTREAM_HOST UPSTREAM_PORT LOG

It prints its port and forwards plain requests and CONNECT tunnels, whatever host they name.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from pathlib import Path


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until one side ends."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy(socketserver.BaseRequestHandler):
    upstream: tuple[str, int]
    log: Path

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(65536)
            if not data:
                return
            head += data
        line, rest = head.split(b"\r\n", 1)
        with self.log.open("a") as log:
            log.write(line.decode() + "\n")
        with socket.create_connection(self.upstream) as server:
            if line.startswith(b"CONNECT"):
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                method, url, version = line.split(b" ")
                path = b"/" + url.split(b"/", 3)[3]
                server.sendall(b" ".join((method, path, version)) + b"\r\n" + rest)
            back = threading.Thread(target=pump, args=(server, self.request), daemon=True)
            back.start()
            pump(self.request, server)
            back.join()


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


def main() -> None:
    Proxy.upstream, Proxy.log = (sys.argv[1], int(sys.argv[2])), Path(sys.argv[3])
    with Server(("127.0.0.1", 0), Proxy) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever(0.05)


if __name__ == "__main__":
    main()
