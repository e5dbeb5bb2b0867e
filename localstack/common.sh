# Sourced by the scripts beside it: where things are, and virtual environments that are set up once. Everything that is
# made lies in target/, caches too.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HERE=$ROOT/localstack
STATE=$ROOT/target/localstack
export XDG_CACHE_HOME=$ROOT/target/cache
export CARGO_ZIGBUILD_CACHE_DIR=$XDG_CACHE_HOME/zigbuild ZIG_GLOBAL_CACHE_DIR=$XDG_CACHE_HOME/zig
export PYTHONDONTWRITEBYTECODE=1

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# venv DIRECTORY PYTHON PIP-ARGUMENT…: a virtual environment with these packages, made anew when what it is made of changes.
venv() {
    local directory=$1 python=$2 made_of
    shift 2
    made_of=$("$python" --version; echo "$@"; cat "$HERE"/*.txt "$HERE"/plugin/*.toml "$HERE"/plugin/*/*.py)
    if [ "$made_of" != "$(cat "$directory/made-of" 2>/dev/null)" ]; then
        rm -rf "$directory"
        "$python" -m venv "$directory"
        "$directory/bin/pip" install --quiet --disable-pip-version-check "$@"
        echo "$made_of" >"$directory/made-of"
    fi
}

# The command line of tidings_deploy.
tidings_deploy() {
    venv "$ROOT/target/tools" python3 --requirement "$HERE/tools.txt"
    PYTHONPATH=$HERE exec "$ROOT/target/tools/bin/python" -m tidings_deploy "$@"
}
