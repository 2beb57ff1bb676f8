//! Proxmox's own ids: VMID, node, storage, volume and UPID.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;
use crate::names::text_newtype;
use crate::net::string_serde;

/// Mount points a container may have: `mp0` to `mp255` (`pve-api`: `mp[n]`).
const MOUNT_SLOTS: u16 = 256;

/// Number of a guest in its cluster, 100 to 999,999,999 (format `pve-vmid`). A VMID is a lease, not an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vmid(u32);

impl TryFrom<u32> for Vmid {
    type Error = ParseError;
    fn try_from(number: u32) -> Result<Self, ParseError> {
        match number {
            100..=999_999_999 => Ok(Self(number)),
            _ => Err(ParseError::new("VMID", &number.to_string(), "it must lie between 100 and 999999999")),
        }
    }
}

impl From<Vmid> for u32 {
    fn from(vmid: Vmid) -> u32 {
        vmid.0
    }
}

impl FromStr for Vmid {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        let number = text.parse::<u32>().ok().filter(|_| digits);
        number.map_or_else(
            || Err(ParseError::new("VMID", text, "it must be a number between 100 and 999999999")),
            Self::try_from,
        )
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The VMIDs a site gives to RapidLaunch, both ends included, as in `2000-2999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VmidRange {
    first: Vmid,
    last: Vmid,
}

impl VmidRange {
    /// A range; `first` must not lie behind `last`.
    pub fn new(first: Vmid, last: Vmid) -> Result<Self, ParseError> {
        if first <= last {
            return Ok(Self { first, last });
        }
        Err(ParseError::new("VMID range", &format!("{first}-{last}"), "its first number is greater than its last"))
    }

    /// Whether the VMID lies in the range.
    pub fn contains(self, vmid: Vmid) -> bool {
        (self.first..=self.last).contains(&vmid)
    }

    /// Both ends.
    pub fn bounds(self) -> RangeInclusive<Vmid> {
        self.first..=self.last
    }

    /// Every VMID of the range, lowest first.
    pub fn iter(self) -> impl Iterator<Item = Vmid> {
        (self.first.0..=self.last.0).map(Vmid)
    }

    /// How many VMIDs the range has; never zero, both ends belong to it.
    pub fn size(self) -> u32 {
        self.last.0 - self.first.0 + 1
    }
}

impl FromStr for VmidRange {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (first, last) = text
            .split_once('-')
            .ok_or_else(|| ParseError::new("VMID range", text, "write it as first-last, as in 2000-2999"))?;
        Self::new(first.trim().parse()?, last.trim().parse()?)
    }
}

impl fmt::Display for VmidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

text_newtype!(
    /// One Proxmox host (format `pve-node`).
    NodeName, "node name", |text| {
        let edges = |c: char| c.is_ascii_alphanumeric();
        if text.is_empty() || text.len() > 63 {
            return Err("it must have 1 to 63 characters".into());
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') || !text.starts_with(edges) || !text.ends_with(edges) {
            return Err("only letters, digits and inner `-` are allowed".into());
        }
        Ok(())
    }
);
text_newtype!(
    /// A storage of a site (format `pve-storage-id`).
    StorageId, "storage name", |text| {
        if text.len() < 2 || text.len() > 100 {
            return Err("it must have 2 to 100 characters".into());
        }
        if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err("it must begin with a letter".into());
        }
        if !text.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err("it must end with a letter or a digit".into());
        }
        match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.".contains(*c))) {
            Some(bad) => Err(format!("the character `{bad}` is not allowed, only letters, digits, `-`, `_` and `.`")),
            None => Ok(()),
        }
    }
);
text_newtype!(
    /// A volume or template: storage, colon, name within the storage.
    VolumeId, "volume", |text| {
        let (storage, name) = text.split_once(':').ok_or("write it as storage:name")?;
        storage.parse::<StorageId>().map_err(|e| format!("its storage part is wrong: {}", e.rule))?;
        if name.is_empty() || name.len() > 255 {
            return Err("its name part must have 1 to 255 characters".into());
        }
        if name.chars().any(|c| c.is_control() || c.is_whitespace() || c == ',') || name.split('/').any(|part| part == "..") {
            return Err("spaces, commas, control characters and `..` are not allowed".into());
        }
        Ok(())
    }
);

impl VolumeId {
    /// The storage the volume lies on.
    pub fn storage(&self) -> StorageId {
        let (storage, _) = self.as_str().split_once(':').expect("a parsed VolumeId has a colon");
        storage.parse().expect("a parsed VolumeId begins with a valid storage")
    }
}

/// Number of a mount point: `mp0` is slot 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MountSlot(u16);

impl MountSlot {
    /// The slot with this number, below 256.
    pub fn new(number: u16) -> Result<Self, ParseError> {
        if number < MOUNT_SLOTS {
            return Ok(Self(number));
        }
        Err(ParseError::new(
            "mount point",
            &number.to_string(),
            format!("a container has mp0 to mp{}", MOUNT_SLOTS - 1),
        ))
    }

    /// The number alone.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl FromStr for MountSlot {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::new("mount point", text, "it must be `mp` and a number, as in `mp0`");
        let digits = text.strip_prefix("mp").ok_or_else(wrong)?;
        if digits.is_empty()
            || (digits.len() > 1 && digits.starts_with('0'))
            || !digits.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(wrong());
        }
        Self::new(digits.parse().map_err(|_| wrong())?)
    }
}

impl fmt::Display for MountSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mp{}", self.0)
    }
}

/// Proxmox's id of one task: `UPID:node:pid:pstart:starttime:type:id:user:` (`PVE::UPID`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Upid {
    text: std::sync::Arc<str>,
    node: NodeName,
    started_s: u64,
}

impl Upid {
    /// The text as Proxmox gave it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The node that runs the task.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// When the task began, in seconds of Unix time by the node's clock.
    pub fn started_s(&self) -> u64 {
        self.started_s
    }

    /// The task's type, such as `vzcreate`.
    pub fn kind(&self) -> &str {
        self.field(5)
    }

    /// What the task is about, most often a VMID; may be empty.
    pub fn subject(&self) -> &str {
        self.field(6)
    }

    /// Who started it: `user@realm` or `user@realm!token`.
    pub fn user(&self) -> &str {
        self.field(7)
    }

    fn field(&self, index: usize) -> &str {
        self.text.split(':').nth(index).unwrap_or_default()
    }
}

impl FromStr for Upid {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = |rule: &str| ParseError::new("UPID", text, rule);
        let parts: Vec<&str> = text.split(':').collect();
        if parts.len() != 9 || parts[0] != "UPID" || !parts[8].is_empty() {
            return Err(wrong("it must be UPID:node:pid:pstart:starttime:type:id:user:"));
        }
        let hex = |part: &str, len: RangeInclusive<usize>| {
            len.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit())
        };
        if !hex(parts[2], 8..=8) || !hex(parts[3], 8..=9) || !hex(parts[4], 8..=8) {
            return Err(wrong("its pid, pstart or starttime is not hexadecimal of the right length"));
        }
        if parts[5].is_empty()
            || parts[7].is_empty()
            || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/')
        {
            return Err(wrong("its type or user is missing or has a forbidden character"));
        }
        let started_s = u64::from_str_radix(parts[4], 16).map_err(|_| wrong("its starttime is not hexadecimal"))?;
        Ok(Self { text: text.into(), node: parts[1].parse()?, started_s })
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

string_serde!(VmidRange, MountSlot, Upid);
