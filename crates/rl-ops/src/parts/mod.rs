//! The jobs of the parts of a plan, one family a file.

pub(crate) mod firewall;
