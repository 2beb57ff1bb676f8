//! The state a site starts from, as a JSON file gives it.

mod build;
mod firewall;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use build::insert_guest;
pub use firewall::SeedFirewall;

/// Everything a site starts with. Unknown keys are errors; what is left out gets a default or is empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedState {
    /// The nodes: names, or objects with sizes.
    pub nodes: Vec<SeedNode>,
    /// Storages of the cluster.
    #[serde(default)]
    pub storages: Vec<SeedStorage>,
    /// Volume ids of container templates, on every node that has their storage.
    #[serde(default)]
    pub templates: Vec<String>,
    /// Bridges on every node that does not name its own.
    #[serde(default)]
    pub bridges: Vec<SeedBridge>,
    /// Pools.
    #[serde(default)]
    pub pools: Vec<SeedPool>,
    /// Roles beside the built-in ones.
    #[serde(default)]
    pub roles: Vec<SeedRole>,
    /// Groups of users.
    #[serde(default)]
    pub groups: Vec<SeedGroup>,
    /// Users; root@pam exists in any case.
    #[serde(default)]
    pub users: Vec<SeedUser>,
    /// API tokens.
    #[serde(default)]
    pub tokens: Vec<SeedToken>,
    /// The access control list.
    #[serde(default)]
    pub acl: Vec<SeedAcl>,
    /// Guests that are there already, ours or a stranger's.
    #[serde(default)]
    pub guests: Vec<SeedGuest>,
    /// Firewall files that are there already.
    #[serde(default)]
    pub firewall: SeedFirewall,
}

/// A node.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum SeedNode {
    /// A node of the default size.
    Name(String),
    /// A node with sizes.
    Sized(SizedNode),
}

/// A node with sizes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizedNode {
    /// Its name.
    pub name: String,
    /// CPU threads.
    #[serde(default)]
    pub cores: Option<u32>,
    /// Memory, with a unit as in `64G`.
    #[serde(default)]
    pub memory: Option<String>,
    /// Root file system, with a unit.
    #[serde(default)]
    pub disk: Option<String>,
    /// Bridges of this node alone.
    #[serde(default)]
    pub bridges: Option<Vec<SeedBridge>>,
}

/// Reads a name or an object by hand, because a derived reader of either would not name the key that is wrong.
impl<'de> Deserialize<'de> for SeedNode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = SeedNode;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a node's name or an object with `name`")
            }
            fn visit_str<E>(self, name: &str) -> Result<SeedNode, E> {
                Ok(SeedNode::Name(name.to_owned()))
            }
            fn visit_map<M: serde::de::MapAccess<'de>>(self, map: M) -> Result<SeedNode, M::Error> {
                SizedNode::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(SeedNode::Sized)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl SeedNode {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Sized(node) => &node.name,
        }
    }
}

/// A storage.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedStorage {
    /// Its id.
    pub id: String,
    /// dir, btrfs, zfspool, lvmthin, nfs and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it may hold.
    pub content: Vec<String>,
    /// One storage for all nodes, or one of the same name on each.
    #[serde(default)]
    pub shared: Option<bool>,
    /// The nodes it is on; all when left out.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// How large it is, with a unit as in `500G`.
    #[serde(default)]
    pub size: Option<String>,
    /// Where it is mounted.
    #[serde(default)]
    pub path: Option<String>,
}

/// A bridge.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedBridge {
    /// Its name.
    pub name: String,
    /// The node's address on it, with prefix length.
    #[serde(default)]
    pub address: Option<String>,
    /// The node's gateway.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Ports, separated by blanks.
    #[serde(default)]
    pub ports: Option<String>,
    /// Takes VLAN tags.
    #[serde(default)]
    pub vlan_aware: bool,
}

/// A pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedPool {
    /// Its id.
    pub id: String,
    /// A comment.
    #[serde(default)]
    pub comment: Option<String>,
}

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedRole {
    /// Its id.
    pub id: String,
    /// Its privileges.
    pub privs: Vec<String>,
}

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedGroup {
    /// Its id.
    pub id: String,
    /// A comment.
    #[serde(default)]
    pub comment: Option<String>,
    /// Its members.
    #[serde(default)]
    pub members: Vec<String>,
}

/// A user. Its password is for a simulated site only.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedUser {
    /// `name@realm`.
    pub id: String,
    /// For logins with a ticket.
    #[serde(default)]
    pub password: Option<String>,
    /// A comment.
    #[serde(default)]
    pub comment: Option<String>,
    /// Mail address.
    #[serde(default)]
    pub email: Option<String>,
}

impl std::fmt::Debug for SeedUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedUser").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A token. Its secret is for a simulated site only.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedToken {
    /// `name@realm!token`.
    pub id: String,
    /// A UUID.
    pub secret: String,
    /// Whether its own privileges limit those of its user.
    #[serde(default)]
    pub privsep: bool,
}

impl std::fmt::Debug for SeedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An entry of the access control list, about a user, a token or a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedAcl {
    /// The path.
    pub path: String,
    /// The user.
    #[serde(default)]
    pub user: Option<String>,
    /// The token.
    #[serde(default)]
    pub token: Option<String>,
    /// The group.
    #[serde(default)]
    pub group: Option<String>,
    /// The role.
    pub role: String,
    /// Handed down to paths below.
    #[serde(default = "yes")]
    pub propagate: bool,
}

fn yes() -> bool {
    true
}

/// A guest that is already there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedGuest {
    /// Its number.
    pub vmid: u32,
    /// The node it is on.
    pub node: String,
    /// `lxc` or `qemu`.
    #[serde(default, rename = "type")]
    pub kind: SeedKind,
    /// Keys of its config file.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Whether it runs.
    #[serde(default)]
    pub running: bool,
    /// The pool it is in.
    #[serde(default)]
    pub pool: Option<String>,
}

/// What a guest is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeedKind {
    /// A container.
    #[default]
    Lxc,
    /// A virtual machine, which can only be listed.
    Qemu,
}

/// A seed that contradicts itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The JSON cannot be read.
    #[error("the state file cannot be read: {0}; fix the key or value it names")]
    Json(String),
    /// No node.
    #[error("the state names no node; give at least one under `nodes`")]
    NoNode,
    /// Something refers to what is not there.
    #[error("{what} names {kind} '{name}', which the state does not have; add it or correct the name")]
    Unknown { what: String, kind: &'static str, name: String },
    /// A value that cannot be read.
    #[error("{what}: '{value}' is not {expected}")]
    Value { what: String, value: String, expected: &'static str },
}

impl SeedState {
    /// Reads a state from JSON; an unknown key is named in the error.
    pub fn from_json(text: &str) -> Result<Self, SeedError> {
        serde_json::from_str(text).map_err(|e| SeedError::Json(e.to_string()))
    }

    /// `nodes` nodes pve1, pve2 ... in one cluster, with storages, templates, a bridge and a token for root@pam.
    pub fn default_cluster(nodes: usize, token_secret: &str) -> Self {
        let storage = |id: &str, kind: &str, content: &[&str], shared: bool, size: &str| SeedStorage {
            id: id.to_owned(),
            kind: kind.to_owned(),
            content: content.iter().map(|c| (*c).to_owned()).collect(),
            shared: Some(shared),
            nodes: Vec::new(),
            size: Some(size.to_owned()),
            path: None,
        };
        let sized = |n: usize| SizedNode {
            name: format!("pve{n}"),
            cores: Some(32),
            memory: Some("256G".to_owned()),
            disk: Some("500G".to_owned()),
            bridges: None,
        };
        Self {
            nodes: (1..=nodes.max(1)).map(|n| SeedNode::Sized(sized(n))).collect(),
            storages: vec![
                storage("local", "dir", &["vztmpl", "iso", "backup", "snippets"], false, "500G"),
                storage("local-zfs", "zfspool", &["rootdir", "images"], false, "4T"),
                storage("shared", "nfs", &["rootdir", "images", "vztmpl", "iso", "backup"], true, "20T"),
            ],
            templates: vec![
                "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst".to_owned(),
                "local:vztmpl/alpine-3.20-default_20240908_amd64.tar.xz".to_owned(),
            ],
            bridges: vec![SeedBridge {
                name: "vmbr0".to_owned(),
                address: Some("10.0.0.1/16".to_owned()),
                gateway: None,
                ports: Some("eno1".to_owned()),
                vlan_aware: true,
            }],
            pools: Vec::new(),
            roles: Vec::new(),
            groups: Vec::new(),
            users: vec![SeedUser {
                id: "root@pam".to_owned(),
                password: Some("rapidlaunch".to_owned()),
                comment: None,
                email: None,
            }],
            tokens: vec![SeedToken {
                id: "root@pam!rapidlaunch".to_owned(),
                secret: token_secret.to_owned(),
                privsep: false,
            }],
            acl: Vec::new(),
            guests: Vec::new(),
            firewall: SeedFirewall::default(),
        }
    }

    pub(crate) fn node_names(&self) -> Vec<String> {
        self.nodes.iter().map(|n| n.name().to_owned()).collect()
    }

    /// The first token of root@pam with full rights, else the first token: `id=secret`.
    pub(crate) fn first_token(&self) -> Option<String> {
        let rooted = self.tokens.iter().find(|t| t.id.starts_with("root@pam!") && !t.privsep);
        rooted.or_else(|| self.tokens.first()).map(|t| format!("{}={}", t.id, t.secret))
    }
}
