"""Builds every function with cargo-lambda and packs each into a zip that is always the same for the same binary."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from . import Failure
from .template import ROOT, Function

# A function is on its way to a cold start the longer the larger it is.
ZIP_BYTES_MAX = 4_000_000
# The C library of provided.al2023 is 2.34.
GLIBC_MINOR_MAX = 34
# What the target is called by cargo-lambda, and by rustup.
TARGETS = {"arm64": ("--arm64", "aarch64-unknown-linux-gnu"), "x86_64": ("--x86-64", "x86_64-unknown-linux-gnu")}


def build(functions: list[Function], architecture: str) -> dict[str, Path]:
    """The zip of each function, by its logical id; Failure if one is too large, or needs what its runtime lacks.

    Everything is built in one run of cargo, so that what functions share is compiled once.
    """
    directory = ROOT / "target" / "lambda" / architecture
    _cargo_lambda(functions, architecture, directory)
    zips = {function.logical_id: _pack(directory / function.binary) for function in functions}
    too_large = [f"{name}: {zip.stat().st_size} bytes" for name, zip in zips.items() if zip.stat().st_size > ZIP_BYTES_MAX]
    if too_large:
        raise Failure(f"a zipped function has at most {ZIP_BYTES_MAX} bytes; too large are\n  " + "\n  ".join(too_large))
    return zips


def report(zips: dict[str, Path]) -> None:
    """Says how large each function is."""
    for name, zip in sorted(zips.items()):
        unpacked = (zip.parent / "bootstrap").stat().st_size
        print(f"{name:<16} {zip.stat().st_size / 1e6:5.2f} MB zipped, {unpacked / 1e6:5.2f} MB  {zip.relative_to(ROOT)}")


def _cargo_lambda(functions: list[Function], architecture: str, directory: Path) -> None:
    packages = _packages()
    selected = []
    for function in functions:
        package = packages.get((function.directory / "Cargo.toml").resolve())
        if package is None:
            raise Failure(f"{function.logical_id}: {function.directory.relative_to(ROOT)} is no package of the workspace")
        selected += ["--package", package]
    tools = Path(sys.executable).parent
    flag, target = TARGETS[architecture]
    command = [tools / "cargo-lambda", "lambda", "build", "--locked", "--release", flag, "--lambda-dir", directory]
    # The linker, zig, is beside cargo-lambda.
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run([*command, *selected], cwd=ROOT, env=environment).returncode != 0:
        message = "the functions cannot be built; what is wrong stands above"
        raise Failure(f"{message} (`rustup target add {target}` if it is the target that is missing)")


def _packages() -> dict[Path, str]:
    """Names of the workspace's packages by their manifests."""
    command = ["cargo", "metadata", "--no-deps", "--format-version=1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return {Path(package["manifest_path"]).resolve(): package["name"] for package in metadata["packages"]}


def _pack(directory: Path) -> Path:
    """`bootstrap` in a zip, without anything that changes when it does not; Failure if it could not run."""
    binary = (directory / "bootstrap").read_bytes()
    # Versions of symbols stand in the binary as text.
    newest = max((int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", binary)), default=0)
    if newest > GLIBC_MINOR_MAX:
        raise Failure(f"{directory.name} needs glibc 2.{newest}; provided.al2023 has 2.{GLIBC_MINOR_MAX}")
    path = directory / "bootstrap.zip"
    entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o755 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, binary, zipfile.ZIP_DEFLATED)
    return path
