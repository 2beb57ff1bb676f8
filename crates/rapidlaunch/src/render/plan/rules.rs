//! The rules of a guest in a plan: all of them for a new guest, the list before and after for one that is there.

use std::fmt::Write as _;

use rl_model::GuestId;
use rl_model::firewall::edit::{RuleList, apply, edits};
use rl_model::firewall::{FirewallChange, FirewallRule, ResolvedFirewall, RuleId, RuleText};

use crate::render::style::Style;

/// The firewall of a new guest.
pub(super) fn new(out: &mut String, firewall: &ResolvedFirewall, style: Style) {
    let policies = format!("inbound {}, outbound {}", firewall.policy_in, firewall.policy_out);
    let _ = writeln!(out, "      firewall     {policies}");
    for rule in &firewall.rules {
        let _ = writeln!(out, "        {}", style.green(&format!("+ {}", shown(rule))));
    }
}

/// The whole list as it was seen, and as it will be, rules of others among them.
pub(super) fn change(out: &mut String, guest: &GuestId, change: &FirewallChange, style: Style) {
    let list = RuleList::new(RuleId::prefix(guest));
    let mut after = change.seen.rules.clone();
    // The order in which the calls are made does not matter for what is there in the end.
    edits(&list, change.wanted.as_ref(), &change.seen, false).iter().for_each(|edit| apply(&mut after, edit));
    match &change.wanted {
        Some(wanted) => {
            let _ = writeln!(out, "      firewall     inbound {}, outbound {}", wanted.policy_in, wanted.policy_out);
        }
        None => {
            let _ = writeln!(out, "      firewall     {}", style.red("switched off"));
        }
    }
    for (title, rules) in [("rules before", &change.seen.rules), ("rules after", &after)] {
        let _ = writeln!(out, "      {title}{}", if rules.is_empty() { ": none" } else { "" });
        for (place, rule) in rules.iter().enumerate() {
            let whose = if list.id(rule).is_some() { "" } else { "  (not ours)" };
            let _ = writeln!(out, "        {place:>3} {}{}", shown(rule), style.dim(whose));
        }
    }
}

fn shown(rule: &RuleText) -> String {
    let text = FirewallRule::read(rule).to_string();
    if rule.enable { text } else { format!("{text} (off)") }
}
