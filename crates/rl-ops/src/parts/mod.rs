//! The jobs of the parts of a plan, one family a file.

pub(crate) mod dns;
pub(crate) mod firewall;
pub(crate) mod secrets;
