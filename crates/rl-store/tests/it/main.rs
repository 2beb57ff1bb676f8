//! Tests of the store from outside.
#![allow(clippy::unwrap_used)]

mod conformance;
mod crash;
mod domain;
mod many;
mod undecodable;
