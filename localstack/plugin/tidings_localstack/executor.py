"""Runs a function's `bootstrap` as a process on this machine. LocalStack itself would start a container.

One executor is one execution environment: it handles one invocation at a time, for as long as LocalStack keeps it. A
process that crashes or takes too long is replaced before the next invocation, as on Lambda. There is no isolation: a
function may do everything that LocalStack may do, so run only functions that you trust.
"""

import json
import logging
import os
import queue
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

from localstack import config
from localstack.services.lambda_.invocation.executor_endpoint import StatusErrorException
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

from .runtime_api import Answer, RuntimeApi

LOG = logging.getLogger(__name__)

START_TIMEOUT_S = 10.0
POLL_S = 0.05
# LocalStack warns about each invocation without log lines. Tidings' functions often log nothing.
logging.getLogger("localstack.services.lambda_.invocation.version_manager").addFilter(
    lambda record: not str(record.msg).startswith("Received no logs from invocation")
)
# How many lines of output are kept until their invocation is answered.
LOG_LINES_MAX = 1000


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    """Registers the executor. LocalStack finds this class by its entry point."""

    name = "process"

    def load(self, *args, **kwargs):
        return ProcessExecutor


class ProcessExecutor(RuntimeExecutor):
    """One execution environment."""

    def __init__(self, id: str, function_version) -> None:
        super().__init__(id, function_version)
        self._env: dict[str, str] = {}
        self._process: subprocess.Popen | None = None
        self._api: RuntimeApi | None = None
        self._lines: deque[str] = deque(maxlen=LOG_LINES_MAX)
        self._stopped = False

    def start(self, env_vars: dict[str, str]) -> None:
        self._env = {name: str(value) for name, value in env_vars.items()}
        self._spawn()

    def stop(self) -> None:
        self._stopped = True
        self._end()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        request_id = payload["invoke-id"]
        try:
            answer = self._invoke(request_id, payload)
        except StatusErrorException as error:
            answer = Answer(error.payload, is_error=True)
        return InvocationResult(request_id, answer.payload, answer.is_error, logs=self._take_logs())

    def _invoke(self, request_id: str, payload: dict[str, str]) -> Answer:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._spawn()
        # Another thread may stop this executor and set both to None.
        process, api = self._process, self._api
        if process is None or api is None:
            return _error("Runtime.ExitError", "the process was stopped")
        timeout_s = float(self.function_version.config.timeout)
        deadline = time.time() + timeout_s
        headers = {
            "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": payload["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": payload["trace-id"],
        }
        api.hand_out(request_id, headers, payload["payload"].encode())
        while True:
            try:
                answered, answer = api.answers.get(timeout=POLL_S)
                if answered == request_id:
                    return answer
            except queue.Empty:
                if self._stopped or process.poll() is not None:
                    return _error("Runtime.ExitError", "the process ended before it answered")
                if time.time() >= deadline:
                    self._end()
                    return _error("Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds")

    def _spawn(self) -> None:
        """Starts a process, and waits until it asks for its first invocation."""
        code = Path(self.function_version.config.code.get_unzipped_code_location())
        self._api = RuntimeApi()
        environment = self._env | {
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "LAMBDA_TASK_ROOT": str(code),
            "PATH": os.environ.get("PATH", os.defpath),
        }
        # The process ends with LocalStack, because it cannot run without the Runtime API.
        self._process = subprocess.Popen(
            [code / "bootstrap"],
            cwd=code,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._read, args=(self._process,), name="lambda-output", daemon=True).start()
        deadline = time.time() + START_TIMEOUT_S
        while not self._api.ready.wait(POLL_S):
            if self._process.poll() is None and time.time() < deadline:
                continue
            said, tail = self._api.init_error, "\n".join(list(self._lines)[-10:])
            self._end()
            answer = _error("Runtime.ExitError", f"the process did not start: {tail}")
            raise StatusErrorException("the function did not start", payload=said or answer.payload)

    def _read(self, process: subprocess.Popen) -> None:
        """Keeps the output of the process for the log of its invocation, and copies it to LocalStack's log."""
        for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self._lines.append(text)
            LOG.info("[%s] %s", self.function_version.id.function_name, text)

    def _take_logs(self) -> str:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        return "\n".join(lines)

    def _end(self) -> None:
        process, api = self._process, self._api
        self._process = self._api = None
        if process is not None:
            process.kill()
            process.wait()
        if api is not None:
            api.close()

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        """The URL for LocalStack's own init process, which does not run here."""
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    def get_logs(self) -> str:
        return "\n".join(self._lines)

    @classmethod
    def prepare_version(cls, function_version) -> None:
        function_version.config.code.prepare_for_execution()
        # Unpacking does not keep file modes.
        (Path(function_version.config.code.get_unzipped_code_location()) / "bootstrap").chmod(0o755)

    @classmethod
    def cleanup_version(cls, function_version) -> None:
        """Does nothing, because LocalStack removes the code that it unpacked."""


def _error(error_type: str, message: str) -> Answer:
    return Answer(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), is_error=True)
