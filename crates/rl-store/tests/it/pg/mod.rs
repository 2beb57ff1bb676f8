//! The journal in PostgreSQL, against real servers.
mod conformance;
mod faults;
mod lab;
mod load;
mod proxy;
mod servers;
mod standby;
mod tls;
