"""The command line: `build`, `deploy`, `invoked` and `remove`."""

import argparse
import os
import platform
import secrets
import sys

from botocore.exceptions import BotoCoreError, ClientError

from . import Failure, build, template
from .stack import Stack

ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
TEST_SETTINGS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


def main() -> int:
    arguments = _arguments()
    if _is_elsewhere():
        # An endpoint that is not AWS requires credentials, but accepts any.
        for name, value in TEST_SETTINGS.items():
            os.environ.setdefault(name, value)
        os.environ.setdefault("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])
    elif region := os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region
    try:
        arguments.run(arguments)
    except (Failure, BotoCoreError, ClientError) as error:
        print(f"{arguments.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="localstack/", description="Builds and deploys template.yaml.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="build|deploy|invoked|remove")

    def command(name: str, run, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(run=run)
        return added

    building = command("build", _build, "Builds and packs all functions, and checks their sizes.")
    deploying = command("deploy", _deploy, "Builds, packs and deploys to AWS_ENDPOINT_URL, or to AWS if it is not set.")
    asking = command("invoked", _invoked, "Fails if a function of the stack was not invoked within the last hour.")
    removing = command("remove", _remove, "Removes the deployed stack and the bucket with its code.")
    for parser_ in (building, deploying):
        parser_.add_argument(
            "--architecture",
            choices=sorted(set(ARCHITECTURES.values())),
            help="[default: this machine's architecture with AWS_ENDPOINT_URL, otherwise arm64]",
        )
    for parser_ in (deploying, asking, removing):
        parser_.add_argument("--stack", default="tidings", help="name of the stack [default: tidings]")
    deploying.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="template parameter; can be repeated"
    )
    removing.add_argument("--data", action="store_true", help="also delete the tables that the template keeps")
    return parser.parse_args()


def _is_elsewhere() -> bool:
    return bool(os.environ.get("AWS_ENDPOINT_URL"))


def _architecture(arguments: argparse.Namespace) -> str:
    here = ARCHITECTURES.get(platform.machine().lower(), "x86_64") if _is_elsewhere() else "arm64"
    return arguments.architecture or here


def _build(arguments: argparse.Namespace) -> None:
    build.report(build.build(template.functions(template.read()), _architecture(arguments)))


def _deploy(arguments: argparse.Namespace) -> None:
    parameters = {"Architecture": _architecture(arguments)}
    for given in arguments.parameter:
        name, separator, value = given.partition("=")
        if not separator:
            raise Failure(f"--parameter {given}: expected NAME=VALUE")
        parameters[name] = value
    described = template.read()
    stack = Stack(arguments.stack)
    _complete(parameters, described, stack)

    zips = build.build(template.functions(described), _architecture(arguments))
    build.report(zips)
    print(f"deploying the stack {stack.name} to {stack.endpoint}", flush=True)
    changed = stack.deploy(described, template.nested(described), zips, parameters)
    if wrong := stack.check():
        raise Failure("the stack is complete, but these resources are not active:\n  " + "\n  ".join(wrong))
    print(f"deployed: {changed or 'no'} resource{'' if changed == 1 else 's'} changed")
    for name, value in stack.outputs().items():
        print(f"{name}: {value}")


def _complete(parameters: dict[str, str], described: dict, stack: Stack) -> None:
    """Fails if parameters are unknown or missing. Makes the secret that a new stack needs."""
    known = described["Parameters"]
    if unknown := parameters.keys() - known.keys():
        raise Failure(f"the template has no parameter {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    there = stack.parameters() if stack.status() else set()
    if "CursorKey" not in there and "CursorKeySecret" not in parameters:
        parameters.setdefault("CursorKey", secrets.token_hex(32))
    has_default = {name for name, declared in known.items() if "Default" in declared}
    if missing := known.keys() - parameters.keys() - there - has_default:
        raise Failure(f"these parameters need a value: {' '.join(f'--parameter {name}=…' for name in sorted(missing))}")


def _invoked(arguments: argparse.Namespace) -> None:
    counts = Stack(arguments.stack).invocations()
    if missing := sorted(name for name, count in counts.items() if count == 0):
        raise Failure(f"these functions were never invoked: {', '.join(missing)}")
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"all {len(counts)} functions were invoked: {told}")


def _remove(arguments: argparse.Namespace) -> None:
    stack = Stack(arguments.stack)
    kept = stack.remove()
    if kept and arguments.data:
        stack.delete_tables(kept)
    elif kept:
        print(f"kept these tables, as the template says: {', '.join(kept)}; `remove --data` deletes them, too")
    print(f"removed the stack {stack.name} from {stack.endpoint}")


if __name__ == "__main__":
    sys.exit(main())
