"""Has LocalStack start the DynamoDB server of Tidings' local stack, where it would download Amazon's DynamoDB Local.

`TIDINGS_LOCAL` names the program, whose subcommand `dynamodb` is that server. LocalStack goes on to start and end it,
and to put itself before it.
"""

import logging
import os
import re

from localstack.runtime import hooks

LOG = logging.getLogger(__name__)


@hooks.on_infra_start(should_load=lambda: "TIDINGS_LOCAL" in os.environ)
def use_embedded_server() -> None:
    """Replaces what starts the server, and widens what is known of its ARNs."""
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
            # What makes it end would end it again.
            auto_restart=False,
            name="dynamodb-embedded",
        )
        TMP_THREADS.append(thread)
        thread.start()
        return thread

    DynamodbServer.do_start_thread = do_start_thread
    # LocalStack puts its own region in the place of the server's, which it knows by the name that Amazon's has.
    for name in ("_ddb_local_arn_pattern", "_ddb_local_exception_arn_pattern"):
        pattern = getattr(utils, name).pattern.replace(":ddblocal:", ":(?:ddblocal|dynoxide):")
        setattr(utils, name, re.compile(pattern))
