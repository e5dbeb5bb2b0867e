"""Reads template.yaml: its functions, and the whole as JSON, which CloudFormation takes as well."""

from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"


@dataclass(frozen=True)
class Function:
    """A function of the template."""

    logical_id: str
    # The cargo package's directory.
    directory: Path
    # The binary in it that is deployed.
    binary: str


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` is `{"Ref": "x"}`, `!Sub x` is `{"Fn::Sub": "x"}`."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict:
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def read() -> dict:
    """The template."""
    # The loader is a safe one.
    return yaml.load(TEMPLATE.read_text(), Loader=_Loader)  # noqa: S506


def functions(template: dict) -> list[Function]:
    """What has to be built for it."""
    return [
        Function(
            logical_id,
            ROOT / resource["Properties"]["CodeUri"],
            resource["Metadata"]["BuildProperties"]["Binary"],
        )
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
