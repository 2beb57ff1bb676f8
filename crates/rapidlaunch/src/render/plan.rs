//! A plan as a person reads it: what is done to whom, old and new values, what restarts, what is left alone and why.

mod rules;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rl_model::{
    Action, ActionKind, AddressMode, Change, Consequence, FieldKey, GuestName, Memory, Note, NoteLevel, PartAction,
    PartSign, Placement, PlanReport, PropertyString, ResolvedGuest,
};

use super::style::{Style, count};
use crate::shape::plan::PlanDocument;

/// Most names listed before the rest is counted.
const NAMES_SHOWN_MAX: usize = 8;

/// The whole text of a plan and its report.
pub(crate) fn plan(plan: &PlanDocument<'_>, style: Style) -> String {
    let report = &*plan.report;
    let mut out = String::new();
    let placements: BTreeMap<&GuestName, &Placement> = report.placements.iter().map(|p| (&p.guest, p)).collect();
    let title = if plan.destroy { "Plan to destroy stack" } else { "Plan for stack" };
    let _ = writeln!(out, "{} {}\n", style.bold(title), style.cyan(plan.stack.as_str()));
    for action in plan.actions.iter() {
        action_text(&mut out, action, placements.get(&action.stamp.name).copied(), plan.destroy, style);
    }
    for part in plan.parts.iter() {
        part_text(&mut out, part, plan.destroy, style);
    }
    notes(&mut out, &report.notes, style);
    unchanged(&mut out, report, style);
    let _ = writeln!(out, "{}", summary(plan, style));
    out
}

fn action_text(out: &mut String, action: &Action, placement: Option<&Placement>, destroy: bool, style: Style) {
    let name = action.stamp.name.as_str();
    let place = format!("{}/{}, VMID {}", action.site, action.node, action.vmid);
    let head = match &action.kind {
        ActionKind::Create { .. } => style.green(&format!("+ create  {name}")),
        ActionKind::Update { .. } => style.yellow(&format!("~ update  {name}")),
        ActionKind::Replace { .. } => style.magenta(&format!("± replace {name}")),
        ActionKind::Remove { .. } => style.red(&format!("- remove  {name}")),
        ActionKind::Forget => style.dim(&format!("  forget  {name}")),
    };
    let _ = writeln!(out, "  {head}  {}", style.dim(&format!("({place})")));
    match &action.kind {
        ActionKind::Create { guest } => create(out, guest, placement, style),
        ActionKind::Update { changes, move_to, power, firewall, .. } => {
            changes_text(out, changes, style);
            if let Some(change) = firewall {
                rules::change(out, &action.stamp.guest, change, style);
            }
            if let Some(node) = move_to {
                let _ = writeln!(out, "      node         {} -> {}", action.node, node);
            }
            power_text(out, *power, style);
        }
        ActionKind::Replace { guest, changes, was_running, .. } => {
            changes_text(out, changes, style);
            let gone =
                if *was_running { "it is shut down, destroyed and made anew" } else { "it is destroyed and made anew" };
            let _ = writeln!(out, "      {}", style.magenta(gone));
            volumes_lost(out, guest, style);
        }
        ActionKind::Remove { was_running, .. } => {
            let gone = if *was_running {
                "it is shut down and destroyed with its disks"
            } else {
                "it is destroyed with its disks"
            };
            let _ = writeln!(out, "      {}", style.red(gone));
        }
        ActionKind::Forget => {
            let _ =
                writeln!(out, "      {}", style.dim("it is gone already; its VMID, MACs and addresses are given back"));
        }
    }
    // The plan's own head says why the guests of a destroyed stack go.
    let told = destroy || matches!(action.kind, ActionKind::Create { .. } | ActionKind::Forget);
    for reason in action.reasons.iter().filter(|_| !told) {
        let _ = writeln!(out, "      {}", style.dim(&format!("because {reason}")));
    }
    out.push('\n');
}

fn part_text(out: &mut String, action: &PartAction, destroy: bool, style: Style) {
    let part = action.kind.part();
    let _ = writeln!(out, "  {}", style.bold(&part.subject()));
    for line in part.lines() {
        let text = match line.sign {
            PartSign::Add => style.green(&format!("+ {}", line.text)),
            PartSign::Change => style.yellow(&format!("~ {}", line.text)),
            PartSign::Remove => style.red(&format!("- {}", line.text)),
        };
        let _ = writeln!(out, "      {text}");
    }
    for reason in action.reasons.iter().filter(|_| !destroy) {
        let _ = writeln!(out, "      {}", style.dim(&format!("because {reason}")));
    }
    out.push('\n');
}

fn create(out: &mut String, guest: &ResolvedGuest, placement: Option<&Placement>, style: Style) {
    let cores = count(guest.cores as usize, "core", "cores");
    let swap = if guest.swap == Memory::from_mib(0) { String::new() } else { format!(", {} swap", guest.swap) };
    let _ =
        writeln!(out, "      size         {cores}, {} memory{swap}, {} on {}", guest.memory, guest.disk, guest.storage);
    let _ = writeln!(out, "      image        {}", guest.image);
    for nic in &guest.nics {
        let vlan = nic.vlan.map(|vlan| format!(" vlan {vlan}")).unwrap_or_default();
        let addresses: Vec<String> = [&nic.ipv4, &nic.ipv6].into_iter().filter_map(address).collect();
        let addresses = if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
        let label = format!("{} ({})", nic.name, nic.slot);
        let _ = writeln!(out, "      {label:<12} {addresses}, {} on {}{vlan}", nic.mac, nic.bridge);
    }
    for volume in &guest.volumes {
        let _ = writeln!(
            out,
            "      {:<12} {} at {} on {}",
            volume.slot.to_string(),
            volume.size,
            volume.path,
            volume.storage
        );
    }
    if !guest.running {
        let _ = writeln!(out, "      state        stopped");
    }
    if let Some(firewall) = &guest.firewall {
        rules::new(out, firewall, style);
    }
    if let Some(placement) = placement {
        let _ = writeln!(out, "      {}", style.dim(&format!("placed: {}", placement.why)));
        for (node, why) in &placement.refused {
            let _ = writeln!(out, "      {}", style.dim(&format!("not on {node}: {why}")));
        }
    }
}

fn address(mode: &AddressMode) -> Option<String> {
    match mode {
        AddressMode::None => None,
        AddressMode::Dhcp => Some("by DHCP".to_owned()),
        AddressMode::Auto => Some("by autoconfiguration".to_owned()),
        AddressMode::Static { address, .. } => Some(address.to_string()),
    }
}

fn volumes_lost(out: &mut String, guest: &ResolvedGuest, style: Style) {
    for volume in &guest.volumes {
        let text = format!("data volume {} ({}, {}) is lost", volume.name, volume.size, volume.path);
        let _ = writeln!(out, "      {}", style.red(&text));
    }
}

fn changes_text(out: &mut String, changes: &[Change], style: Style) {
    for change in changes {
        let restart = if change.key.needs_restart() { style.yellow("  (at its next start)") } else { String::new() };
        if change.key == FieldKey::Description {
            let _ = writeln!(out, "      description  is written anew{restart}");
            continue;
        }
        for (what, from, to) in change_lines(change) {
            let (from, to) = (style.red(&or_none(&from)), style.green(&or_none(&to)));
            let _ = writeln!(out, "      {what:<12} {from} -> {to}{restart}");
        }
    }
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "(none)".to_owned() } else { text.to_owned() }
}

/// One line a changed part: of a property string only the parts that differ are shown.
fn change_lines(change: &Change) -> Vec<(String, String, String)> {
    let whole = |from: &str, to: &str| vec![(change.key.to_string(), from.to_owned(), to.to_owned())];
    match change.key {
        FieldKey::Memory | FieldKey::Swap => whole(&mib(&change.from), &mib(&change.to)),
        FieldKey::OnBoot | FieldKey::Protection | FieldKey::Unprivileged => {
            whole(on_off(&change.from), on_off(&change.to))
        }
        FieldKey::Nic(_) | FieldKey::Mount(_) | FieldKey::RootFs
            if !change.from.is_empty() && !change.to.is_empty() =>
        {
            let (from, to) = (PropertyString::parse(&change.from), PropertyString::parse(&change.to));
            let keys: std::collections::BTreeSet<&str> = from.pairs().chain(to.pairs()).map(|(key, _)| key).collect();
            let value = |side: &PropertyString, key: &str| side.get(key).unwrap_or_default().to_owned();
            keys.into_iter()
                .map(|key| (format!("{} {key}", change.key), value(&from, key), value(&to, key)))
                .filter(|(_, from, to)| from != to)
                .collect()
        }
        _ => whole(&change.from, &change.to),
    }
}

fn mib(text: &str) -> String {
    text.parse().map_or_else(|_| text.to_owned(), |mib| Memory::from_mib(mib).to_string())
}

fn on_off(text: &str) -> &'static str {
    if text == "1" { "on" } else { "off" }
}

fn power_text(out: &mut String, power: Consequence, style: Style) {
    let text = match power {
        Consequence::Keep => return,
        Consequence::Start => style.green("it is started"),
        Consequence::Stop => style.yellow("it is shut down"),
        Consequence::Restart => style.yellow("it is restarted"),
        Consequence::NextStart => style.dim("some changes wait for its next start"),
    };
    let _ = writeln!(out, "      {text}");
}

fn notes(out: &mut String, notes: &[Note], style: Style) {
    let mut sorted: Vec<&Note> = notes.iter().collect();
    sorted.sort_by_key(|note| std::cmp::Reverse(note.level));
    for note in &sorted {
        let word = match note.level {
            NoteLevel::Blocked => style.red("  blocked"),
            NoteLevel::Warning => style.yellow("  warning"),
            NoteLevel::Info => style.dim("  note"),
        };
        let guest = note.guest.as_ref().map(|guest| format!("{guest}: ")).unwrap_or_default();
        let _ = writeln!(out, "{word}: {guest}{}", note.message);
        if let Some(hint) = &note.hint {
            let _ = writeln!(out, "    {} {hint}", style.cyan("hint:"));
        }
    }
    if !sorted.is_empty() {
        out.push('\n');
    }
}

fn unchanged(out: &mut String, report: &PlanReport, style: Style) {
    if report.unchanged.is_empty() {
        return;
    }
    let names: Vec<&str> = report.unchanged.iter().take(NAMES_SHOWN_MAX).map(GuestName::as_str).collect();
    let rest = report.unchanged.len() - names.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let _ = writeln!(out, "  {}", style.dim(&format!("unchanged: {}{more}", names.join(", "))));
    if report.shallow > 0 {
        let guests = count(report.shallow as usize, "guest was", "guests were");
        let _ = writeln!(
            out,
            "  {}",
            style.dim(&format!("{guests} compared by the resource list only; --deep reads every configuration"))
        );
    }
    out.push('\n');
}

/// The last line: counts by verb.
fn summary(plan: &PlanDocument<'_>, style: Style) -> String {
    if plan.empty {
        let text = if plan.blocked {
            "Nothing can be done until a person acts."
        } else {
            "Nothing to do: the stack is as declared."
        };
        return style.bold(text);
    }
    let mut parts = Vec::new();
    for verb in ["create", "update", "replace", "remove", "forget"] {
        let n = plan.actions.iter().filter(|action| action.kind.verb() == verb).count();
        if n > 0 {
            parts.push(format!("{n} to {verb}"));
        }
    }
    if !plan.parts.is_empty() {
        parts.push(count(plan.parts.len(), "other part", "other parts"));
    }
    let restarts = plan.actions.iter().filter(|action| restarts(&action.kind)).count();
    if restarts > 0 {
        parts.push(count(restarts, "restart", "restarts"));
    }
    style.bold(&format!("{}. Plan {}.", parts.join(", "), plan.id))
}

fn restarts(kind: &ActionKind) -> bool {
    matches!(
        kind,
        ActionKind::Update { power: Consequence::Restart, .. } | ActionKind::Replace { was_running: true, .. }
    )
}
