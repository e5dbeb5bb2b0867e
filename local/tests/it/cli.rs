//! An error at start is one clear line on standard error, with exit code 1, and comes before anything is built.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use tidings_local::data_dir::DataDir;

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidings-local")).args(arguments).current_dir(WORKSPACE).output().unwrap()
}

#[track_caller]
fn assert_refused(arguments: &[&str], expected: &str) {
    let output = run(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with(&format!("tidings-local: {expected}")), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_refused(&["--port", &port], &format!("cannot listen on 127.0.0.1:{port}"));
}

#[test]
fn a_data_directory_that_cannot_be_created_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    assert_refused(&["--port", "0", "--data", path], &format!("cannot create the data directory {path}"));
}

#[test]
fn a_data_directory_in_use_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let _in_use = DataDir::open(Some(directory.path())).unwrap();
    let expected = format!("the data directory {path} is in use by another local stack");
    assert_refused(&["--port", "0", "--data", path], &expected);
}

#[test]
fn a_broken_template_is_named_with_the_place() {
    let directory = tempfile::tempdir().unwrap();
    let template = directory.path().join("broken.yaml");
    let source = std::fs::read_to_string(Path::new(WORKSPACE).join("template.yaml")).unwrap();
    let broken = source.replace("Type: AWS::Kinesis::Stream", "Type: AWS::Kinesis::Brook");
    let line = 1 + broken.lines().position(|line| line.contains("Brook")).unwrap();
    std::fs::write(&template, broken).unwrap();
    let shown = template.to_str().unwrap();
    assert_refused(
        &["--port", "0", "--template", shown],
        &format!("{shown}:{line}:11: the local stack does not know the resource type `AWS::Kinesis::Brook`"),
    );
}

#[test]
fn a_parameter_that_the_template_does_not_have_is_named() {
    assert_refused(&["--port", "0", "--parameter", "Typo=1"], "--parameter Typo: the template has no such parameter");
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_named() {
    assert_refused(&["gateway", "--endpoint", "http://127.0.0.1:1", "--port", "0"], "cannot reach http://127.0.0.1:1");
}

#[test]
fn the_dynamodb_server_names_a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_refused(&["dynamodb", "--port", &port], &format!("cannot listen on 127.0.0.1:{port}"));
}
