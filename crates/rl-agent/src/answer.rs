//! What an agent answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What came of an order that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    /// A command ended.
    Ended(Ended),
    /// A file stands under its name with this digest, read back inside the guest.
    Written {
        /// SHA-256 in hexadecimal digits.
        sha256: String,
    },
    /// A file's content was sent.
    Content {
        /// Its length in bytes.
        bytes: u64,
        /// SHA-256 in hexadecimal digits.
        sha256: String,
    },
    /// What is known of a file.
    File {
        /// `None` when it is not there.
        found: Option<FileFacts>,
    },
    /// A file is not there any more.
    Removed {
        /// Whether it was.
        was_there: bool,
    },
    /// Files below a folder.
    Files {
        /// Their paths, sorted.
        paths: Vec<String>,
    },
    /// The guest has no lock.
    Unlocked {
        /// The lock it had.
        was: Option<String>,
    },
    /// The guest's configuration.
    Config {
        /// Keys as Proxmox names them.
        keys: BTreeMap<String, String>,
    },
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// It ran into its time limit and was ended.
    #[serde(default)]
    pub timed_out: bool,
    /// There was more output than was brought back.
    #[serde(default)]
    pub cut: bool,
    /// It had run before under the same name; this is the answer of that time.
    #[serde(default)]
    pub repeated: bool,
    /// The output of that time is no longer known: the agent has been started anew since.
    #[serde(default)]
    pub output_lost: bool,
}

/// What is known of a file inside a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group by name, `root:root`.
    pub owner: String,
    /// Owner and group by number, `0:0`.
    pub ids: String,
}

/// Why an agent did not do what it was asked. Nothing was done, except for `Unknown` and `Failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Refusal {
    /// No guest has the VMID on this node.
    #[error("no container has VMID {vmid} on this node")]
    NotHere {
        /// The VMID.
        vmid: u32,
    },
    /// The guest under the VMID is not the one that is meant.
    #[error("container {vmid} {how}")]
    NotOurs {
        /// The VMID.
        vmid: u32,
        /// How that shows, in a sentence.
        how: String,
    },
    /// The guest does not run.
    #[error("container {vmid} does not run")]
    NotRunning {
        /// The VMID.
        vmid: u32,
    },
    /// A later claim of the job has been here.
    #[error("the order carries fence {given} of its job, and {kept} was here before")]
    OldFence {
        /// The order's fence.
        given: u64,
        /// The highest that was seen.
        kept: u64,
    },
    /// The order was begun before, and how it ended was not written down.
    #[error("the command was begun before and nobody knows how it ended; it is not run again")]
    Unknown,
    /// The same order is being carried out right now.
    #[error("the same order is being carried out")]
    UnderWay,
    /// Who asked does not want it any more.
    #[error("the order was taken back before it began")]
    TakenBack,
    /// A task or another program works on the guest.
    #[error("container {vmid} is in use: {by}")]
    InUse {
        /// The VMID.
        vmid: u32,
        /// By whom.
        by: String,
    },
    /// Too much is under way on this node.
    #[error("the agent has {limit} orders under way, which is its limit")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// The agent does not know what is asked of it, or it is malformed.
    #[error("the agent does not understand the order: {what}")]
    NotUnderstood {
        /// What is wrong.
        what: String,
    },
    /// It was tried and went wrong.
    #[error("{what}")]
    Failed {
        /// What went wrong.
        what: String,
    },
}

impl Refusal {
    /// Whether asking again later may help without anybody doing something.
    pub fn passes(&self) -> bool {
        matches!(self, Self::UnderWay | Self::InUse { .. } | Self::Busy { .. } | Self::TakenBack)
    }
}
