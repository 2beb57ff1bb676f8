use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_800_000_000;

fn cluster(text: &str) -> Conf {
    file::read(text, Env::Cluster, None, NOW).0
}

fn written(conf: &Conf) -> String {
    file::write(conf)
}

#[test]
fn a_file_is_written_as_it_was_read() {
    let text = "[OPTIONS]\n\nenable: 1\nlog_ratelimit: enable=1,burst=3\npolicy_in: DROP\n\n\
        [ALIASES]\n\nOffice 10.1.0.0/16 # the office\n\n\
        [IPSET trusted] # friends\n\n!10.1.2.3 # not him\n10.2.0.0/16\noffice\n\n\
        [RULES]\n\nIN SSH(ACCEPT) -i vmbr0 -source +trusted -log info # let in\n|OUT DROP -dest office\n\
        FORWARD ACCEPT\nGROUP web\n\n\
        [group web] # a group\n\nIN ACCEPT -p tcp -dport 80,443,1000:2000\nIN ACCEPT -p icmp -icmp-type echo-request\n\n";
    let (conf, skipped) = file::read(text, Env::Cluster, None, NOW);
    assert_eq!(skipped, Vec::<String>::new());
    assert_eq!(written(&conf), text);
    assert_eq!(conf.rules[1].ipversion, Some(4));
    assert_eq!(conf.groups["web"].rules[1].ipversion, Some(4));
    assert!(conf.rules.iter().all(|r| r.errors.is_empty()));
}

#[test]
fn what_cannot_be_read_is_skipped() {
    let text = "stray\n[OPTIONS]\nenable: maybe\nnosuch: 1\n[RULES]\nIN ACCEPT -x 1\nIN\n[IPSET b!d]\n10.0.0.1\n[RULES]\nIN ACCEPT\n";
    let (conf, skipped) = file::read(text, Env::Ct, None, NOW);
    assert_eq!(skipped, ["stray", "enable: maybe", "nosuch: 1", "IN ACCEPT -x 1", "IN", "[IPSET b!d]", "10.0.0.1"]);
    assert_eq!(conf.rules.len(), 1);
}

#[test]
fn a_rule_loses_what_a_file_cannot_hold() {
    let mut conf = cluster("[RULES]\nIN ACCEPT\n");
    conf.rules[0].set("enable", "2");
    conf.rules[0].set("comment", "first\nOUT DROP");
    let read = cluster(&written(&conf));
    assert_eq!(read.rules.len(), 2, "a line break in a comment begins a new rule, as it does in PVE");
    assert_eq!(read.rules[0].get("enable"), Some("1"));
    assert_eq!(read.rules[0].get("comment"), Some("first"));
}

#[test]
fn a_trial_of_the_datacenter_firewall_ends_by_itself() {
    let text = format!("[OPTIONS]\nenable: {}\n", NOW - 30);
    assert_eq!(file::read(&text, Env::Cluster, None, NOW).0.options["enable"], (NOW - 30).to_string());
    assert_eq!(file::read(&text, Env::Cluster, None, NOW + 60).0.options["enable"], "0");
}

#[test]
fn names_are_looked_up_where_they_say() {
    let dc = cluster("[ALIASES]\nboth 10.0.0.1\nfar fd00::1\n[IPSET dcset]\n");
    let guest = file::read(
        "[ALIASES]\nboth 10.0.0.2\n[RULES]\nIN ACCEPT -source dc/both\nIN ACCEPT -source guest/far\nIN ACCEPT -source FAR\n\
         IN ACCEPT -source +dcset\nIN ACCEPT -source +guest/dcset\nIN ACCEPT -source far -dest 10.0.0.1\n",
        Env::Ct,
        Some(&dc),
        NOW,
    );
    let wrong: Vec<Vec<&str>> = guest.0.rules.iter().map(|r| r.errors.values().map(String::as_str).collect()).collect();
    assert_eq!(
        wrong,
        [
            vec![],
            vec!["no such alias 'guest/far'"],
            vec![],
            vec![],
            vec!["no such ipset 'dcset'"],
            vec!["detected mixed ipv4/ipv6 addresses in rule"]
        ]
    );
    assert_eq!(guest.0.rules[2].ipversion, Some(6));
}

#[test]
fn a_rule_may_not_contradict_its_macro() {
    let wrong = |line: &str| cluster(&format!("[RULES]\n{line}\n")).rules[0].errors.clone();
    assert_eq!(wrong("IN ssh(ACCEPT) -p tcp -dport 22"), BTreeMap::new());
    let port = "parameter 'dport' already define in macro (value = '22')";
    assert_eq!(wrong("IN SSH(ACCEPT) -p tcp -dport 2222")["dport"], port);
    let proto = "parameter 'proto' already define in macro (value = 'udp')";
    assert_eq!(wrong("IN DNS(ACCEPT) -p tcp")["proto"], proto);
    assert_eq!(wrong("IN Ping(ACCEPT) -p icmpv6"), BTreeMap::new());
}

#[test]
fn formats_have_the_words_of_pve() {
    let why = |format: &str, value: &str| check_format(format, value).unwrap().unwrap_err();
    insta::assert_snapshot!(why("pve-fw-addr-spec", "10.0.0.5/24"), @"invalid IP address: Invalid prefix 00001010000000000000000000000101/24");
    insta::assert_snapshot!(why("pve-fw-addr-spec", "10.0.0.1,"), @"extraneous commas in list");
    insta::assert_snapshot!(why("pve-fw-addr-spec", "10.0.0.1-10.0.0.2,10.0.0.3"), @"you can't use a range in a list");
    insta::assert_snapshot!(why("pve-fw-addr-spec", "fd00::2-fd00::1"), @"invalid IP address: Begin address is greater than End address fd00:0000:0000:0000:0000:0000:0000:0002 - fd00:0000:0000:0000:0000:0000:0000:0001");
    insta::assert_snapshot!(why("pve-fw-addr-spec", "not an address"), @"invalid IP address: Invalid chars in IP not an address");
    insta::assert_snapshot!(why("pve-fw-dport-spec", "80,echo-request"), @"ICMP ports not allowed in port range");
    insta::assert_snapshot!(why("pve-fw-sport-spec", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"), @"too many entries in port list (> 15 numbers)");
    insta::assert_snapshot!(why("pve-fw-conntrack-helper", "ftp,smtp"), @"unknown helper smtp");
    for (format, value) in [
        ("pve-fw-addr-spec", "10.0.0.0/24,10.1.0.0/16"),
        ("pve-fw-addr-spec", "+dc/friends"),
        ("pve-fw-dport-spec", "https,8000:9000"),
        ("IPorCIDR", "10.0.0.5/24"),
        ("IPorCIDRorAlias", "dc/office"),
        ("pve-fw-protocol-spec", "icmpv6"),
    ] {
        assert_eq!(check_format(format, value), Some(Ok(())), "{format} {value}");
    }
    assert_eq!(clean_cidr("10.99.5.77/24"), "10.99.5.0/24");
    assert_eq!(clean_cidr("fd00::12:1/112"), "fd00::12:0/112");
}

#[test]
fn every_macro_is_found_in_any_case_and_reads_well() {
    let names: Vec<&str> = all_macros().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 86);
    for name in names {
        let line = format!("[RULES]\nIN {}(ACCEPT)\n", name.to_lowercase());
        let rule = cluster(&line).rules.remove(0);
        assert_eq!(rule.get("macro"), Some(name));
        assert!(rule.errors.is_empty(), "{name}: {:?}", rule.errors);
    }
}

/// What a test does to a list.
#[derive(Debug, Clone)]
enum Step {
    Insert(u16),
    Move(usize, usize),
    Delete(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u16>().prop_map(Step::Insert),
        3 => (0..12usize, 0..14usize).prop_map(|(from, to)| Step::Move(from, to)),
        1 => (0..12usize).prop_map(Step::Delete),
    ]
}

fn numbered(port: u16) -> Rule {
    let mut rule = Rule::default();
    for (key, value) in [("type", "in"), ("action", "ACCEPT"), ("proto", "tcp"), ("enable", "1")] {
        rule.set(key, value);
    }
    rule.set("dport", &port.to_string());
    rule
}

/// Rules of strangers carry a mark in their comment.
fn foreign(rules: &[Rule]) -> Vec<&str> {
    rules.iter().filter_map(|r| r.get("comment")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is inserted, moved and deleted among them: the rules of strangers keep their order, positions are
    /// dense, and the digest tells every change of the text and nothing else.
    #[test]
    fn a_list_of_rules_stays_whole(steps in prop::collection::vec(step(), 0..30), strangers in 0..5usize) {
        let mut conf = Conf { present: true, ..Conf::default() };
        for number in 0..strangers {
            let mut rule = numbered(1);
            rule.set("comment", &format!("foreign {number}"));
            conf.rules.push(rule);
        }
        conf = cluster(&written(&conf));
        let order: Vec<String> = foreign(&conf.rules).into_iter().map(str::to_owned).collect();
        for step in steps {
            let (text, digest) = (written(&conf), rules_digest(&conf.rules));
            let mine = |rules: &[Rule], at: usize| rules.get(at).is_some_and(|r| r.get("comment").is_none());
            let mut expected: Vec<Rule> = conf.rules.clone();
            match step {
                Step::Insert(port) => {
                    conf.rules.insert(0, numbered(port));
                    expected.insert(0, numbered(port));
                }
                Step::Move(from, to) if mine(&conf.rules, from) => {
                    move_rule(&mut conf.rules, from, to);
                    expected = moved(&expected, from, to);
                }
                Step::Delete(at) if mine(&conf.rules, at) => {
                    conf.rules.remove(at);
                    expected.remove(at);
                }
                _ => {}
            }
            prop_assert_eq!(&conf.rules, &expected);
            let read = cluster(&written(&conf));
            prop_assert_eq!(&read.rules, &conf.rules, "a file holds every rule");
            prop_assert_eq!(foreign(&read.rules), order.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(rules_digest(&read.rules) == digest, written(&read) == text);
            let positions: Vec<u64> = show_rules(&read.rules).iter().filter_map(|r| r["pos"].as_u64()).collect();
            prop_assert_eq!(positions, (0..read.rules.len() as u64).collect::<Vec<_>>());
            conf = read;
        }
    }

    /// Reading never fails, and what has been written once is read back the same.
    #[test]
    fn any_text_is_read_and_settles(text in "(\\[(RULES|OPTIONS|ALIASES|IPSET ab|group cd)\\]\n|[ -~]{0,40}\n|(IN|OUT|GROUP) [A-Z]{2,7} ?#?[a-z ]{0,9}\n|[a-z]{2,5} 10\\.0\\.0\\.[0-9]{1,2}\n){0,12}") {
        for env in [Env::Cluster, Env::Node, Env::Ct, Env::Vm] {
            let once = file::write(&file::read(&text, env, None, NOW).0);
            let (conf, skipped) = file::read(&once, env, None, NOW);
            prop_assert_eq!(skipped, Vec::<String>::new());
            prop_assert_eq!(file::write(&conf), once);
        }
    }
}

/// Moving, said otherwise: the rule goes in front of whichever stands at `to` in the old list.
fn moved(rules: &[Rule], from: usize, to: usize) -> Vec<Rule> {
    if from == to {
        return rules.to_vec();
    }
    let mut out = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        if at == to {
            out.push(rules[from].clone());
        }
        if at != from {
            out.push(rule.clone());
        }
    }
    if to >= rules.len() {
        out.push(rules[from].clone());
    }
    out
}
