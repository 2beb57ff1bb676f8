//! The `rapidlaunch` binary.
fn main() {}
