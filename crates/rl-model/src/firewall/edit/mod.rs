//! The fewest calls that turn a list of rules into the one that is wanted, in an order that is safe at every moment.
//!
//! Rules are recognised by the id in their comment, never by their place. Rules of others stay where they are.
//!
//! Safe means: after each call, every packet meets the verdict it had before or the one it shall have. So nothing passes
//! that neither list lets pass, and nothing is refused that both let pass. The order that gives this:
//!
//! 1. From the top down, each new rule is put into its place above all old ones of its gap, a rule that moves up is moved,
//!    and a rule that becomes wider is rewritten. A packet that meets one of them has met nothing of the list above, which
//!    is complete; one that meets an old rule has met all that stood above it before.
//! 2. The policies change: only packets that neither an old nor a new rule names meet them.
//! 3. From the bottom up, each old rule goes, a rule that moves down is moved, and one that becomes narrower is rewritten.
//!
//! A rule is inserted disabled and enabled in its place, because Proxmox inserts at the top only (`PVE/API2/Firewall/Rules.pm`).

mod content;
mod merge;

use super::{GuestOptions, ObservedFirewall, ResolvedFirewall, RuleText};

pub use content::{RULE_KEYS, fields_of, same_rule};
pub use merge::RuleList;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// `POST rules`: the rule becomes the first of the list.
    Insert(RuleText),
    /// `PUT rules/{from}` with `moveto`.
    Move {
        /// Where it is.
        from: usize,
        /// Where it is afterwards.
        to: usize,
    },
    /// `PUT rules/{at}`: the rule becomes this one, in its place.
    Rewrite {
        /// Where it is.
        at: usize,
        /// As it shall be; fields it does not have are deleted.
        rule: RuleText,
    },
    /// `DELETE rules/{at}`.
    Delete {
        /// Where it is.
        at: usize,
    },
    /// `PUT options`.
    Options(OptionsEdit),
}

impl Edit {
    /// The value of `moveto`: an index in the list as it is, before which the rule is put.
    pub fn moveto(from: usize, to: usize) -> usize {
        if to > from { to + 1 } else { to }
    }
}

/// Options of a guest that are set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OptionsEdit {
    /// The firewall is switched off; everything else stays.
    Off,
    /// The firewall is on, with these policies.
    On {
        /// As they shall be.
        wanted: Box<ResolvedFirewall>,
    },
}

/// How a guest's list is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// The list is in force: every moment counts.
    InForce,
    /// Nothing meets the list: the guest does not run, or its firewall is off.
    Idle,
}

/// The calls that give a guest the firewall that is wanted, or take ours away where none is.
pub fn edits(list: &RuleList, wanted: Option<&ResolvedFirewall>, seen: &ObservedFirewall, running: bool) -> Vec<Edit> {
    let options = seen.options.clone().unwrap_or_default();
    let care = if running && options.enable { Care::InForce } else { Care::Idle };
    match wanted {
        Some(wanted) => with_options(list, wanted, &options, &seen.rules, care),
        None if list.ours(&seen.rules).is_empty() => Vec::new(),
        None => {
            let off = options.enable.then_some(Edit::Options(OptionsEdit::Off));
            off.into_iter().chain(list.edits(&[], &seen.rules, Care::Idle).into_iter().flatten()).collect()
        }
    }
}

fn with_options(
    list: &RuleList,
    wanted: &ResolvedFirewall,
    options: &GuestOptions,
    rules: &[RuleText],
    care: Care,
) -> Vec<Edit> {
    let change =
        (!wanted.options_hold(options)).then(|| Edit::Options(OptionsEdit::On { wanted: Box::new(wanted.clone()) }));
    let [first, last] = list.edits(&wanted.rules, rules, care);
    match care {
        // Switching on comes last: until then nothing of the list is in force.
        Care::Idle if !options.enable => first.into_iter().chain(last).chain(change).collect(),
        _ => first.into_iter().chain(change).chain(last).collect(),
    }
}

/// What a list becomes by an edit, as Proxmox does it. For showing, and for tests of the order.
pub fn apply(rules: &mut Vec<RuleText>, edit: &Edit) {
    match edit {
        Edit::Insert(rule) => rules.insert(0, rule.clone()),
        Edit::Move { from, to } if *from < rules.len() => {
            let rule = rules.remove(*from);
            rules.insert((*to).min(rules.len()), rule);
        }
        Edit::Rewrite { at, rule } if *at < rules.len() => rules[*at] = rule.clone(),
        Edit::Delete { at } if *at < rules.len() => drop(rules.remove(*at)),
        _ => {}
    }
    for (rule, pos) in rules.iter_mut().zip(0..) {
        rule.pos = pos;
    }
}
