//! What a firewall does with a packet, as a person and as a machine reads it.

use std::fmt::Write as _;

use rl_model::Vmid;
use rl_planner::firewall::{
    Engine, Explanation, Level, Outcome, Packet, Part, Question, SourcePort, Stage, Step, Verdict, Way,
};
use rl_store::GuestRecord;
use serde_json::{Value, json};

use super::style::{Style, count};
use crate::work::firewall::ask::{Asked, Payload, Source};

/// The verdict on a whole network: that of its parts where they are one.
pub(crate) fn overall(parts: &[Part]) -> Verdict {
    let first = parts.first().map_or(Verdict::Unclear, |part| part.explanation.verdict);
    let one = parts.iter().all(|part| part.explanation.verdict == first);
    if one { first } else { Verdict::Unclear }
}

/// The verdict, the step that decides, and every step before it.
pub(crate) fn text(asked: &Asked, question: &Question, explanation: &Explanation, style: Style) -> String {
    let from = format!("{}{}", sender(asked), question.packet.source);
    let to = format!("{} ({})", asked.to.record.name, packet(&question.packet, asked.payload));
    let mut out = format!("{} from {from} to {to}\n", verdict(explanation.verdict, style));
    decided(&mut out, asked, explanation, style);
    for stage in &explanation.stages {
        stage_text(&mut out, asked, stage, style);
    }
    out
}

/// A line for every part of a network, and below it the walk of each.
pub(crate) fn parts(asked: &Asked, parts: &[Part], all: bool, style: Style) -> String {
    let mut out = String::new();
    for part in parts {
        let range = part.range.to_string();
        let _ = writeln!(out, "{} from {range} to {}", verdict(part.explanation.verdict, style), asked.to.record.name);
        decided(&mut out, asked, &part.explanation, style);
        if all {
            part.explanation.stages.iter().for_each(|stage| stage_text(&mut out, asked, stage, style));
        }
    }
    let kinds = count(parts.len(), "part", "parts");
    let _ = writeln!(out, "\nThe rules treat the network in {kinds}; -v shows the walk of each.");
    out
}

/// The same for machines.
pub(crate) fn json(
    payload: Payload,
    to: Option<&GuestRecord>,
    question: &Question,
    explanation: &Explanation,
) -> Value {
    let mut value = walk_json(explanation);
    value["packet"] = packet_json(payload, to, &question.packet);
    value
}

/// A network for machines.
pub(crate) fn parts_json(asked: &Asked, overall: Verdict, parts: &[Part]) -> Value {
    let part = |part: &Part| {
        let mut value = walk_json(&part.explanation);
        value["first"] = json!(part.range.first());
        value["last"] = json!(part.range.last());
        value
    };
    json!({
        "to": asked.to.record.name,
        "verdict": overall,
        "parts": parts.iter().map(part).collect::<Vec<_>>(),
    })
}

fn walk_json(explanation: &Explanation) -> Value {
    json!({
        "verdict": explanation.verdict,
        "decided_by": explanation.deciding(),
        "decided_in": explanation.decided_in,
        "stages": explanation.stages,
    })
}

fn packet_json(payload: Payload, to: Option<&GuestRecord>, packet: &Packet) -> Value {
    let ports = matches!(payload, Payload::Port(..));
    json!({
        "source": packet.source,
        "destination": packet.dest,
        "protocol": packet.proto,
        "port": ports.then_some(packet.dport),
        "source_port": match packet.sport { SourcePort::Known(port) => Some(port), SourcePort::Picked => None },
        "icmp_type": (!ports).then_some(packet.icmp.0),
        "guest": to.map(|guest| &guest.name),
        "vmid": to.map(|guest| guest.vmid),
    })
}

fn sender(asked: &Asked) -> String {
    match &asked.source {
        Source::Guest(party) => format!("{}, ", party.record.name),
        Source::Address(_) | Source::Network(_) => String::new(),
    }
}

fn packet(packet: &Packet, payload: Payload) -> String {
    match payload {
        Payload::Ping => format!("{}, ping", packet.dest),
        Payload::Port(proto, port) => {
            let name = match proto {
                rl_planner::firewall::TCP => "tcp".to_owned(),
                rl_planner::firewall::UDP => "udp".to_owned(),
                other => format!("protocol {other}"),
            };
            format!("{}, {name} port {port}", packet.dest)
        }
    }
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

fn name(asked: &Asked, vmid: Vmid) -> String {
    match &asked.source {
        Source::Guest(party) if party.record.vmid == vmid => party.record.name.to_string(),
        _ => asked.to.record.name.to_string(),
    }
}

fn decided(out: &mut String, asked: &Asked, explanation: &Explanation, style: Style) {
    let (Some(stage), Some(step)) = (explanation.deciding_stage(), explanation.deciding()) else { return };
    let way = match stage.way {
        Way::In => "in to",
        Way::Out => "out of",
    };
    let at = format!("{} on the way {way} {}", place(step), name(asked, stage.vmid));
    let lead = if explanation.verdict == Verdict::Unclear { "else decided by" } else { "decided by" };
    let _ = writeln!(out, "  {lead} {at}: {}{}", style.cyan(&step.text), comment(step));
    if explanation.verdict == Verdict::Unclear {
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

fn stage_text(out: &mut String, asked: &Asked, stage: &Stage, style: Style) {
    let way = match stage.way {
        Way::In => "In to",
        Way::Out => "Out of",
    };
    let engine = match stage.engine {
        Engine::Iptables => "pve-firewall",
        Engine::Nftables => "proxmox-firewall on nftables",
    };
    let head = format!("{way} {}, {} on {}", name(asked, stage.vmid), stage.nic, stage.node);
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
