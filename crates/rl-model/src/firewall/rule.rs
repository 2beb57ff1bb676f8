//! One rule, read from the texts Proxmox answers with.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;
use crate::names::text_newtype;

use super::{AddressSpec, FirewallAction, GroupName, MacroName, PortSpec, RuleIface};

/// Longest protocol name; `/etc/protocols` has none longer than 15.
const PROTOCOL_LEN_MAX: usize = 24;
/// Longest comment that is kept: what a line of a terminal shows several times over.
const COMMENT_CHARS_MAX: usize = 512;

text_newtype!(
    /// Protocol of a rule, as a name or a number of `/etc/protocols`.
    ProtocolName, "protocol", |text| {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.+/".contains(c);
        if text.is_empty() || text.len() > PROTOCOL_LEN_MAX || !text.chars().all(good) {
            return Err(format!("it must have 1 to {PROTOCOL_LEN_MAX} letters, digits or `-_.+/`"));
        }
        Ok(())
    }
);

/// The fields of a rule as texts, as the API lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleText {
    /// Position, from 0.
    pub pos: u32,
    /// `in`, `out`, `forward` or `group`.
    pub kind: String,
    /// Action, or the name of a group.
    pub action: String,
    /// Whether the rule is on.
    pub enable: bool,
    /// Macro.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_name: Option<String>,
    /// Interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iface: Option<String>,
    /// Source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest: Option<String>,
    /// Protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<String>,
    /// Source ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sport: Option<String>,
    /// Destination ports, or the ICMP type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dport: Option<String>,
    /// ICMP type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<String>,
    /// Log level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What Proxmox found wrong with the rule, by field. It leaves such a rule out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, String>,
}

/// What a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleKind {
    /// Packets towards the place the rule stands at.
    In(FirewallAction),
    /// Packets from the place the rule stands at.
    Out(FirewallAction),
    /// Packets that pass through a node or a VNet; never used for guests.
    Forward(FirewallAction),
    /// All rules of a group, in its place.
    Group(GroupName),
}

/// Why a rule is not used or not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Proxmox says that it is faulty, and leaves it out.
    LeftOut(String),
    /// Proxmox may well use it, but it cannot be read here.
    Unreadable(String),
}

/// A rule of a guest, a node, the datacenter or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallRule {
    /// Position in its list, from 0.
    pub position: u32,
    /// Whether it is on.
    pub enabled: bool,
    /// Direction and action, or the group.
    pub kind: RuleKind,
    /// Macro whose protocols and ports it takes.
    pub macro_name: Option<MacroName>,
    /// Interface it is bound to.
    pub iface: Option<RuleIface>,
    /// Addresses the packet comes from.
    pub source: Option<AddressSpec>,
    /// Addresses the packet goes to.
    pub dest: Option<AddressSpec>,
    /// Protocol.
    pub proto: Option<ProtocolName>,
    /// Ports the packet comes from.
    pub sport: Option<PortSpec>,
    /// Ports the packet goes to; for ICMP the type.
    pub dport: Option<PortSpec>,
    /// ICMP type by name.
    pub icmp_type: Option<String>,
    /// Log level. A level writes a line and never decides.
    pub log: Option<String>,
    /// Comment, cut to a bounded length, without control characters.
    pub comment: Option<String>,
    /// Why it is not used or not understood.
    pub fault: Option<Fault>,
}

impl FirewallRule {
    /// Reads a rule. Nothing is refused: what cannot be read is left empty and told as [`Fault::Unreadable`].
    pub fn read(text: &RuleText) -> Self {
        let mut bad = Vec::new();
        let kind = kind(text).unwrap_or_else(|error| {
            bad.push(error.to_string());
            RuleKind::Forward(FirewallAction::Drop)
        });
        let mut rule = Self {
            position: text.pos,
            enabled: text.enable,
            kind,
            macro_name: field(text.macro_name.as_deref(), &mut bad),
            iface: field(text.iface.as_deref(), &mut bad),
            source: field(text.source.as_deref(), &mut bad),
            dest: field(text.dest.as_deref(), &mut bad),
            proto: field(text.proto.as_deref(), &mut bad),
            sport: field(text.sport.as_deref(), &mut bad),
            dport: field(text.dport.as_deref(), &mut bad),
            icmp_type: text.icmp_type.as_deref().filter(|name| !name.is_empty()).map(printable),
            log: text.log.as_deref().map(printable),
            comment: text.comment.as_deref().map(printable),
            fault: None,
        };
        rule.fault = fault(text, &bad);
        rule
    }
}

fn fault(text: &RuleText, bad: &[String]) -> Option<Fault> {
    if let Some((field, message)) = text.errors.iter().next() {
        return Some(Fault::LeftOut(printable(&format!("{field}: {}", message.trim()))));
    }
    (!bad.is_empty()).then(|| Fault::Unreadable(bad.join("; ")))
}

fn kind(text: &RuleText) -> Result<RuleKind, ParseError> {
    match text.kind.as_str() {
        "in" => text.action.parse().map(RuleKind::In),
        "out" => text.action.parse().map(RuleKind::Out),
        "forward" => text.action.parse().map(RuleKind::Forward),
        "group" => text.action.parse().map(RuleKind::Group),
        other => Err(ParseError::new("rule type", other, "it must be in, out, forward or group")),
    }
}

fn field<T: FromStr<Err = ParseError>>(text: Option<&str>, bad: &mut Vec<String>) -> Option<T> {
    let text = text.filter(|text| !text.is_empty())?;
    text.parse().map_err(|error: ParseError| bad.push(error.to_string())).ok()
}

/// Cuts a text from a site to what a terminal can show.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(COMMENT_CHARS_MAX).collect()
}

/// In the words of Proxmox's own rule files, the comment left out: `IN ACCEPT -i net0 -source +web -p tcp -dport 443`.
impl fmt::Display for FirewallRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, action) = match &self.kind {
            RuleKind::In(action) => ("IN", action.to_string()),
            RuleKind::Out(action) => ("OUT", action.to_string()),
            RuleKind::Forward(action) => ("FORWARD", action.to_string()),
            RuleKind::Group(name) => ("GROUP", name.to_string()),
        };
        match &self.macro_name {
            Some(name) => write!(f, "{word} {name}({action})")?,
            None => write!(f, "{word} {action}")?,
        }
        let parts: [(&str, Option<&dyn fmt::Display>); 7] = [
            ("-i", self.iface.as_ref().map(|v| v as _)),
            ("-source", self.source.as_ref().map(|v| v as _)),
            ("-dest", self.dest.as_ref().map(|v| v as _)),
            ("-p", self.proto.as_ref().map(|v| v as _)),
            ("-dport", self.dport.as_ref().map(|v| v as _)),
            ("-sport", self.sport.as_ref().map(|v| v as _)),
            ("-icmp-type", self.icmp_type.as_ref().map(|v| v as _)),
        ];
        for (word, value) in parts {
            if let Some(value) = value {
                write!(f, " {word} {value}")?;
            }
        }
        Ok(())
    }
}
