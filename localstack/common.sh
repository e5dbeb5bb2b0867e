# Sourced by the scripts beside it: where things are, and virtual environments that are set up once. Everything that is
# made lies in target/, caches too.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HERE=$ROOT/localstack
STATE=$ROOT/target/localstack
TOOLS=$ROOT/target/tools
export XDG_CACHE_HOME=$ROOT/target/cache npm_config_cache=$ROOT/target/cache/npm
export CARGO_ZIGBUILD_CACHE_DIR=$XDG_CACHE_HOME/zigbuild ZIG_GLOBAL_CACHE_DIR=$XDG_CACHE_HOME/zig
export PYTHONPYCACHEPREFIX=$XDG_CACHE_HOME/python

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# venv DIRECTORY PYTHON REQUIREMENTS: a virtual environment with these packages, made anew when they change.
venv() {
    local directory=$1 python=$2 requirements=$3 made_of
    made_of=$("$python" --version && cat "$requirements")
    [ "$made_of" != "$(cat "$directory/made-of" 2>/dev/null)" ] || return 0
    echo "setting up $directory, once" >&2
    rm -rf "$directory"
    "$python" -m venv "$directory"
    # Most of what comes is never used, so only that is compiled which is.
    "$directory/bin/pip" install --quiet --no-compile --disable-pip-version-check --requirement "$requirements"
    echo "$made_of" >"$directory/made-of"
}

# cargo-lambda, its linker, and the AWS SDK for Python.
tools() { venv "$TOOLS" python3 "$HERE/tools.txt"; }

# The command line of tidings_deploy.
tidings_deploy() {
    tools
    PYTHONPATH=$HERE exec "$TOOLS/bin/python" -m tidings_deploy "$@"
}
