//! A node: its size, its bridges and whether it is up.

use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) cores: u32,
    /// Bytes.
    pub(crate) memory: u64,
    /// Bytes of the root file system.
    pub(crate) disk: u64,
    pub(crate) up: bool,
    /// Cluster number, from 1; 0 on a standalone node.
    pub(crate) number: u32,
    pub(crate) ip: String,
    pub(crate) bridges: Vec<Bridge>,
    /// Node options as text.
    pub(crate) options: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Bridge {
    pub(crate) name: String,
    /// Address with prefix length.
    pub(crate) address: Option<String>,
    pub(crate) gateway: Option<String>,
    pub(crate) ports: String,
    pub(crate) vlan_aware: bool,
}
