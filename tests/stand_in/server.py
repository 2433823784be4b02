"""The stand-in's server, which carries out requests and their faults."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from .routes import ROUTES, Request
from .state import Hub, Refusal


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and content in one packet, or each answer waits for an acknowledgement
    hub: Hub

    def answer(self) -> None:
        hub = self.hub
        asked = f"{self.command} {urlsplit(self.path).path}"
        with hub.lock:
            hub.requests.append(asked)
            fault = hub.fault_of(asked)
        if fault and fault.drop in ("before", "during"):
            if fault.drop == "during":
                self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            return self.drop()
        body = self.read_body()
        if fault and fault.status:
            return self.send(fault.status, b"<html>so it was told</html>", fault.headers)
        with hub.lock:
            status, content, headers = self.carry_out(body)
        if fault and fault.drop == "after":
            return self.drop()
        return self.send(status, content, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def carry_out(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """What the route answers: status, content, headers. A path without a route does not exist."""
        parts = urlsplit(self.path)
        routes = [
            (function, pattern.fullmatch(parts.path)) for method, pattern, function in ROUTES if method == self.command
        ]
        function, found = next((route for route in routes if route[1]), (None, None))
        if function is None:
            return 404, b"Not found", {}
        user = self.hub.users.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        request = Request(self.hub, found.groupdict(), parse_qs(parts.query), user, body)
        try:
            if "Authorization" in self.headers and user is None:
                raise Refusal(401, "Invalid credentials in Authorization header")
            result = function(request)
        except Refusal as refusal:
            is_json = refusal.message.startswith("{")
            content = refusal.message if is_json else json.dumps({"error": refusal.message} | refusal.headers)
            return refusal.status, content.encode(), refusal.headers
        if isinstance(result, tuple):
            return 200, *result
        return 200, json.dumps(result).encode(), {"Content-Type": "application/json"}

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value.replace("\n", " "))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def drop(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        pass


@contextmanager
def running_hub(place: Path) -> Iterator[Hub]:
    """A Hub that listens while the block runs."""
    hub = Hub(place)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HandlerOfThisHub", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
