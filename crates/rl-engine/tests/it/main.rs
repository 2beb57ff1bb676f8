//! Tests of the engine from outside.
#![allow(clippy::unwrap_used)]

mod conformance;
