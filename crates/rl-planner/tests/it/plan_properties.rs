//! Goal: whatever the stack, the strangers and the mischief, planning is safe and comes to an end. Method: generated
//! worlds; plans are carried out by an interpreter of Proxmox's semantics that refuses what Proxmox would refuse.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rl_model::manifest::Manifest;
use rl_model::{ActionKind, Observed, Plan, PlanReport, Policy, ResolvedStack, SiteName, Unread, Vmid};
use rl_planner::{ResolveErrors, configs_needed, plan, plan_destroy, resolve};

use crate::plan_world::generate::{policy, stack, strangers};
use crate::plan_world::mischief::mischief;
use crate::plan_world::tape::Tape;
use crate::plan_world::{Reality, stack_name};

/// Numbers on a tape: enough for two stacks, strangers, policies and mischief.
const TAPE_MAX: usize = 500;

/// Worlds tried in an ordinary run; `PROPTEST_CASES` asks for more.
const CASES_MIN: u32 = 300;

fn tape() -> impl Strategy<Value = Vec<u16>> {
    proptest::collection::vec(any::<u16>(), 0..TAPE_MAX)
}

type Round = (ResolvedStack, Observed, Plan, PlanReport);

/// Looks, resolves, reads what is needed, resolves again and plans, as an apply does. Fails when the stack cannot be
/// resolved, which a stranger on a pinned VMID or address may well cause.
fn round(reality: &Reality, manifest: &Manifest, policy: &Policy) -> Result<Round, ResolveErrors> {
    let mut observed = reality.catalogue();
    let (first, _) = resolve(manifest, &stack_name(), &observed, &reality.leases)?;
    let needed = configs_needed(&first, &observed, &reality.leases, usize::MAX);
    reality.read(&mut observed, &needed);
    let (resolved, _) = resolve(manifest, &stack_name(), &observed, &reality.leases)?;
    let (plan, report) = plan(&resolved, &observed, &reality.leases, policy, 1);
    Ok((resolved, observed, plan, report))
}

fn unique(stack: &ResolvedStack) -> Result<(), TestCaseError> {
    let mut seen: BTreeSet<(&SiteName, String)> = BTreeSet::new();
    for guest in stack.guests.values() {
        prop_assert!(seen.insert((&guest.site, guest.vmid.to_string())), "VMID {} twice", guest.vmid);
        for nic in &guest.nics {
            prop_assert!(seen.insert((&guest.site, nic.mac.to_string())), "MAC {} twice", nic.mac);
            for address in [nic.ipv4.leased(), nic.ipv6.leased()].into_iter().flatten() {
                prop_assert!(seen.insert((&guest.site, address.to_string())), "address {address} twice");
            }
        }
    }
    Ok(())
}

/// Every action names a guest that bears its stamp, or a VMID that is free.
fn only_ours(plan: &Plan, observed: &Observed) -> Result<(), TestCaseError> {
    for action in &plan.actions {
        let at = observed.sites.get(&action.site).and_then(|site| site.guests.get(&action.vmid));
        let stamp = at.and_then(|guest| guest.config.as_ref()).and_then(|config| config.stamp.as_ref());
        match &action.kind {
            ActionKind::Create { .. } => prop_assert!(at.is_none(), "{action:?} would take a VMID that is held"),
            ActionKind::Forget => {
                let ours = stamp.is_some_and(|stamp| stamp.guest == action.stamp.guest);
                prop_assert!(!ours || at.is_some_and(|guest| guest.kind == rl_model::GuestKind::Vm));
            }
            _ => {
                let stamp =
                    stamp.ok_or_else(|| TestCaseError::fail(format!("{action:?} touches a guest without stamp")))?;
                prop_assert_eq!(&stamp.guest, &action.stamp.guest);
                prop_assert_eq!(&stamp.controller, &action.stamp.controller);
            }
        }
    }
    Ok(())
}

fn check_round(reality: &mut Reality, manifest: &Manifest, policy: &Policy) -> Result<(), TestCaseError> {
    let Ok((_, observed, first, PlanReport { notes, .. })) = round(reality, manifest, policy) else { return Ok(()) };
    unique(&first.resolved)?;
    only_ours(&first, &observed)?;
    reality.apply(&first);
    let again = round(reality, manifest, policy);
    let (_, observed, again, report) = again.map_err(|errors| TestCaseError::fail(errors.render(&[], false)))?;
    unique(&again.resolved)?;
    only_ours(&again, &observed)?;
    if let Some(action) = again.actions.first() {
        let before = first.actions.iter().find(|before| before.stamp.name == action.stamp.name);
        let notes: Vec<_> = notes.iter().chain(&report.notes).collect();
        let fail = format!("planned again: {action:?}\nfirst planned: {before:?}\nnotes: {notes:#?}");
        return Err(TestCaseError::fail(fail));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(CASES_MIN), max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn apply_then_plan_is_empty(numbers in tape()) {
        let mut tape = Tape::new(&numbers);
        let (first, second) = (stack(&mut tape), stack(&mut tape));
        let mut reality = Reality::new(&first.sites);
        strangers(&mut reality, &mut tape);
        let allowed = policy(&first, &mut tape);
        check_round(&mut reality, &first, &allowed)?;
        mischief(&mut reality, &mut tape);
        check_round(&mut reality, &first, &allowed)?;
        reality.leases.entropy += 1;
        let allowed = policy(&second, &mut tape);
        check_round(&mut reality, &second, &allowed)?;
        mischief(&mut reality, &mut tape);
        check_round(&mut reality, &second, &allowed)?;
    }

    #[test]
    fn strangers_are_never_changed(numbers in tape()) {
        let mut tape = Tape::new(&numbers);
        let (first, second) = (stack(&mut tape), stack(&mut tape));
        let mut reality = Reality::new(&first.sites);
        strangers(&mut reality, &mut tape);
        for manifest in [&first, &second] {
            let before = strangers_of(&reality);
            let allowed = policy(manifest, &mut tape);
            if let Ok((_, _, plan, _)) = round(&reality, manifest, &allowed) {
                reality.apply(&plan);
            }
            let after = strangers_of(&reality);
            for (place, guest) in before {
                prop_assert_eq!(after.get(&place), Some(&guest));
            }
            mischief(&mut reality, &mut tape);
        }
    }

    #[test]
    fn a_plan_is_the_same_whatever_the_order_of_what_was_seen(numbers in tape()) {
        let mut tape = Tape::new(&numbers);
        let manifest = stack(&mut tape);
        let mut reality = Reality::new(&manifest.sites);
        strangers(&mut reality, &mut tape);
        let allowed = policy(&manifest, &mut tape);
        if let Ok((_, _, plan, _)) = round(&reality, &manifest, &allowed) {
            reality.apply(&plan);
        }
        mischief(&mut reality, &mut tape);
        let mut observed = reality.observe();
        let here = plan_of(&reality, &manifest, &observed, &allowed);
        for site in observed.sites.values_mut() {
            site.nodes.values_mut().for_each(|node| node.templates.iter_mut().for_each(|list| list.reverse()));
            site.guests.values_mut().for_each(|guest| guest.tags.reverse());
            for config in site.guests.values_mut().filter_map(|guest| guest.config.as_mut()) {
                config.tags.reverse();
            }
        }
        prop_assert_eq!(here, plan_of(&reality, &manifest, &observed, &allowed));
    }

    #[test]
    fn what_was_not_read_is_left_alone(numbers in tape()) {
        let mut tape = Tape::new(&numbers);
        let (first, second) = (stack(&mut tape), stack(&mut tape));
        let mut reality = Reality::new(&first.sites);
        strangers(&mut reality, &mut tape);
        let allowed = policy(&first, &mut tape);
        if let Ok((_, _, plan, _)) = round(&reality, &first, &allowed) {
            reality.apply(&plan);
        }
        mischief(&mut reality, &mut tape);
        let observed = reality.observe();
        let Ok((resolved, _)) = resolve(&second, &stack_name(), &observed, &reality.leases) else { return Ok(()) };
        let (partial, hidden) = hide(&observed, &mut tape);
        let (plan, report) = plan(&resolved, &partial, &reality.leases, &allowed, 1);
        for action in &plan.actions {
            let what = (action.site.clone(), Some(action.vmid));
            let whole = (action.site.clone(), None);
            prop_assert!(!hidden.contains(&what) && !hidden.contains(&whole), "{action:?} was not read");
        }
        if plan.is_empty() && !hidden.is_empty() {
            prop_assert!(!report.notes.is_empty() || report.shallow > 0 || resolved.guests.is_empty() || !report.unchanged.is_empty());
        }
    }

    #[test]
    fn what_is_destroyed_is_planned_anew(numbers in tape()) {
        let mut tape = Tape::new(&numbers);
        let mut manifest = stack(&mut tape);
        for container in manifest.stacks.values_mut().flat_map(|stack| stack.containers.values_mut()) {
            container.protection = false;
        }
        let mut reality = Reality::new(&manifest.sites);
        let Ok((_, _, made, _)) = round(&reality, &manifest, &Policy::default()) else {
            return Err(TestCaseError::fail("an empty world takes every stack"));
        };
        reality.apply(&made);
        let names = made.resolved.guests.keys().cloned().collect();
        let allowed = Policy { allow_data_loss: names, ..Policy::default() };
        let (destroy, report) = plan_destroy(&stack_name(), &reality.leases, &reality.observe(), &allowed, 2);
        prop_assert!(!report.is_blocked(), "{:?}", report.notes);
        prop_assert!(destroy.destroy);
        reality.apply(&destroy);
        prop_assert!(reality.sites.values().all(BTreeMap::is_empty) && reality.leases.guests.is_empty());
        reality.leases.entropy += 1;
        let Ok((_, _, anew, _)) = round(&reality, &manifest, &Policy::default()) else {
            return Err(TestCaseError::fail("a destroyed stack is resolved anew"));
        };
        prop_assert_eq!(anew.resolved.guests.keys().collect::<Vec<_>>(), made.resolved.guests.keys().collect::<Vec<_>>());
        let all_new = anew.actions.iter().all(|action| action.kind.verb() == "create");
        prop_assert!(all_new, "{:?}", anew.actions);
        prop_assert_eq!(anew.actions.len(), made.actions.len());
    }

    #[test]
    fn above_the_limit_only_what_differs_is_read(numbers in tape()) {
        let mut tape = Tape::new(&numbers);
        let manifest = stack(&mut tape);
        let mut reality = Reality::new(&manifest.sites);
        let Ok((resolved, _, made, _)) = round(&reality, &manifest, &Policy::default()) else { return Ok(()) };
        reality.apply(&made);
        let observed = reality.catalogue();
        prop_assert_eq!(configs_needed(&resolved, &observed, &reality.leases, 1_000).len(), resolved.guests.len());
        let (shallow, report) = plan(&resolved, &observed, &reality.leases, &Policy::default(), 1);
        prop_assert_eq!(configs_needed(&resolved, &observed, &reality.leases, 0), vec![]);
        prop_assert!(shallow.is_empty());
        prop_assert_eq!(report.shallow as usize, resolved.guests.len());
        let Some((site, vmid)) = resolved.guests.values().next().map(|guest| (guest.site.clone(), guest.vmid)) else { return Ok(()) };
        reality.sites.get_mut(&site).unwrap().get_mut(&vmid).unwrap().raw.insert("cores".to_owned(), "9".to_owned());
        prop_assert_eq!(configs_needed(&resolved, &reality.catalogue(), &reality.leases, 0), vec![(site, vmid)]);
    }
}

/// A guest's place, or a whole site.
type Hidden = BTreeSet<(SiteName, Option<Vmid>)>;

/// Takes something away from what was seen, the way an observer marks it.
fn hide(observed: &Observed, tape: &mut Tape<'_>) -> (Observed, Hidden) {
    let (mut partial, mut hidden) = (observed.clone(), Hidden::new());
    for (name, site) in &observed.sites {
        match tape.below(5) {
            0 => {
                partial.sites.remove(name);
                hidden.insert((name.clone(), None));
            }
            1 => {
                let seen = partial.sites.get_mut(name).unwrap();
                seen.guests.clear();
                seen.unread.push(Unread::guests("the connection broke"));
                hidden.insert((name.clone(), None));
            }
            2 => {
                partial.sites.get_mut(name).unwrap().quorate = false;
                hidden.insert((name.clone(), None));
            }
            _ => {
                // That a guest is a virtual machine is known from the list alone.
                let containers = site.guests.values().filter(|guest| guest.kind == rl_model::GuestKind::Container);
                for vmid in containers.map(|guest| &guest.vmid).filter(|_| tape.rarely(2)) {
                    let seen = partial.sites.get_mut(name).unwrap();
                    seen.guests.get_mut(vmid).unwrap().config = None;
                    seen.unread.push(Unread::config(*vmid, "timed out"));
                    hidden.insert((name.clone(), Some(*vmid)));
                }
            }
        }
    }
    (partial, hidden)
}

fn plan_of(reality: &Reality, manifest: &Manifest, observed: &Observed, policy: &Policy) -> Option<(Plan, PlanReport)> {
    let (resolved, _) = resolve(manifest, &stack_name(), observed, &reality.leases).ok()?;
    Some(plan(&resolved, observed, &reality.leases, policy, 1))
}

fn strangers_of(reality: &Reality) -> BTreeMap<(SiteName, Vmid), crate::plan_world::RealGuest> {
    let ours = |guest: &crate::plan_world::RealGuest| {
        guest.kind == rl_model::GuestKind::Container
            && guest
                .stamp()
                .is_some_and(|stamp| stamp.controller == crate::plan_world::controller() && stamp.stack == stack_name())
    };
    let all = reality
        .sites
        .iter()
        .flat_map(|(site, guests)| guests.iter().map(move |(vmid, guest)| ((site.clone(), *vmid), guest)));
    all.filter(|(_, guest)| !ours(guest)).map(|(place, guest)| (place, guest.clone())).collect()
}

/// The generated worlds are worth something: every kind of action, consequence and note turns up in them.
#[test]
fn generated_worlds_reach_every_kind_of_action() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut count = |what: String| *seen.entry(what).or_default() += 1;
    for seed in 0..400u32 {
        let numbers: Vec<u16> = (0..600u32)
            .map(|n| (seed.wrapping_mul(40_503).wrapping_add(n.wrapping_mul(n) * 9_973) >> 3) as u16)
            .collect();
        let mut tape = Tape::new(&numbers);
        let (first, second) = (stack(&mut tape), stack(&mut tape));
        let mut reality = Reality::new(&first.sites);
        strangers(&mut reality, &mut tape);
        for manifest in [&first, &second] {
            let allowed = policy(manifest, &mut tape);
            match round(&reality, manifest, &allowed) {
                Err(errors) => errors.diagnostics.iter().for_each(|found| count(found.code.to_owned())),
                Ok((_, _, plan, report)) => {
                    reality.apply(&plan);
                    plan.actions.iter().for_each(|action| count(action.kind.verb().to_owned()));
                    for action in &plan.actions {
                        if let ActionKind::Update { power, move_to, .. } = &action.kind {
                            count(format!("{power:?}, moves: {}", move_to.is_some()));
                        }
                    }
                    report.notes.iter().for_each(|note| count(format!("{:?}", note.level)));
                }
            }
            mischief(&mut reality, &mut tape);
        }
    }
    let wanted = ["create", "update", "replace", "remove", "forget", "Info", "Warning", "Blocked"];
    let powers = ["Keep", "Start", "Stop", "Restart", "NextStart"].map(|power| format!("{power}, moves: false"));
    let missing: Vec<&str> = wanted
        .into_iter()
        .chain(powers.iter().map(String::as_str))
        .chain(["Restart, moves: true"])
        .filter(|what| !seen.contains_key(*what))
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?} in {seen:?}");
}
