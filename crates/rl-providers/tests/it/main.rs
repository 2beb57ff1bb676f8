//! The providers against real DNS servers from Debian, and against a small server that holds to Cloudflare's contract.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod dns;
