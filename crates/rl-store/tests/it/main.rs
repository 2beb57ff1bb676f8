//! Tests of the store from outside.
#![allow(clippy::unwrap_used)]

mod access;
mod agents;
mod check;
mod commits;
mod conformance;
mod copy;
mod crash;
mod dns;
mod domain;
mod eio;
mod full;
mod home;
mod many;
mod pg;
mod records;
mod samples;
mod secrets;
mod undecodable;
