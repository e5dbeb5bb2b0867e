"""Builds all functions with cargo-lambda, and packs each into a zip. The same binary always gives the same zip."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from . import Failure
from .template import ROOT, Function

# A larger function has a slower cold start.
ZIP_BYTES_MAX = 5_000_000
# The C library of provided.al2023 is 2.34.
GLIBC_MINOR_MAX = 34
# The name of the target in cargo-lambda and in rustup.
TARGETS = {"arm64": ("--arm64", "aarch64-unknown-linux-gnu"), "x86_64": ("--x86-64", "x86_64-unknown-linux-gnu")}


def build(functions: list[Function], architecture: str) -> dict[str, Path]:
    """Returns the zip of each function by its logical id. Fails if a zip is too large or cannot run on Lambda.

    All functions are built in one run of cargo, so that shared code is compiled once.
    """
    directory = ROOT / "target" / "lambda" / architecture
    _cargo_lambda(functions, architecture, directory)
    zips = {function.logical_id: _pack(directory / function.binary) for function in functions}
    sizes = {name: zip.stat().st_size for name, zip in zips.items()}
    too_large = [f"{name}: {size} bytes" for name, size in sizes.items() if size > ZIP_BYTES_MAX]
    if too_large:
        raise Failure(f"these zips have more than {ZIP_BYTES_MAX} bytes:\n  " + "\n  ".join(too_large))
    return zips


def report(zips: dict[str, Path]) -> None:
    """Prints the size of each function."""
    for name, zip in sorted(zips.items()):
        unpacked = (zip.parent / "bootstrap").stat().st_size
        zipped = zip.stat().st_size
        print(f"{name:<16} {zipped / 1e6:5.2f} MB zipped, {unpacked / 1e6:5.2f} MB  {zip.relative_to(ROOT)}")


def _cargo_lambda(functions: list[Function], architecture: str, directory: Path) -> None:
    packages = _packages()
    selected = []
    for function in functions:
        package = packages.get((function.directory / "Cargo.toml").resolve())
        if package is None:
            path = function.directory.relative_to(ROOT)
            raise Failure(f"{function.logical_id}: {path} is not a package of the workspace")
        selected += ["--package", package]
    tools = Path(sys.executable).parent
    flag, target = TARGETS[architecture]
    command = [tools / "cargo-lambda", "lambda", "build", "--locked", "--release", flag, "--lambda-dir", directory]
    # The linker, zig, is in the same directory as cargo-lambda.
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run([*command, *selected], cwd=ROOT, env=environment).returncode != 0:
        message = "cannot build the functions; cargo printed the error above"
        raise Failure(f"{message} (if the target is missing, run `rustup target add {target}`)")


def _packages() -> dict[Path, str]:
    """The names of the workspace's packages by the paths of their manifests."""
    command = ["cargo", "metadata", "--no-deps", "--format-version=1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return {Path(package["manifest_path"]).resolve(): package["name"] for package in metadata["packages"]}


def _pack(directory: Path) -> Path:
    """Packs `bootstrap` into a zip that depends only on its content. Fails if it cannot run on Lambda."""
    binary = (directory / "bootstrap").read_bytes()
    # The binary contains the versions of its symbols as text.
    newest = max((int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", binary)), default=0)
    if newest > GLIBC_MINOR_MAX:
        raise Failure(f"{directory.name} needs glibc 2.{newest}; provided.al2023 has 2.{GLIBC_MINOR_MAX}")
    path = directory / "bootstrap.zip"
    entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o755 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, binary, zipfile.ZIP_DEFLATED)
    return path
