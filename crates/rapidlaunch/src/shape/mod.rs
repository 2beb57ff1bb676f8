//! What machines are shown: the same shapes on the command line (`--output json`) and over the API.

pub(crate) mod access;
pub(crate) mod agent;
pub(crate) mod audit;
pub(crate) mod change;
pub(crate) mod firewall;
pub(crate) mod guest;
pub(crate) mod operation;
pub(crate) mod plan;
pub(crate) mod quota;
pub(crate) mod schedule;
pub(crate) mod secret;
pub(crate) mod site;
pub(crate) mod stack;
