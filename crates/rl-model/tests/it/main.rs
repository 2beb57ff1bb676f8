//! What must not compile: kinds of ids do not convert into each other, and no secret can be shown or stored.

#[test]
fn kinds_do_not_mix() {
    trybuild::TestCases::new().compile_fail("tests/it/mixed/*.rs");
}
