//! Tests of the store from outside.
#![allow(clippy::unwrap_used)]

mod check;
mod conformance;
mod crash;
mod copy;
mod domain;
mod home;
mod many;
mod samples;
mod undecodable;
