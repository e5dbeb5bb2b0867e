"""Reads template.yaml: its functions, and the whole template in a form that can be written as JSON."""

from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"


@dataclass(frozen=True)
class Function:
    """A function of the template."""

    logical_id: str
    # The directory of the cargo package.
    directory: Path
    # The binary of the package that is deployed.
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


def read(path: Path = TEMPLATE) -> dict:
    """Reads the template, or that of a nested stack."""
    # The loader is safe, because it is a SafeLoader.
    return yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506


def nested(template: dict) -> dict[str, dict]:
    """The templates of nested stacks, by the logical ids of the stacks."""
    return {
        logical_id: read(ROOT / resource["Properties"]["TemplateURL"])
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudFormation::Stack"
    }


def functions(template: dict) -> list[Function]:
    """The functions of the template."""
    return [
        Function(
            logical_id,
            ROOT / resource["Properties"]["CodeUri"],
            resource["Metadata"]["BuildProperties"]["Binary"],
        )
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
