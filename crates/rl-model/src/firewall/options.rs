//! Switches and policies of the three levels, with Proxmox's defaults told apart from what is set.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// What a rule or a policy does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirewallAction {
    /// Let it pass.
    Accept,
    /// Throw it away without a word.
    Drop,
    /// Throw it away and tell the sender.
    Reject,
}

impl FirewallAction {
    /// As Proxmox spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Drop => "DROP",
            Self::Reject => "REJECT",
        }
    }
}

impl FromStr for FirewallAction {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "ACCEPT" => Ok(Self::Accept),
            "DROP" => Ok(Self::Drop),
            "REJECT" => Ok(Self::Reject),
            _ => Err(ParseError::new("firewall action", text, "it must be ACCEPT, DROP or REJECT")),
        }
    }
}

impl fmt::Display for FirewallAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `GET /cluster/firewall/options`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatacenterOptions {
    /// The first switch; off unless set.
    pub enable: bool,
    /// Policy for packets to a node, DROP unless set. Not used for guests.
    pub policy_in: Option<FirewallAction>,
    /// Policy for packets from a node, ACCEPT unless set. Not used for guests.
    pub policy_out: Option<FirewallAction>,
    /// Whether frames of bridges are filtered too; on unless set.
    #[serde(default)]
    pub ebtables: Option<bool>,
    /// How much is logged, as Proxmox writes it.
    #[serde(default)]
    pub log_ratelimit: Option<String>,
}

/// `GET /nodes/{node}/firewall/options`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOptions {
    /// Whether the node's own rules are used. Has no bearing on guests.
    pub enable: bool,
    /// Whether the newer implementation, `proxmox-firewall` on nftables, is used in place of `pve-firewall` on iptables.
    pub nftables: bool,
    /// Whether packets from broadcast addresses are dropped; on unless set.
    pub nosmurfs: bool,
    /// Whether packets with impossible TCP flags are dropped.
    pub tcpflags: bool,
    /// Whether packets that connection tracking calls invalid pass on to the rules.
    pub allow_invalid: bool,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self { enable: true, nftables: false, nosmurfs: true, tcpflags: false, allow_invalid: false }
    }
}

/// `GET /nodes/{node}/lxc/{vmid}/firewall/options`, likewise for `qemu`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestOptions {
    /// The second switch; off unless set.
    pub enable: bool,
    /// Whether DHCP passes by itself. Published with the default 0, yet both implementations take an unset one as 1.
    pub dhcp: bool,
    /// Whether IPv6 neighbour discovery passes by itself; on unless set.
    pub ndp: bool,
    /// Whether the guest may send router advertisements.
    pub radv: bool,
    /// Whether packets that do not bear the NIC's MAC are dropped; on unless set.
    pub macfilter: bool,
    /// Whether packets that do not bear an address of the NIC are dropped.
    pub ipfilter: bool,
    /// Policy for packets to the guest, DROP unless set.
    pub policy_in: Option<FirewallAction>,
    /// Policy for packets from the guest, ACCEPT unless set.
    pub policy_out: Option<FirewallAction>,
    /// Log level of packets to the guest.
    #[serde(default)]
    pub log_level_in: Option<String>,
    /// Log level of packets from the guest.
    #[serde(default)]
    pub log_level_out: Option<String>,
}

impl Default for GuestOptions {
    fn default() -> Self {
        Self {
            enable: false,
            dhcp: true,
            ndp: true,
            radv: false,
            macfilter: true,
            ipfilter: false,
            policy_in: None,
            policy_out: None,
            log_level_in: None,
            log_level_out: None,
        }
    }
}

impl GuestOptions {
    /// The log level in force for packets to the guest.
    pub fn log_in(&self) -> &str {
        self.log_level_in.as_deref().unwrap_or(super::LOG_OFF)
    }

    /// The log level in force for packets from the guest.
    pub fn log_out(&self) -> &str {
        self.log_level_out.as_deref().unwrap_or(super::LOG_OFF)
    }

    /// The policy in force for packets to the guest.
    pub fn inbound(&self) -> FirewallAction {
        self.policy_in.unwrap_or(FirewallAction::Drop)
    }

    /// The policy in force for packets from the guest.
    pub fn outbound(&self) -> FirewallAction {
        self.policy_out.unwrap_or(FirewallAction::Accept)
    }
}
