//! No call goes unmetered: what would make one does not compile.
//!
//! Each file in `unmetered/` is a program with one mistake; beside it stands what the compiler says. After a
//! new compiler has changed its words, `TRYBUILD=overwrite` writes them anew: read them before you keep them.

#[test]
fn a_call_without_a_held_grant_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/unmetered/*.rs");
}
