//! The stamp: the identity written into a guest, and read back before every change.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ControllerId, GuestId, GuestName, StackName, Tag};

/// What the stamp's line in the description begins with.
const LINE_PREFIX: &str = "rapidlaunch: ";
/// What the stamp's tag begins with.
const TAG_PREFIX: &str = "rl-";

/// Says which guest this is, of which stack, and which RapidLaunch installation looks after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The guest's identity.
    pub guest: GuestId,
    /// Its stack.
    pub stack: StackName,
    /// Its name in the stack.
    pub name: GuestName,
    /// The installation.
    pub controller: ControllerId,
}

impl Stamp {
    /// The tag: `rl-` and the guest's short id.
    pub fn tag(&self) -> Tag {
        Self::tag_of(&self.guest)
    }

    /// The stamp's tag of a guest.
    pub fn tag_of(guest: &GuestId) -> Tag {
        format!("{TAG_PREFIX}{}", guest.short()).parse().expect("a short id is made of tag characters")
    }

    /// Whether a tag has the form of a stamp's tag, of whatever guest or installation.
    pub fn is_stamp_tag(tag: &str) -> bool {
        tag.strip_prefix(TAG_PREFIX).is_some_and(|short| {
            short.len() == 12
                && short.bytes().all(|b| b.is_ascii_digit() || (b.is_ascii_lowercase() && !b"ilou".contains(&b)))
        })
    }

    /// Finds the stamp in a description. `None` when there is no line of a stamp, when it does not parse, or when
    /// there are two that differ: a guest that claims two identities has none.
    pub fn find(description: &str) -> Option<Self> {
        let mut found: Option<Self> = None;
        for line in description.lines().filter_map(|line| line.trim().strip_prefix(LINE_PREFIX)) {
            let stamp = Self::parse_line(line)?;
            if found.as_ref().is_some_and(|earlier| *earlier != stamp) {
                return None;
            }
            found = Some(stamp);
        }
        found
    }

    /// The description of a guest: the user's notes, then the stamp's line.
    pub fn description(&self, notes: &str) -> String {
        match notes.trim_end() {
            "" => format!("{self}\n"),
            notes => format!("{notes}\n\n{self}\n"),
        }
    }

    /// The notes in a description: all but the stamp's lines.
    pub fn notes_of(description: &str) -> String {
        let lines: Vec<&str> = description.lines().filter(|line| !line.trim().starts_with(LINE_PREFIX)).collect();
        lines.join("\n").trim().to_owned()
    }

    fn parse_line(line: &str) -> Option<Self> {
        let mut parts = line.split_whitespace();
        let mut field = |key: &str| parts.next()?.strip_prefix(key)?.strip_prefix('=');
        let stamp = Self {
            guest: field("guest")?.parse().ok()?,
            stack: field("stack")?.parse().ok()?,
            name: field("name")?.parse().ok()?,
            controller: field("controller")?.parse().ok()?,
        };
        parts.next().is_none().then_some(stamp)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { guest, stack, name, controller } = self;
        write!(f, "{LINE_PREFIX}guest={guest} stack={stack} name={name} controller={controller}")
    }
}
