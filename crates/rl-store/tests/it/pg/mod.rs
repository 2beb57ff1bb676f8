//! The journal in PostgreSQL, against real servers.
mod conformance;
mod lab;
