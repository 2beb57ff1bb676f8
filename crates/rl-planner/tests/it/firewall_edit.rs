//! Edits of rule lists: the end is what is wanted, and every moment on the way is safe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use rl_model::firewall::edit::{Edit, OptionsEdit, RuleList, apply, edits, same_rule};
use rl_model::firewall::*;
use rl_model::{GuestKind, NicSlot, Vmid};
use rl_planner::firewall::{Packet, Question, Sender, Verdict, explain};

const PREFIX: &str = "rl:4k2m8w1p0c3d:";
/// What rules speak of: kind, interface, source, ports. Chosen so that many of them share packets.
const SENSES: [(&str, &str, &str, &str); 12] = [
    ("in", "", "", ""),
    ("in", "", "10.0.0.0/30", ""),
    ("in", "", "10.0.0.2-10.0.0.5", "80"),
    ("in", "net0", "", "80:81"),
    ("in", "net1", "", "81"),
    ("in", "net0", "10.0.0.1", ""),
    ("in", "", "10.0.0.1,10.0.0.4", "81,443"),
    ("in", "net0", "10.0.0.0/29", "443"),
    ("out", "", "", ""),
    ("out", "", "", "80"),
    ("out", "net0", "", "80:443"),
    ("in", "net1", "10.0.0.4/31", "80"),
];
const ACTIONS: [&str; 3] = ["ACCEPT", "DROP", "REJECT"];
/// Most calls one after another, each after another look: a list of this size needs fewer than three a rule.
const LOOKS_MAX: usize = 60;

fn p<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn rule(sense: usize, action: usize, enable: bool, comment: Option<String>) -> RuleText {
    let (kind, iface, source, dport) = SENSES[sense];
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    RuleText {
        kind: kind.into(),
        action: ACTIONS[action].into(),
        enable,
        iface: some(iface),
        source: some(source),
        proto: some(if dport.is_empty() { "" } else { "tcp" }),
        dport: some(dport),
        comment,
        ..RuleText::default()
    }
}

fn ours(key: usize, sense: usize, action: usize, enable: bool, text: bool) -> RuleText {
    let id = RuleId::new(PREFIX, &format!("r{key}"));
    rule(sense, action, enable, Some(id.comment(text.then_some("for the shop"))))
}

/// A list as it is found: ours by key, of which some were tampered with, are off or are there twice, and others' between.
fn found() -> impl Strategy<Value = Vec<RuleText>> {
    let one = prop_oneof![
        6 => (0..12_usize, 0..3_usize, any::<bool>()).prop_map(|(key, action, text)| ours(key, key, action, true, text)),
        1 => (0..12_usize, 0..3_usize).prop_map(|(key, action)| ours(key, key, action, false, false)),
        1 => (0..12_usize, 0..12_usize, 0..3_usize).prop_map(|(key, sense, action)| ours(key, sense, action, true, false)),
        2 => (0..12_usize, 0..3_usize, any::<bool>()).prop_map(|(sense, action, on)| rule(sense, action, on, None)),
    ];
    prop::collection::vec(one, 0..9)
}

fn wanted_rules() -> impl Strategy<Value = Vec<RuleText>> {
    let keys = prop::sample::subsequence((0..12).collect::<Vec<usize>>(), 0..8).prop_shuffle();
    (keys, prop::collection::vec((0..3_usize, any::<bool>()), 12))
        .prop_map(|(keys, says)| keys.into_iter().map(|key| ours(key, key, says[key].0, true, says[key].1)).collect())
}

fn wanted() -> impl Strategy<Value = ResolvedFirewall> {
    (wanted_rules(), 0..3_usize, 0..3_usize).prop_map(|(rules, inbound, outbound)| ResolvedFirewall {
        policy_in: p(ACTIONS[inbound]),
        policy_out: p(ACTIONS[outbound]),
        log_in: LOG_OFF.into(),
        log_out: LOG_OFF.into(),
        ipfilter: false,
        rules,
    })
}

fn options() -> impl Strategy<Value = GuestOptions> {
    (0..3_usize, 0..3_usize).prop_map(|(inbound, outbound)| GuestOptions {
        enable: true,
        policy_in: Some(p(ACTIONS[inbound])),
        policy_out: Some(p(ACTIONS[outbound])),
        ..GuestOptions::default()
    })
}

/// Every packet that the rules tell apart, or nearly.
static QUESTIONS: LazyLock<Vec<Question>> = LazyLock::new(questions);

fn questions() -> Vec<Question> {
    let vmid: Vmid = p("2000");
    let mut out = Vec::new();
    for slot in ["net0", "net1"].map(p::<NicSlot>) {
        for port in [80, 81, 443] {
            for last in [0, 1, 3, 4, 5] {
                let packet = Packet::tcp(p(&format!("10.0.0.{last}")), p("10.0.1.9"), port);
                out.push(Question { from: Sender::Outside, to: (vmid, slot), packet });
            }
            // Out of the guest to somebody without a firewall.
            let packet = Packet::tcp(p("10.0.0.1"), p("192.0.2.1"), port);
            out.push(Question { from: Sender::Guest(vmid, slot), to: (p("2999"), p("net0")), packet });
        }
    }
    out
}

/// The packets that pass.
fn passing(state: &ObservedFirewall) -> BTreeSet<usize> {
    let nic = || FirewallNic { firewall: true, mac: None, bridge: None, addresses: vec![] };
    let guest = GuestFirewall {
        kind: GuestKind::Container,
        node: p("pve1"),
        options: state.options.clone().unwrap(),
        rules: state.rules.iter().map(FirewallRule::read).collect(),
        sets: BTreeMap::new(),
        aliases: BTreeMap::new(),
        nics: [(p("net0"), nic()), (p("net1"), nic())].into(),
    };
    let mut view = FirewallView::default();
    view.datacenter.options.enable = true;
    view.guests.insert(p("2000"), guest);
    let accepted = |question: &Question| explain(&view, question).verdict == Verdict::Accept;
    QUESTIONS.iter().enumerate().filter(|(_, question)| accepted(question)).map(|(index, _)| index).collect()
}

fn step(state: &mut ObservedFirewall, edit: &Edit) {
    match edit {
        Edit::Options(OptionsEdit::Off) => state.options.as_mut().unwrap().enable = false,
        Edit::Options(OptionsEdit::On { wanted }) => {
            let options = state.options.as_mut().unwrap();
            options.enable = true;
            options.policy_in = Some(wanted.policy_in);
            options.policy_out = Some(wanted.policy_out);
        }
        edit => apply(&mut state.rules, edit),
    }
}

fn list() -> RuleList {
    RuleList::new(PREFIX)
}

fn check_moment(
    state: &ObservedFirewall,
    before: &BTreeSet<usize>,
    after: &BTreeSet<usize>,
) -> Result<(), TestCaseError> {
    let now = passing(state);
    let (either, both) = (before | after, before & after);
    prop_assert!(now.is_subset(&either), "lets through what neither does: {:?}\n{:#?}", &now - &either, state.rules);
    prop_assert!(both.is_subset(&now), "refuses what both let through: {:?}\n{:#?}", &both - &now, state.rules);
    Ok(())
}

fn check_end(
    state: &ObservedFirewall,
    start: &ObservedFirewall,
    wanted: &ResolvedFirewall,
) -> Result<(), TestCaseError> {
    let ours = list().ours(&state.rules);
    prop_assert_eq!(ours.len(), wanted.rules.len());
    prop_assert!(ours.iter().zip(&wanted.rules).all(|(have, want)| same_rule(have, want)), "{:#?}", state.rules);
    let foreign = |state: &ObservedFirewall| -> Vec<RuleText> {
        let others = state.rules.iter().filter(|rule| list().id(rule).is_none());
        others.map(|rule| RuleText { pos: 0, ..rule.clone() }).collect()
    };
    prop_assert_eq!(foreign(state), foreign(start));
    prop_assert_eq!(edits(&list(), Some(wanted), state, true), vec![]);
    Ok(())
}

/// The verdicts of the list that is wanted, with others' rules where they end up.
fn finished(start: &ObservedFirewall, wanted: &ResolvedFirewall) -> ObservedFirewall {
    let mut end = start.clone();
    edits(&list(), Some(wanted), start, true).iter().for_each(|edit| step(&mut end, edit));
    end
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_moment_of_a_plan_is_safe(rules in found(), options in options(), wanted in wanted()) {
        let start = ObservedFirewall { options: Some(options), rules };
        let end = finished(&start, &wanted);
        check_end(&end, &start, &wanted)?;
        let (before, after) = (passing(&start), passing(&end));
        let mut state = start.clone();
        for edit in edits(&list(), Some(&wanted), &start, true) {
            step(&mut state, &edit);
            check_moment(&state, &before, &after)?;
        }
    }

    /// How a step does it: after each call it looks and plans again, as after an interruption.
    #[test]
    fn looking_again_after_each_call_is_as_safe_and_ends(rules in found(), options in options(), wanted in wanted()) {
        let start = ObservedFirewall { options: Some(options), rules };
        let mut state = start.clone();
        for _ in 0..LOOKS_MAX {
            let plan = edits(&list(), Some(&wanted), &state, true);
            let Some(edit) = plan.first() else { break };
            let (before, after) = (passing(&state), passing(&finished(&state, &wanted)));
            step(&mut state, edit);
            check_moment(&state, &before, &after)?;
        }
        check_end(&state, &start, &wanted)?;
    }

    #[test]
    fn an_idle_list_ends_the_same_with_no_more_calls(rules in found(), options in options(), wanted in wanted()) {
        let start = ObservedFirewall { options: Some(options), rules };
        let mut state = start.clone();
        let plan = edits(&list(), Some(&wanted), &start, false);
        plan.iter().for_each(|edit| step(&mut state, edit));
        check_end(&state, &start, &wanted)?;
        prop_assert!(plan.len() <= edits(&list(), Some(&wanted), &start, true).len());
    }

    /// Of the rules that stay in the list, those that are not moved or made anew are the longest row that is in order.
    #[test]
    fn no_rule_is_moved_that_need_not_be(before in wanted_rules(), wanted in wanted()) {
        let start = ObservedFirewall { options: Some(GuestOptions { enable: true, ..GuestOptions::default() }), rules: before };
        let old: Vec<RuleId> = start.rules.iter().filter_map(|rule| list().id(rule)).collect();
        let common: Vec<usize> = wanted.rules.iter().filter_map(|rule| old.iter().position(|id| Some(id) == list().id(rule).as_ref())).collect();
        let plan = edits(&list(), Some(&wanted), &start, true);
        let mut moved = 0;
        for (index, edit) in plan.iter().enumerate() {
            let of_insert = index > 0 && matches!(&plan[index - 1], Edit::Insert(rule) if !rule.enable);
            moved += usize::from(matches!(edit, Edit::Move { .. }) && !of_insert);
        }
        let inserted = plan.iter().filter(|edit| matches!(edit, Edit::Insert(rule) if old.contains(&list().id(rule).unwrap()))).count();
        prop_assert_eq!(moved + inserted, common.len() - longest_row(&common));
        let gone = plan.iter().filter(|edit| matches!(edit, Edit::Delete { .. })).count();
        prop_assert_eq!(gone, old.len() - common.len() + inserted);
    }

    #[test]
    fn taking_ours_away_leaves_the_others(rules in found(), options in options()) {
        let start = ObservedFirewall { options: Some(options), rules };
        let mut state = start.clone();
        edits(&list(), None, &start, true).iter().for_each(|edit| step(&mut state, edit));
        prop_assert!(list().ours(&state.rules).is_empty());
        prop_assert_eq!(state.options.unwrap().enable, list().ours(&start.rules).is_empty());
        prop_assert_eq!(state.rules.len(), start.rules.len() - list().ours(&start.rules).len());
    }
}

/// Length of the longest row of rising numbers, by trying all of them.
fn longest_row(numbers: &[usize]) -> usize {
    let rising = |bits: &u32| {
        let chosen: Vec<usize> = (0..numbers.len()).filter(|i| bits & (1 << i) != 0).map(|i| numbers[i]).collect();
        chosen.windows(2).all(|pair| pair[0] < pair[1])
    };
    (0..1_u32 << numbers.len()).filter(rising).map(|bits| bits.count_ones() as usize).max().unwrap_or(0)
}

#[test]
fn moveto_is_an_index_of_the_old_list() {
    assert_eq!(Edit::moveto(0, 1), 2);
    assert_eq!(Edit::moveto(3, 1), 1);
}
