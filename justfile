# Common tasks. `just` alone lists them. Install just with `cargo install just`, `pip install rust-just`, or see
# https://just.systems. Every task is one or two commands that also work without just.

# Lists the tasks
default:
    @just --list

# Runs the whole system on this machine; `just run --port 8080`
run *arguments:
    cargo run -- {{arguments}}

# Runs all tests, or those whose names contain a filter: `just test mute`
test *filter:
    cargo test --workspace {{filter}}

# Checks formatting, lints, lengths of lines and files, and import cycles
lint:
    .ci/style
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings

# Formats the code
fmt:
    cargo fmt

# Runs everything that has to pass before a change is merged
ci:
    .ci/run

# Runs random histories in the simulated world: `just sim 10000`
sim seeds="1000":
    cargo run --release -p simulation -- --seeds {{seeds}}

# Replays one history of the simulation: `just seed 42`
seed number:
    cargo run --release -p simulation -- --seed {{number}}

# Runs a benchmark: replay, lag, deliveries, likes, costs or cpu: `just bench lag --rate 20`
bench name *arguments:
    cargo run --release -p bench --bin {{name}} -- {{arguments}}

# Tests the console in Chromium, or the tests whose names contain a filter: `just console offline`
console *filter:
    web/test {{filter}}

# Tests openapi.yaml with generated requests for some seconds
contract seconds="80":
    .ci/contract {{seconds}}

# Builds, deploys and runs the smoke test on LocalStack; `just localstack --all` runs every end-to-end test
localstack *arguments:
    localstack/test {{arguments}}

# Builds all functions for AWS and checks their sizes
functions architecture="arm64":
    localstack/build --architecture {{architecture}}
