//! Firewalls: written before the guest runs, by identity, never over somebody else's shoulder, and read back.

use std::collections::{BTreeMap, BTreeSet};

use pve_sim::Action as Fault;
use rl_engine::OperationState;
use rl_model::firewall::{
    DatacenterChoice, FirewallAction, FirewallChange, LOG_OFF, ObservedFirewall, ResolvedFirewall, RuleId, RuleText,
    WantedSiteFirewall, set_owner,
};
use rl_model::{
    ActionId, ActionKind, Consequence, PartAction, PartKind, Proof, ResolvedGuest, ResolvedStack, SetChange,
    SiteFirewall,
};
use rl_ops::prove;
use rl_pve::api::firewall::{self, RulesOf};
use serde_json::{Value, json};

use crate::lab::{Came, Lab, clock, controller, create, guest, job, p, plan, seen_net0, stack};

/// How Proxmox refuses a write whose digest is old (`PVE/Tools.pm`, `assert_if_modified`).
const MODIFIED: &str = "detected modified configuration - file changed by other user? Try again.";

/// How many times faster than a real one the site runs: slow enough that no task seems to hang on a busy machine.
const PACE: u32 = 20;

fn rule(of: &ResolvedGuest, key: &str, port: &str, action: FirewallAction) -> RuleText {
    RuleText {
        kind: "in".into(),
        action: action.to_string(),
        enable: true,
        iface: Some("net0".into()),
        proto: Some("tcp".into()),
        dport: Some(port.into()),
        comment: Some(RuleId::of_guest(&of.id, key).comment(Some("for the shop"))),
        ..RuleText::default()
    }
}

fn foreign(port: &str) -> RuleText {
    let (kind, action, proto) = ("in".to_owned(), "DROP".to_owned(), Some("tcp".to_owned()));
    let comment = Some("by hand".to_owned());
    RuleText { kind, action, proto, dport: Some(port.into()), comment, enable: true, ..RuleText::default() }
}

/// A guest with these rules: key, port, action.
fn filtered(rules: &[(&str, &str, FirewallAction)]) -> ResolvedGuest {
    let mut made = guest(1, true);
    made.nics[0].firewall = true;
    let rules = rules.iter().map(|(key, port, action)| rule(&made, key, port, *action)).collect();
    made.firewall = Some(ResolvedFirewall {
        policy_in: FirewallAction::Drop,
        policy_out: FirewallAction::Accept,
        log_in: LOG_OFF.into(),
        log_out: LOG_OFF.into(),
        ipfilter: false,
        rules,
    });
    made
}

fn three() -> ResolvedGuest {
    filtered(&[
        ("a", "443", FirewallAction::Accept),
        ("b", "80", FirewallAction::Accept),
        ("c", "22", FirewallAction::Reject),
    ])
}

fn change(old: &ResolvedGuest, new: &ResolvedGuest) -> ActionKind {
    let seen = ObservedFirewall { options: None, rules: old.firewall.clone().map_or_else(Vec::new, |was| was.rules) };
    ActionKind::Update {
        guest: Box::new(new.clone()),
        changes: Vec::new(),
        move_to: None,
        power: Consequence::Keep,
        seen_net0: seen_net0(old),
        firewall: Some(Box::new(FirewallChange { seen, wanted: new.firewall.clone() })),
    }
}

/// A running guest with the rules it shall have.
async fn made(guest: &ResolvedGuest) -> Lab {
    let lab = Lab::paced(2, PACE).await;
    lab.book.reserve(guest);
    lab.run(job(&lab, guest, create(guest))).await.must_be(OperationState::Done);
    lab
}

async fn rules(lab: &Lab, guest: &ResolvedGuest) -> Vec<String> {
    let rows = lab.api.pve().send(firewall::guest_rules(rl_model::GuestKind::Container, &guest.node, guest.vmid)).await;
    let (rules, _) = rl_pve::decode::firewall::rule_texts(rows.unwrap());
    let port =
        |rule: RuleText| format!("{} {}{}", rule.action, rule.dport.unwrap(), if rule.enable { "" } else { " off" });
    rules.into_iter().map(port).collect()
}

async fn insert(lab: &Lab, guest: &ResolvedGuest, rule: &RuleText) {
    lab.api.pve().send(firewall::insert_rule(RulesOf::Guest(&guest.node, guest.vmid), rule)).await.unwrap();
}

async fn switch_datacenter_on(lab: &Lab) {
    let digest = lab.api.pve().send(firewall::datacenter_options()).await.unwrap().digest.unwrap();
    lab.api.pve().send(firewall::set_datacenter(Some(true), &DatacenterChoice::default(), &digest)).await.unwrap();
}

async fn proof(lab: &Lab, guest: &ResolvedGuest) -> Proof {
    prove(&lab.sites(), &stack(std::slice::from_ref(guest)), 7).await
}

/// Checks that fail, as `name: found`.
fn wrong(proof: &Proof) -> Vec<String> {
    let failed = proof.items.iter().flat_map(|item| &item.checks).filter(|check| !check.ok);
    failed.map(|check| format!("{}: {}", check.name, check.found)).collect()
}

/// Gives the guest another configuration, as somebody else would.
async fn reconfigure(lab: &Lab, guest: &ResolvedGuest, edit: impl Fn(&mut Value)) {
    let shown = lab.guest(guest.vmid).await.unwrap();
    let mut config = shown["config"].clone();
    // A seeded configuration is made of texts.
    for value in config.as_object_mut().unwrap().values_mut().filter(|value| !value.is_string()) {
        *value = json!(value.to_string());
    }
    edit(&mut config);
    let body = json!({ "vmid": u32::from(guest.vmid), "node": guest.node, "replace": true, "running": true, "config": config });
    lab.control("POST", "/guests", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_guest_has_its_rules_and_is_proven() {
    let guest = three();
    let lab = made(&guest).await;
    assert_eq!(rules(&lab, &guest).await, ["ACCEPT 443", "ACCEPT 80", "REJECT 22"]);
    assert_eq!(wrong(&proof(&lab, &guest).await), ["datacenter's firewall: off"]);
    switch_datacenter_on(&lab).await;
    assert_eq!(wrong(&proof(&lab, &guest).await), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_change_around_those_of_others() {
    let old = three();
    let lab = made(&old).await;
    insert(&lab, &old, &foreign("8080")).await;
    let new = filtered(&[
        ("c", "22", FirewallAction::Reject),
        ("a", "443", FirewallAction::Accept),
        ("d", "25", FirewallAction::Accept),
    ]);
    lab.run(job(&lab, &new, change(&old, &new))).await.must_be(OperationState::Done);
    let now = rules(&lab, &new).await;
    let ours: Vec<&String> = now.iter().filter(|rule| !rule.contains("8080")).collect();
    assert_eq!(ours, ["REJECT 22", "ACCEPT 443", "ACCEPT 25"], "{now:?}");
    assert!(now.contains(&"DROP 8080".to_owned()), "{now:?}");
    let none = ResolvedGuest { firewall: None, ..new.clone() };
    lab.run(job(&lab, &none, change(&new, &none))).await.must_be(OperationState::Done);
    assert_eq!(rules(&lab, &none).await, ["DROP 8080"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_inserted_above_ours_is_left_and_told() {
    let guest = three();
    let lab = made(&guest).await;
    switch_datacenter_on(&lab).await;
    insert(&lab, &guest, &foreign("443")).await;
    lab.run(job(&lab, &guest, change(&guest, &guest))).await.must_be(OperationState::Done);
    assert_eq!(rules(&lab, &guest).await, ["DROP 443", "ACCEPT 443", "ACCEPT 80", "REJECT 22"]);
    assert_eq!(wrong(&proof(&lab, &guest).await), ["rules of others above ours: IN DROP -p tcp -dport 443"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_did_to_our_rules_is_proven_and_mended() {
    let guest = three();
    let lab = made(&guest).await;
    switch_datacenter_on(&lab).await;
    let pve = lab.api.pve();
    let kind = rl_model::GuestKind::Container;
    let digest = || async {
        let rows = pve.send(firewall::guest_rules(kind, &guest.node, guest.vmid)).await.unwrap();
        rl_pve::decode::firewall::rule_texts(rows).1.unwrap()
    };
    let off = RuleText { enable: false, ..guest.firewall.as_ref().unwrap().rules[1].clone() };
    pve.send(firewall::rewrite_rule(RulesOf::Guest(&guest.node, guest.vmid), 1, &off, &digest().await)).await.unwrap();
    pve.send(firewall::move_rule(RulesOf::Guest(&guest.node, guest.vmid), 2, 0, &digest().await)).await.unwrap();
    let row = pve.send(firewall::guest_options(kind, &guest.node, guest.vmid)).await.unwrap();
    pve.send(firewall::switch_guest_off(&guest.node, guest.vmid, &row.digest.unwrap())).await.unwrap();
    let found = wrong(&proof(&lab, &guest).await);
    assert!(found.contains(&"firewall: off".to_owned()), "{found:?}");
    assert!(found.iter().any(|check| check.starts_with("rule 2: ") && check.contains("(off)")), "{found:?}");
    assert!(
        found.iter().any(|check| check.starts_with("rule 3: ") && check.contains("as rule 1 of ours")),
        "{found:?}"
    );
    lab.run(job(&lab, &guest, change(&guest, &guest))).await.must_be(OperationState::Done);
    assert_eq!(wrong(&proof(&lab, &guest).await), Vec::<String>::new());
}

fn must_be_untouched(came: &Came, says: &str) {
    came.must_be(OperationState::Blocked);
    assert!(came.text().contains(says), "{}", came.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_nics_get_no_rules() {
    let mut old = three();
    let mut second = old.nics[0].clone();
    (second.slot, second.name, second.mac) = (p("net1"), p("eth1"), p("BC:24:11:00:01:01"));
    second.ipv4 = rl_model::AddressMode::None;
    old.nics.push(second);
    let mut new = old.clone();
    if let Some(firewall) = &mut new.firewall {
        firewall.rules[0].iface = Some("net1".into());
    }
    for (what, edit, says) in [
        ("net0 and net1", ("net0", "net1"), "the MAC of its net0 is"),
        ("net1 and net2", ("net1", "net2"), "bound to net1, but that slot holds"),
    ] {
        let lab = made(&old).await;
        reconfigure(&lab, &old, |config| {
            let (a, b) = (config[edit.0].clone(), config[edit.1].clone());
            let other = json!("name=eth9,bridge=vmbr0,hwaddr=BC:24:11:00:09:09,type=veth");
            config[edit.0] = if b.is_null() { other } else { b };
            config[edit.1] = a;
        })
        .await;
        insert(&lab, &old, &foreign("8080")).await;
        let before = rules(&lab, &old).await;
        let came = lab.run(job(&lab, &new, change(&old, &new))).await;
        must_be_untouched(&came, says);
        assert_eq!(rules(&lab, &old).await, before, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_made_anew_under_the_vmid_gets_no_rules() {
    let old = three();
    let lab = made(&old).await;
    reconfigure(&lab, &old, |config| config["description"] = json!("somebody else's")).await;
    insert(&lab, &old, &foreign("8080")).await;
    let before = rules(&lab, &old).await;
    let new = filtered(&[("a", "443", FirewallAction::Drop)]);
    must_be_untouched(&lab.run(job(&lab, &new, change(&old, &new))).await, "bears no stamp");
    assert_eq!(rules(&lab, &old).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn races_and_lost_answers_end_in_the_same_rules() {
    type Made = fn() -> Fault;
    let faults: [(&str, Made); 3] = [
        ("PUT", || Fault::Refuse { status: 500, message: MODIFIED.to_owned() }),
        ("PUT", || Fault::LoseAnswer { how: Default::default() }),
        ("POST", || Fault::LoseAnswer { how: Default::default() }),
    ];
    for (method, fault) in faults {
        let old = three();
        let lab = made(&old).await;
        let new = filtered(&[
            ("c", "22", FirewallAction::Reject),
            ("a", "443", FirewallAction::Accept),
            ("d", "25", FirewallAction::Accept),
        ]);
        lab.fault(method, "/nodes/*/lxc/*/firewall/rules**", 1, fault());
        lab.run(job(&lab, &new, change(&old, &new))).await.must_be(OperationState::Done);
        assert_eq!(lab.struck().await, 1, "{method}");
        assert_eq!(rules(&lab, &new).await, ["REJECT 22", "ACCEPT 443", "ACCEPT 25"], "{method}");
    }
}

fn site_part(sets: Vec<SetChange>, enable: Option<bool>) -> PartAction {
    let owner = set_owner(&controller(), &p("shop"));
    let kind = PartKind::SiteFirewall(Box::new(SiteFirewall {
        site: p("fra1"),
        owner,
        aliases: Vec::new(),
        sets,
        groups: Vec::new(),
        options: DatacenterChoice::default(),
        enable,
    }));
    PartAction { id: ActionId(0), kind, reasons: Vec::new(), after: Vec::new() }
}

async fn run_part(lab: &Lab, part: PartAction) -> Came {
    let plan = rl_model::Plan { parts: vec![part], ..plan(Vec::new()) };
    let sites = BTreeMap::from([(lab.site.name.clone(), lab.site.clone())]);
    lab.run(rl_ops::compile(&plan, &sites, &rl_engine::Ids::from_seed(clock(), 3)).unwrap()).await
}

fn members(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

async fn set(lab: &Lab, name: &str) -> Option<BTreeSet<String>> {
    let rows = lab.api.pve().send(firewall::ip_set(&p(name))).await.ok()?;
    Some(rows.into_iter().map(|row| row.cidr).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_of_a_stack_are_kept_and_go() {
    let lab = Lab::paced(1, PACE).await;
    let name = "rl-shop-web";
    let to =
        |after: Option<&[&str]>| SetChange { name: p(name), before: None, after: after.map(members), comment: None };
    for list in [&["10.20.0.51", "10.20.0.52"][..], &["10.20.0.52", "fd00::9"], &[]] {
        run_part(&lab, site_part(vec![to(Some(list))], None)).await.must_be(OperationState::Done);
        assert_eq!(set(&lab, name).await, Some(members(list)));
    }
    run_part(&lab, site_part(vec![to(Some(&["10.20.0.51"]))], Some(true))).await.must_be(OperationState::Done);
    assert_eq!(lab.api.pve().send(firewall::datacenter_options()).await.unwrap().enable.unwrap().0, 1);
    run_part(&lab, site_part(vec![to(None)], Some(false))).await.must_be(OperationState::Done);
    assert_eq!(set(&lab, name).await, None);
    assert_eq!(lab.api.pve().send(firewall::datacenter_options()).await.unwrap().enable.unwrap().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_of_somebody_else_is_left_alone() {
    let lab = Lab::paced(1, PACE).await;
    let name = "rl-shop-web";
    lab.api.pve().send(firewall::create_ip_set(&p(name), "mine")).await.unwrap();
    lab.api.pve().send(firewall::add_to_ip_set(&p(name), "192.0.2.1")).await.unwrap();
    for after in [Some(members(&["10.20.0.51"])), None] {
        let came =
            run_part(&lab, site_part(vec![SetChange { name: p(name), before: None, after, comment: None }], None))
                .await;
        must_be_untouched(&came, "is not ours");
        assert_eq!(set(&lab, name).await, Some(members(&["192.0.2.1"])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_a_set_are_proven() {
    let mut guest = three();
    if let Some(firewall) = &mut guest.firewall {
        firewall.rules[0].source = Some("+dc/rl-shop-web".into());
    }
    let lab = Lab::paced(2, PACE).await;
    lab.book.reserve(&guest);
    let change = SetChange {
        name: p("rl-shop-web"),
        before: None,
        after: Some(members(&["10.20.0.51", "192.0.2.7"])),
        comment: None,
    };
    run_part(&lab, site_part(vec![change], Some(true))).await.must_be(OperationState::Done);
    lab.run(job(&lab, &guest, create(&guest))).await.must_be(OperationState::Done);
    let wanted = WantedSiteFirewall {
        sets: BTreeMap::from([(p("rl-shop-web"), members(&["10.20.0.51"]))]),
        ..WantedSiteFirewall::default()
    };
    let stack = ResolvedStack { firewall: BTreeMap::from([(p("fra1"), wanted)]), ..stack(&[guest]) };
    assert_eq!(wrong(&prove(&lab.sites(), &stack, 7).await), ["IP set rl-shop-web: 10.20.0.51, 192.0.2.7"]);
}
