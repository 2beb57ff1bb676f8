//! Steps, jobs and proofs against a simulated site.
#![allow(clippy::unwrap_used)]

mod book;
mod lab;
mod proofs;
