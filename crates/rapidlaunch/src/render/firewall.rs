//! What a firewall does with a packet, as a person reads it.

use std::fmt::Write as _;

use rl_model::Vmid;
use rl_model::firewall::AddressRange;
use rl_planner::firewall::{Engine, Level, Outcome, Stage, Step, TCP, UDP, Verdict, Way};

use super::style::{Style, count};
use crate::shape::firewall::{ExplainShape, NetworkShape, PacketFacts, PacketShape, PartShape, WalkShape};

/// The guests of a question, for whom a walk names them.
#[derive(Clone, Copy)]
struct Names<'a> {
    sender: Option<(&'a str, Vmid)>,
    receiver: &'a str,
}

impl<'a> Names<'a> {
    fn of(packet: &'a PacketFacts) -> Self {
        let sender = packet.sender.as_ref().map(|sender| (sender.guest.as_str(), sender.vmid));
        Self { sender, receiver: packet.guest.as_deref().unwrap_or_default() }
    }

    fn name(self, vmid: Vmid) -> &'a str {
        self.sender.filter(|(_, sender)| *sender == vmid).map_or(self.receiver, |(name, _)| name)
    }
}

/// The verdict, the step that decides, and every step before it; of the parts of a network every step only where `all` are wanted.
pub(crate) fn text(shape: &ExplainShape, all: bool, style: Style) -> String {
    match shape {
        ExplainShape::Packet(packet) => one(packet, style),
        ExplainShape::Network(network) => parts(network, all, style),
    }
}

fn one(shape: &PacketShape, style: Style) -> String {
    let (packet, names) = (&shape.packet, Names::of(&shape.packet));
    let sender = names.sender.map(|(name, _)| format!("{name}, ")).unwrap_or_default();
    let (from, to) = (format!("{sender}{}", packet.source), format!("{} ({})", names.receiver, target(packet)));
    let mut out = format!("{} from {from} to {to}\n", verdict(shape.walk.verdict, style));
    decided(&mut out, names, &shape.walk, style);
    for stage in &shape.walk.stages {
        stage_text(&mut out, names, stage, style);
    }
    out
}

/// A line for every part of a network, and below it the walk of each.
fn parts(network: &NetworkShape, all: bool, style: Style) -> String {
    let names = Names { sender: None, receiver: &network.to };
    let mut out = String::new();
    for part in &network.parts {
        let _ = writeln!(out, "{} from {} to {}", verdict(part.walk.verdict, style), range(part), network.to);
        decided(&mut out, names, &part.walk, style);
        if all {
            part.walk.stages.iter().for_each(|stage| stage_text(&mut out, names, stage, style));
        }
    }
    let kinds = count(network.parts.len(), "part", "parts");
    let _ = writeln!(out, "\nThe rules treat the network in {kinds}; -v shows the walk of each.");
    out
}

fn range(part: &PartShape) -> String {
    let PartShape { first, last, .. } = part;
    AddressRange::new(*first, *last).map_or_else(|_| format!("{first}-{last}"), |range| range.to_string())
}

fn target(packet: &PacketFacts) -> String {
    let Some(port) = packet.port else { return format!("{}, ping", packet.destination) };
    let name = match packet.protocol {
        TCP => "tcp".to_owned(),
        UDP => "udp".to_owned(),
        other => format!("protocol {other}"),
    };
    format!("{}, {name} port {port}", packet.destination)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "ACCEPT",
        Verdict::Drop => "DROP",
        Verdict::Reject => "REJECT",
        Verdict::Unclear => "UNCLEAR",
    }
}

fn verdict(verdict: Verdict, style: Style) -> String {
    let text = word(verdict);
    style.bold(&match verdict {
        Verdict::Accept => style.green(text),
        Verdict::Drop | Verdict::Reject => style.red(text),
        Verdict::Unclear => style.yellow(text),
    })
}

fn decided(out: &mut String, names: Names<'_>, walk: &WalkShape, style: Style) {
    let (Some(stage), Some(step)) = (walk.deciding_stage(), &walk.decided_by) else { return };
    let way = match stage.way {
        Way::In => "in to",
        Way::Out => "out of",
    };
    let at = format!("{} on the way {way} {}", place(step), names.name(stage.vmid));
    let lead = if walk.verdict == Verdict::Unclear { "else decided by" } else { "decided by" };
    let _ = writeln!(out, "  {lead} {at}: {}{}", style.cyan(&step.text), comment(step));
    if walk.verdict == Verdict::Unclear {
        for doubt in stage.doubts() {
            if let Outcome::Unsure(why) = &doubt.outcome {
                let _ = writeln!(out, "  it depends on {}: {} ({why})", place(doubt), doubt.text);
            }
        }
    }
}

fn comment(step: &Step) -> String {
    step.comment.as_ref().map(|text| format!("  # {text}")).unwrap_or_default()
}

fn place(step: &Step) -> String {
    let at = step.position.map(|position| position.to_string()).unwrap_or_default();
    match (&step.level, step.called_at) {
        (Level::Switch, _) => "a switch".into(),
        (Level::Builtin, _) => "Proxmox itself".into(),
        (Level::Policy, _) => "the policy".into(),
        (Level::Group(name), Some(called)) => format!("rule {at} of group {name}, called by rule {called}"),
        (Level::Group(name), None) => format!("rule {at} of group {name}"),
        (Level::Guest, _) => format!("rule {at}"),
    }
}

fn stage_text(out: &mut String, names: Names<'_>, stage: &Stage, style: Style) {
    let way = match stage.way {
        Way::In => "In to",
        Way::Out => "Out of",
    };
    let engine = match stage.engine {
        Engine::Iptables => "pve-firewall",
        Engine::Nftables => "proxmox-firewall on nftables",
    };
    let head = format!("{way} {}, {} on {}", names.name(stage.vmid), stage.nic, stage.node);
    let _ = writeln!(out, "\n{} {}", style.bold(&head), style.dim(&format!("({engine})")));
    for step in &stage.steps {
        let (mark, why) = match &step.outcome {
            Outcome::Decides(decided) => (word(*decided), String::new()),
            Outcome::Passes(why) => ("-", why.clone()),
            Outcome::LeftOut(why) => ("left out", why.clone()),
            Outcome::Entered => ("enter", String::new()),
            Outcome::Unsure(why) => ("unsure", why.clone()),
        };
        let indent = if matches!(step.level, Level::Group(_)) { "  " } else { "" };
        let label = match (&step.level, step.position) {
            (Level::Guest | Level::Group(_), Some(position)) => format!("{indent}{position}"),
            (Level::Switch, _) => "switch".into(),
            (Level::Policy, _) => "policy".into(),
            _ => "built in".into(),
        };
        let why = if why.is_empty() { String::new() } else { style.dim(&format!("  ({why})")) };
        let _ = writeln!(out, "  {label:<8} {mark:<8} {}{}{why}", step.text, comment(step));
    }
}
