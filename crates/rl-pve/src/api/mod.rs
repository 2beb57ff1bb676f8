//! Every call RapidLaunch makes, as functions from arguments to a [`Request`](crate::Request); one file per branch of the tree.

pub mod access;
pub mod cluster;
pub mod firewall;
pub mod lxc;
mod lxc_create;
mod lxc_patch;
mod lxc_snapshot;
pub mod network;
pub mod nodes;
pub mod pools;
pub mod qemu;
pub mod storage;
pub mod tasks;
pub mod version;
