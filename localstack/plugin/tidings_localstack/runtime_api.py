"""The Lambda Runtime API for one process, which fetches invocations and returns answers.

Each process has its own server on a free loopback port, so no process can take or answer the invocation of another one.
Each invocation is handed out once.
"""

import queue
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/2018-06-01/runtime"
# Lambda's quota for the answer of a function.
ANSWER_BYTES_MAX = 6 * 1024 * 1024


@dataclass
class Answer:
    """The answer of a process: a document, and whether it is an error."""

    payload: bytes
    is_error: bool


class RuntimeApi:
    """The server of one process."""

    def __init__(self) -> None:
        # Set when the process asks for its first invocation. Then the process has started.
        self.ready = threading.Event()
        # The error that the process reported before it had started.
        self.init_error: bytes | None = None
        self.answers: queue.Queue[tuple[str, Answer]] = queue.Queue()
        self._invocations: queue.Queue[tuple[str, dict[str, str], bytes] | None] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="lambda-runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        """The value of AWS_LAMBDA_RUNTIME_API for the process."""
        return f"127.0.0.1:{self._server.server_port}"

    def hand_out(self, request_id: str, headers: dict[str, str], payload: bytes) -> None:
        """Queues an invocation, which the process gets when it asks for one."""
        self._invocations.put((request_id, headers, payload))

    def next(self) -> tuple[str, dict[str, str], bytes] | None:
        """Waits for an invocation. Returns None when the server stops."""
        self.ready.set()
        return self._invocations.get()

    def close(self) -> None:
        """Stops the server. A process that waits for an invocation sees that its connection ends."""
        self._invocations.put(None)
        self._server.shutdown()
        self._server.server_close()


def _handler_of(api: RuntimeApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Otherwise a small answer waits until the answer before it is acknowledged.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path != f"{PREFIX}/invocation/next":
                return self._reply(404)
            invocation = api.next()
            if invocation is None:
                self.close_connection = True
                return None
            request_id, headers, payload = invocation
            return self._reply(200, payload, {"Lambda-Runtime-Aws-Request-Id": request_id, **headers})

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
                body = self._chunks()
            else:
                body = self.rfile.read(length)
            match self.path.removeprefix(PREFIX).strip("/").split("/"):
                case ["invocation", request_id, "response"] if len(body) > ANSWER_BYTES_MAX:
                    message = b'{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"the answer is too large"}'
                    api.answers.put((request_id, Answer(message, is_error=True)))
                    return self._reply(413)
                case ["invocation", request_id, "response"]:
                    api.answers.put((request_id, Answer(body, is_error=False)))
                case ["invocation", request_id, "error"]:
                    api.answers.put((request_id, Answer(body, is_error=True)))
                case ["init", "error"]:
                    api.init_error = body
                case _:
                    return self._reply(404)
            return self._reply(202, b'{"status":"OK"}')

        def _chunks(self) -> bytes:
            """A body without a length. A body that is too large is read to its end; then the process gets the error."""
            parts, kept = [], 0
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunk = self.rfile.read(size)
                if kept <= ANSWER_BYTES_MAX:
                    parts.append(chunk)
                    kept += size
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _reply(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Does nothing. By default, each request is a line on standard error."""

    return Handler
