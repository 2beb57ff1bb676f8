//! A proof and a list of drift as a person reads them.

use std::fmt::Write as _;

use rl_model::{Drift, Proof, ProofItem};

use super::style::{Style, count};

/// Every guest on a line, failed comparisons beneath with both values; `all` shows those that hold too.
pub(crate) fn proof(proof: &Proof, all: bool, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} {}\n", style.bold("Proof of stack"), style.cyan(proof.stack.as_str()));
    let width = proof.items.iter().map(|item| item.guest.as_str().len()).max().unwrap_or(0);
    for item in &proof.items {
        item_text(&mut out, item, width, all, style);
    }
    let (checks, failed) = proof.counts();
    let guests = count(proof.items.len(), "guest", "guests");
    let verdict = if proof.ok {
        style.green(&format!("Proven: {guests}, {}, all hold.", count(checks, "comparison", "comparisons")))
    } else {
        style.red(&format!("Not proven: {failed} of {checks} comparisons failed."))
    };
    let _ = writeln!(out, "\n{}", style.bold(&verdict));
    out
}

fn item_text(out: &mut String, item: &ProofItem, width: usize, all: bool, style: Style) {
    let mark = if item.ok() { style.green("ok  ") } else { style.red("FAIL") };
    let node = item.node.as_ref().map_or("-", |node| node.as_str());
    let vmid = item.vmid.map_or_else(|| "-".to_owned(), |vmid| vmid.to_string());
    let place = format!("{}/{node}, VMID {vmid}, {}", item.site, count(item.checks.len(), "comparison", "comparisons"));
    let _ = writeln!(out, "  {mark} {:<width$}  {}", item.guest.as_str(), style.dim(&place));
    for check in item.checks.iter().filter(|check| all || !check.ok) {
        if check.ok {
            let _ = writeln!(out, "         {}", style.dim(&format!("{}: {}", check.name, check.found)));
        } else {
            let _ = writeln!(
                out,
                "         {}: expected {}, found {}",
                check.name,
                style.green(&check.expected),
                style.red(&check.found)
            );
        }
    }
}

/// One line a difference.
pub(crate) fn drift(drift: &[Drift], style: Style) -> String {
    let mut out = String::new();
    for entry in drift {
        let name = entry.guest.as_ref().map_or("-", |guest| guest.as_str());
        let place = match (&entry.site, entry.vmid) {
            (Some(site), Some(vmid)) => format!("({site}, VMID {vmid})"),
            _ => "(no guest)".to_owned(),
        };
        let _ = writeln!(out, "  {} {} {}", style.yellow("~"), style.bold(name), style.dim(&place));
        let _ = writeln!(out, "      {}", entry.message);
    }
    out
}
