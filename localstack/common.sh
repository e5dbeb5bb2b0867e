# The other scripts in this directory source this file. It has the paths, and functions that create virtual
# environments. All files that the scripts create are below target/, caches included.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HERE=$ROOT/localstack
STATE=$ROOT/target/localstack
TOOLS=$ROOT/target/tools
export XDG_CACHE_HOME=$ROOT/target/cache npm_config_cache=$ROOT/target/cache/npm
export CARGO_ZIGBUILD_CACHE_DIR=$XDG_CACHE_HOME/zigbuild ZIG_GLOBAL_CACHE_DIR=$XDG_CACHE_HOME/zig
export PYTHONPYCACHEPREFIX=$XDG_CACHE_HOME/python
# What is deployed is optimised as a whole, which takes long (docs/decisions/0022). These scripts, and CI, do without.
# They share what they compile, so all have the same settings. The number of codegen units is left to cargo-lambda:
# with 16 of them, a zip exceeds the limit.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=${CARGO_PROFILE_RELEASE_OPT_LEVEL:-s}
export CARGO_PROFILE_RELEASE_LTO=${CARGO_PROFILE_RELEASE_LTO:-off}

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# uv ARGUMENTS...: runs uv, which installs Python packages many times faster than pip.
uv() {
    local directory=$ROOT/target/uv
    if [ ! -x "$directory/bin/uv" ]; then
        python3 -m venv "$directory"
        "$directory/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
    fi
    "$directory/bin/uv" --quiet --cache-dir "$XDG_CACHE_HOME/uv" "$@"
}

# venv DIRECTORY PYTHON REQUIREMENTS: a virtual environment with these packages. It is created again when they change.
venv() {
    local directory=$1 python=$2 requirements=$3 made_of
    made_of=$("$python" --version && cat "$requirements")
    [ "$made_of" != "$(cat "$directory/made-of" 2>/dev/null)" ] || return 0
    echo "creating $directory; this happens once" >&2
    rm -rf "$directory"
    "$python" -m venv --without-pip "$directory"
    uv pip install --python "$directory/bin/python" --requirement "$requirements"
    echo "$made_of" >"$directory/made-of"
}

# Installs cargo-lambda, its linker, and the AWS SDK for Python.
tools() { venv "$TOOLS" python3 "$HERE/tools.txt"; }

# Runs tidings_deploy.
tidings_deploy() {
    tools
    PYTHONPATH=$HERE exec "$TOOLS/bin/python" -m tidings_deploy "$@"
}
