"""Makes LocalStack start the DynamoDB server of Tidings' local stack. By default, LocalStack downloads DynamoDB Local.

`TIDINGS_LOCAL` is the path of the program, and its subcommand `dynamodb` is the server. LocalStack still starts and
stops the server, and forwards requests to it.
"""

import logging
import os
import re

from localstack.runtime import hooks

LOG = logging.getLogger(__name__)


@hooks.on_infra_start(should_load=lambda: "TIDINGS_LOCAL" in os.environ)
def use_embedded_server() -> None:
    """Replaces the function that starts the server, and the patterns that match the server's ARNs."""
    from localstack.services.dynamodb import utils
    from localstack.services.dynamodb.server import DynamodbServer
    from localstack.utils.common import TMP_THREADS, ShellCommandThread

    def do_start_thread(server: DynamodbServer) -> ShellCommandThread:
        command = [os.environ["TIDINGS_LOCAL"], "dynamodb", "--exit-with-parent", "--port", str(server.port)]
        if server.db_path:
            command += ["--data", server.db_path]
        LOG.debug("Starting the embedded DynamoDB server: %s", command)
        thread = ShellCommandThread(
            command,
            log_listener=lambda line, **_: LOG.info("[dynamodb] %s", line.rstrip()),
            # A restarted server would stop again for the same reason.
            auto_restart=False,
            name="dynamodb-embedded",
        )
        TMP_THREADS.append(thread)
        thread.start()
        return thread

    DynamodbServer.do_start_thread = do_start_thread
    # LocalStack replaces the region in the server's ARNs by its own. It looks for the region of Amazon's server.
    for name in ("_ddb_local_arn_pattern", "_ddb_local_exception_arn_pattern"):
        pattern = getattr(utils, name).pattern.replace(":ddblocal:", ":(?:ddblocal|dynoxide):")
        setattr(utils, name, re.compile(pattern))
