//! The program that measures and judges the search index, with few generated posts.

use std::process::Command;

#[test]
fn searches_find_what_a_look_at_every_text_finds() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_search-index"));
    let output = program.args(["--count", "150", "--searches", "60"]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains("; 0 differ from a look at all 150 texts"), "{printed}");
    assert!(!printed.contains(" found 0 posts"), "{printed}");
}
