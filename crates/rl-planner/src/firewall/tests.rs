//! What the kernel cannot be asked: switches, doubts, parts of networks, established connections, and the words.

#![allow(clippy::unwrap_used)]

use rl_model::firewall::*;
use rl_model::{GuestKind, NicSlot, Vmid};

use super::*;

fn p<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn vmid() -> Vmid {
    p("2000")
}

fn slot() -> NicSlot {
    p("net0")
}

/// A rule as `type action key=value …`.
fn rule(pos: u32, text: &str) -> FirewallRule {
    let mut words = text.split(' ');
    let mut out = RuleText {
        pos,
        kind: words.next().unwrap().into(),
        action: words.next().unwrap().into(),
        enable: true,
        ..RuleText::default()
    };
    for word in words {
        let (key, value) = word.split_once('=').unwrap();
        if key == "error" {
            out.errors.insert("source".into(), value.into());
            continue;
        }
        let value = Some(value.to_owned());
        match key {
            "source" => out.source = value,
            "dest" => out.dest = value,
            "proto" => out.proto = value,
            "dport" => out.dport = value,
            "sport" => out.sport = value,
            "macro" => out.macro_name = value,
            "comment" => out.comment = value,
            other => panic!("{other}"),
        }
    }
    FirewallRule::read(&out)
}

fn view(rules: &[&str]) -> FirewallView {
    let mut view = FirewallView::default();
    view.datacenter.options.enable = true;
    let nic = FirewallNic { firewall: true, mac: None, bridge: None, addresses: vec![] };
    let guest = GuestFirewall {
        kind: GuestKind::Container,
        node: p("pve1"),
        options: GuestOptions { enable: true, ..GuestOptions::default() },
        rules: rules.iter().zip(0..).map(|(text, pos)| rule(pos, text)).collect(),
        sets: Default::default(),
        aliases: Default::default(),
        nics: [(slot(), nic)].into(),
    };
    view.guests.insert(vmid(), guest);
    view
}

fn tcp(source: &str, port: u16) -> Question {
    let packet = Packet::tcp(p(source), p("10.0.0.20"), port);
    Question { from: Sender::Outside, to: (vmid(), slot()), packet }
}

fn ask(view: &FirewallView, question: &Question) -> (Verdict, String) {
    let said = explain(view, question);
    let step = said.deciding().unwrap();
    (said.verdict, format!("{:?} {:?} {}", step.level, step.position, step.text))
}

fn set(view: &mut FirewallView, name: &str, entries: &[(&str, bool)]) {
    let entries = entries.iter().map(|(text, nomatch)| SetEntry::read(text, *nomatch, false)).collect();
    view.datacenter.sets.insert(p(name), IpSet { entries });
}

#[test]
fn each_switch_lets_everything_pass() {
    let off: [fn(&mut FirewallView); 3] = [
        |view| view.datacenter.options.enable = false,
        |view| view.guests.get_mut(&vmid()).unwrap().options.enable = false,
        |view| view.guests.get_mut(&vmid()).unwrap().nics.get_mut(&slot()).unwrap().firewall = false,
    ];
    for switch in off {
        let mut view = view(&["in DROP"]);
        assert_eq!(ask(&view, &tcp("10.0.0.5", 22)).0, Verdict::Drop);
        switch(&mut view);
        let said = explain(&view, &tcp("10.0.0.5", 22));
        assert_eq!((said.verdict, &said.deciding().unwrap().level), (Verdict::Accept, &Level::Switch));
    }
}

#[test]
fn the_first_rule_that_speaks_of_the_packet_decides() {
    let view = view(&["in ACCEPT source=10.9.0.0/16", "in ACCEPT proto=tcp dport=443 comment=web", "in DROP"]);
    let said = explain(&view, &tcp("10.0.0.5", 443));
    let step = said.deciding().unwrap();
    assert_eq!((said.verdict, step.position, step.comment.as_deref()), (Verdict::Accept, Some(1), Some("web")));
    let first = &said.stages[0].steps[0];
    assert_eq!(first.outcome, Outcome::Passes("source 10.0.0.5 is not in 10.9.0.0/16".into()));
    assert_eq!(ask(&view, &tcp("10.0.0.5", 80)), (Verdict::Drop, "Guest Some(2) IN DROP".into()));
}

#[test]
fn established_connections_pass_before_every_rule() {
    let view = view(&["in DROP"]);
    let mut question = tcp("10.0.0.5", 22);
    question.packet.state = ConnState::Established;
    assert_eq!(ask(&view, &question).0, Verdict::Accept);
}

#[test]
fn a_rule_with_a_fault_is_left_out_as_proxmox_does() {
    let view =
        view(&["in ACCEPT source=10.0.0.5 error=nonsense", "in ACCEPT source=+nowhere", "in ACCEPT dest=nobody"]);
    let said = explain(&view, &tcp("10.0.0.5", 22));
    assert_eq!(said.verdict, Verdict::Drop);
    assert!(said.stages[0].steps[..3].iter().all(|step| matches!(step.outcome, Outcome::LeftOut(_))));
}

#[test]
fn a_doubt_makes_the_verdict_unclear_unless_it_is_the_same_either_way() {
    for (rules, verdict) in [
        (&["in ACCEPT macro=NoSuchMacro"][..], Verdict::Unclear),
        (&["in DROP macro=NoSuchMacro"], Verdict::Drop),
        (&["in ACCEPT proto=tcp sport=40000", "in ACCEPT"], Verdict::Accept),
        (&["in ACCEPT proto=tcp sport=40000"], Verdict::Unclear),
        (&["in ACCEPT proto=tcp sport=1:1000"], Verdict::Drop),
        (&["in ACCEPT proto=tcp sport=1024:65535"], Verdict::Accept),
        (&["in ACCEPT source=+sdn/zone-all"], Verdict::Unclear),
        (&["sideways ACCEPT"], Verdict::Unclear),
        (&["in ACCEPT source=10.0.0.300"], Verdict::Unclear),
        (&["out ACCEPT source=10.0.0.300"], Verdict::Drop),
    ] {
        assert_eq!(explain(&view(rules), &tcp("10.0.0.5", 22)).verdict, verdict, "{rules:?}");
    }
}

#[test]
fn a_macro_the_site_does_not_have_is_left_out() {
    let mut view = view(&["in ACCEPT macro=NoSuchMacro"]);
    view.datacenter.macros = [p("HTTP")].into();
    assert_eq!(explain(&view, &tcp("10.0.0.5", 22)).verdict, Verdict::Drop);
}

#[test]
fn a_doubt_of_the_sender_does_not_matter_when_the_receiver_is_shut() {
    let mut view = view(&["in DROP"]);
    let mut sender = view.guests[&vmid()].clone();
    sender.rules = vec![rule(0, "out DROP macro=NoSuchMacro")];
    view.guests.insert(p("2001"), sender);
    let mut question = tcp("10.0.0.5", 22);
    question.from = Sender::Guest(p("2001"), slot());
    let said = explain(&view, &question);
    assert_eq!((said.verdict, said.decided_in), (Verdict::Drop, 1));
    view.guests.get_mut(&vmid()).unwrap().rules.clear();
    view.guests.get_mut(&vmid()).unwrap().options.policy_in = Some(FirewallAction::Accept);
    let said = explain(&view, &question);
    assert_eq!((said.verdict, said.decided_in), (Verdict::Unclear, 0));
}

#[test]
fn exceptions_of_a_set_count_by_prefix_on_iptables_and_always_on_nftables() {
    let mut view = view(&["in ACCEPT source=+inner"]);
    set(&mut view, "inner", &[("10.0.0.0/8", false), ("10.1.0.0/16", true), ("10.1.1.0/24", false)]);
    for (source, iptables, nftables) in [
        ("10.0.0.5", Verdict::Accept, Verdict::Accept),
        ("10.1.2.5", Verdict::Drop, Verdict::Drop),
        ("10.1.1.5", Verdict::Accept, Verdict::Drop),
    ] {
        for (on, verdict) in [(false, iptables), (true, nftables)] {
            let options = NodeOptions { nftables: on, ..NodeOptions::default() };
            view.nodes.insert(p("pve1"), NodeFirewall { options });
            assert_eq!(explain(&view, &tcp(source, 22)).verdict, verdict, "{source} {on}");
        }
    }
}

#[test]
fn a_network_is_cut_where_the_rules_cut_it() {
    let mut view =
        view(&["in ACCEPT source=10.0.0.16/28", "in REJECT source=+some", "in ACCEPT source=10.0.0.40-10.0.0.50"]);
    set(&mut view, "some", &[("10.0.0.48/28", false), ("10.0.0.50", true)]);
    let parts = explain_network(&view, &tcp("0.0.0.0", 22), p("10.0.0.0/24")).unwrap();
    let shown: Vec<String> =
        parts.iter().map(|part| format!("{} {:?}", part.range, part.explanation.verdict)).collect();
    assert_eq!(
        shown,
        [
            "10.0.0.0/28 Drop",
            "10.0.0.16/28 Accept",
            "10.0.0.32/29 Drop",
            "10.0.0.40/29 Accept",
            "10.0.0.48/31 Reject",
            "10.0.0.50 Accept",
            "10.0.0.51-10.0.0.63 Reject",
            "10.0.0.64-10.0.0.255 Drop",
        ]
    );
}

#[test]
fn a_network_cut_too_often_is_refused() {
    let mut view = view(&["in ACCEPT source=+many"]);
    let entries: Vec<String> = (0..5000_u32).map(|n| format!("10.0.{}.{}", n / 125, n % 125 * 2)).collect();
    let entries: Vec<(&str, bool)> = entries.iter().map(|text| (text.as_str(), false)).collect();
    set(&mut view, "many", &entries);
    let refused = explain_network(&view, &tcp("0.0.0.0", 22), p("10.0.0.0/8")).unwrap_err();
    assert!(refused.0 > PARTS_MAX, "{refused}");
    assert!(explain_network(&view, &tcp("0.0.0.0", 22), p("10.0.0.0/24")).is_ok());
}

/// The macros of a genuine site are all known here.
#[test]
#[allow(clippy::print_stderr)]
fn every_macro_of_a_genuine_site_is_known() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/pve-recordings/fw-cluster.jsonl");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: ../shared is not here");
        return;
    };
    let calls = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let list = calls.into_iter().find(|call| call["path"] == "/cluster/firewall/macros").unwrap();
    let rows = list["response"]["data"].as_array().unwrap();
    assert!(rows.len() > 50);
    let unknown: Vec<&str> =
        rows.iter().map(|row| row["macro"].as_str().unwrap()).filter(|name| !knows_macro(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
