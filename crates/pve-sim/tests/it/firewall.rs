//! The firewall beyond the recordings: what becomes of files, who may do what, several writers, machines, seeds.

use std::collections::BTreeSet;

use pve_sim::{
    RecordedAnswer, SeedAcl, SeedFirewall, SeedGuest, SeedKind, SeedState, SeedToken, SeedUser, Sim, SimConfig,
};
use serde_json::{Value, json};

use crate::client::Client;
use crate::{returns, shared};

const SECRET: &str = "11111111-1111-4111-8111-111111111111";
const IN: [(&str, &str); 2] = [("type", "in"), ("action", "ACCEPT")];

async fn start(state: SeedState) -> Sim {
    let config = SimConfig { seed_state: Some(state), time_scale: 50.0, ..SimConfig::new(1) };
    Sim::start(config).await.unwrap()
}

fn site(nodes: usize) -> SeedState {
    SeedState::default_cluster(nodes, SECRET)
}

fn rule<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    IN.iter().chain(more).copied().collect()
}

async fn state(sim: &Sim) -> Value {
    sim.control("GET", "/state", Value::Null).await.1["firewall"].clone()
}

/// The values of one key of every rule, in order.
fn column(rules: &Value, key: &str) -> Vec<String> {
    rules.as_array().unwrap().iter().map(|r| r[key].as_str().unwrap_or("").to_owned()).collect()
}

/// Answers that have not the shape that is published for them.
fn broken_shapes(sim: &Sim) -> Vec<String> {
    let Some(dir) = shared::dir() else { return Vec::new() };
    let published = shared::api(&dir);
    let check = |answer: RecordedAnswer| {
        let same = |e: &&Value| e["method"] == *answer.method && e["path"] == *answer.path;
        let schema = &published.iter().find(same).unwrap()["returns"];
        returns::check(&format!("{} {}", answer.method, answer.path), schema, &answer.data)
    };
    sim.take_answers().into_iter().flat_map(check).collect()
}

#[tokio::test]
async fn a_clone_gets_the_file_a_move_keeps_it_and_a_destroy_takes_it() {
    let sim = start(site(2)).await;
    let mut client = Client::new(&sim, 0);
    assert_eq!(client.create("pve1", 100).await, "OK");
    let base = "/nodes/pve1/lxc/100/firewall";
    let alias = [("name", "web"), ("cidr", "10.0.0.9")];
    client.send("POST", &format!("{base}/aliases"), &alias).await.data();
    client.send("POST", &format!("{base}/rules"), &rule(&[("source", "web"), ("comment", "first")])).await.data();
    client.send("PUT", &format!("{base}/options"), &[("enable", "1")]).await.data();
    // A stray file under the clone's number gives way to the source's.
    client.send("POST", "/nodes/pve1/lxc/101/firewall/rules", &rule(&[("comment", "stray")])).await.data();
    let form = [("newid", "101"), ("full", "1")];
    assert_eq!(client.run("POST", "/nodes/pve1/lxc/100/clone", &form).await, "OK");
    let source = client.get(&format!("{base}/rules")).await;
    assert_eq!(client.get("/nodes/pve1/lxc/101/firewall/rules").await, source);
    assert_eq!(column(&source, "comment"), ["first"]);

    client.send("DELETE", "/nodes/pve1/lxc/101/firewall/rules/0", &[]).await.data();
    assert_eq!(client.get(&format!("{base}/rules")).await, source);
    assert_eq!(client.run("POST", "/nodes/pve1/lxc/100/migrate", &[("target", "pve2")]).await, "OK");
    assert_eq!(client.get("/nodes/pve2/lxc/100/firewall/rules").await, source);
    assert_eq!(client.run("DELETE", "/nodes/pve2/lxc/100", &[]).await, "OK");
    let left = state(&sim).await;
    assert_eq!(left["guests"].as_object().unwrap().keys().collect::<Vec<_>>(), ["101"]);
    assert_eq!(left["guests"]["101"]["options"], json!({"enable": 1}));
    assert_eq!(sim.ledger().by_vmid[&100]["firewall"], 3);
    sim.shutdown().await;
}

#[tokio::test]
async fn files_of_the_seed_are_served_and_shown() {
    let mut seed = site(1);
    let cluster = "[OPTIONS]\n\nenable: 1\n\n[ALIASES]\n\noffice 10.1.0.0/16\n\n[RULES]\n\nGROUP web\n\n[group web]\n\nIN HTTP(ACCEPT)\n\n";
    seed.firewall = SeedFirewall {
        cluster: Some(cluster.to_owned()),
        nodes: [("pve1".to_owned(), "[RULES]\n\nIN SSH(ACCEPT) -source office -i vmbr0\n\n".to_owned())].into(),
        guests: [(900, "[RULES]\n\n|IN DROP -source office # theirs\n\n".to_owned())].into(),
    };
    let text = serde_json::to_string(&seed).unwrap();
    let sim = start(SeedState::from_json(&text).unwrap()).await;
    let mut client = Client::new(&sim, 0);
    assert_eq!(client.get("/cluster/firewall/options").await["enable"], 1);
    assert_eq!(client.get("/nodes/pve1/firewall/rules").await[0]["iface"], "vmbr0");
    let theirs = client.get("/nodes/pve1/lxc/900/firewall/rules").await;
    assert_eq!((theirs[0]["comment"].as_str(), theirs[0]["enable"].as_i64()), (Some("theirs"), Some(0)));
    client.send("POST", "/nodes/pve1/lxc/900/firewall/rules", &rule(&[("comment", "ours")])).await.data();
    let shown = state(&sim).await;
    assert_eq!(shown["cluster"]["text"], cluster);
    assert_eq!(shown["cluster"]["groups"]["web"]["rules"][0]["macro"], "HTTP");
    assert_eq!(column(&shown["guests"]["900"]["rules"], "comment"), ["ours", "theirs"]);
    let text = "[RULES]\n\n|IN ACCEPT # ours\n|IN DROP -source office # theirs\n\n";
    assert_eq!(shown["guests"]["900"]["text"], text);
    sim.shutdown().await;
}

#[tokio::test]
async fn a_seed_that_cannot_be_read_is_refused_by_its_line() {
    let refused = async |firewall: SeedFirewall| {
        let config = SimConfig { seed_state: Some(SeedState { firewall, ..site(1) }), ..SimConfig::new(1) };
        let error = Sim::start(config).await.err().unwrap();
        std::error::Error::source(&error).unwrap().to_string()
    };
    let guests = [(900, "[RULES]\nIN ACCEPT -q\n".to_owned())].into();
    let line = refused(SeedFirewall { guests, ..SeedFirewall::default() }).await;
    assert!(line.contains("guest 900") && line.contains("'IN ACCEPT -q'"), "{line}");
    let nodes = [("pve9".to_owned(), String::new())].into();
    let node = refused(SeedFirewall { nodes, ..SeedFirewall::default() }).await;
    assert!(node.contains("'pve9'"), "{node}");
}

#[tokio::test]
async fn a_renamed_group_is_followed_by_every_rule_that_uses_it() {
    let sim = start(site(2)).await;
    let mut client = Client::new(&sim, 0);
    let (group, ours) = ([("group", "web")], [("type", "group"), ("action", "web"), ("enable", "1")]);
    client.send("POST", "/cluster/firewall/groups", &group).await.data();
    client.send("POST", "/cluster/firewall/groups/web", &rule(&[("macro", "https"), ("comment", "web")])).await.data();
    let lists = ["/cluster/firewall/rules", "/nodes/pve2/firewall/rules", "/nodes/pve1/lxc/100/firewall/rules"];
    for list in lists {
        client.send("POST", list, &ours).await.data();
        client.send("POST", list, &rule(&[])).await.data();
    }
    let stale = [("group", "www"), ("rename", "web"), ("digest", "0000000000000000000000000000000000000000")];
    assert_eq!(client.send("POST", "/cluster/firewall/groups", &stale).await.status, 500);
    client.send("POST", "/cluster/firewall/groups", &[("group", "www"), ("rename", "web")]).await.data();
    for list in lists {
        assert_eq!(column(&client.get(list).await, "action"), ["ACCEPT", "www"], "{list}");
    }
    assert_eq!(client.get("/cluster/firewall/groups/www").await[0]["macro"], "HTTPS");
    let gone = client.send("GET", "/cluster/firewall/groups/web", &[]).await;
    assert_eq!(gone.reason, "no such security group 'web'");
    let taken = client.send("POST", "/cluster/firewall/groups", &[("group", "www"), ("rename", "none")]).await;
    assert_eq!(taken.body["errors"]["group"], "Security group 'none' does not exists");
    sim.shutdown().await;
}

#[tokio::test]
async fn names_of_the_datacenter_and_of_a_guest_are_told_apart() {
    let sim = start(site(1)).await;
    let mut client = Client::new(&sim, 0);
    let guest = "/nodes/pve1/lxc/100/firewall";
    client.send("POST", "/cluster/firewall/aliases", &[("name", "Far"), ("cidr", "fd00::1/128")]).await.data();
    client.send("POST", "/cluster/firewall/ipset", &[("name", "friends")]).await.data();
    client.send("POST", &format!("{guest}/ipset"), &[("name", "mine"), ("comment", "c")]).await.data();
    let refs = client.get(&format!("{guest}/refs")).await;
    let seen: BTreeSet<String> =
        refs.as_array().unwrap().iter().map(|r| format!("{} {}", r["scope"].as_str().unwrap(), r["ref"])).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["dc \"+friends\"", "dc \"far\"", "guest \"+mine\""]);
    assert_eq!(client.get("/cluster/firewall/refs?type=ipset").await.as_array().unwrap().len(), 1);
    assert_eq!(client.get("/cluster/firewall/aliases/FAR").await["cidr"], "fd00::1");

    let rules = format!("{guest}/rules");
    client.send("POST", &rules, &rule(&[("source", "+friends"), ("dest", "far")])).await.data();
    assert_eq!(client.get(&rules).await[0]["ipversion"], 6);
    for (source, why) in [("+guest/friends", "no such ipset 'friends'"), ("guest/far", "no such alias 'guest/far'")] {
        let refused = client.send("POST", &rules, &rule(&[("source", source)])).await;
        assert_eq!(refused.body["errors"]["source"], why);
    }
    let wide = client.send("POST", "/cluster/firewall/rules", &rule(&[("source", "+mine")])).await;
    assert_eq!(wide.body["errors"]["source"], "no such ipset 'mine'");
    // An alias in a set that goes leaves its entry behind, with what is wrong.
    client.send("POST", &format!("{guest}/ipset/mine"), &[("cidr", "dc/far")]).await.data();
    client.send("DELETE", "/cluster/firewall/aliases/far", &[]).await.data();
    let entry = client.get(&format!("{guest}/ipset/mine/dc/far")).await;
    assert_eq!(entry["errors"]["cidr"], "no such alias 'dc/far'");
    sim.shutdown().await;
}

#[tokio::test]
async fn each_level_asks_for_its_own_privileges() {
    let mut seed = site(1);
    seed.users.push(SeedUser { id: "op@pve".into(), password: None, comment: None, email: None });
    seed.tokens.push(SeedToken { id: "op@pve!t".into(), secret: SECRET.into(), privsep: false });
    seed.acl.push(SeedAcl {
        path: "/vms/100".into(),
        user: Some("op@pve".into()),
        token: None,
        group: None,
        role: "PVEVMAdmin".into(),
        propagate: true,
    });
    let sim = start(seed).await;
    let mut client = Client::new(&sim, 0).with_token(&format!("op@pve!t={SECRET}"));
    client.send("POST", "/nodes/pve1/lxc/100/firewall/rules", &rule(&[])).await.data();
    client.get("/nodes/pve1/lxc/100/firewall/log").await;
    assert_eq!(client.get("/cluster/firewall/groups").await, json!([]));
    client.get("/cluster/firewall/macros").await;
    for (method, path, why) in [
        ("POST", "/nodes/pve1/lxc/101/firewall/rules", "/vms/101, VM.Config.Network"),
        ("GET", "/nodes/pve1/lxc/101/firewall/refs", "/vms/101, VM.Audit"),
        ("GET", "/nodes/pve1/lxc/101/firewall/log", "/vms/101, VM.Console"),
        ("GET", "/nodes/pve1/firewall/log", "/nodes/pve1, Sys.Syslog"),
        ("POST", "/nodes/pve1/firewall/rules", "/nodes/pve1, Sys.Modify"),
        ("GET", "/cluster/firewall/refs", "/, Sys.Audit"),
        ("GET", "/cluster/firewall/groups/web", "/, Sys.Audit"),
        ("POST", "/cluster/firewall/groups", "/, Sys.Modify"),
    ] {
        let refused = client.send(method, path, &[]).await;
        assert_eq!((refused.status, refused.reason), (403, format!("Permission check failed ({why})")), "{path}");
    }
    assert_eq!(state(&sim).await["guests"].as_object().unwrap().len(), 1);
    sim.shutdown().await;
}

#[tokio::test]
async fn machines_have_the_same_calls() {
    let mut seed = site(1);
    seed.guests.push(SeedGuest {
        vmid: 200,
        node: "pve1".into(),
        kind: SeedKind::Qemu,
        config: [("name".to_owned(), "alien".to_owned())].into(),
        running: false,
        pool: None,
    });
    let config = SimConfig { seed_state: Some(seed), time_scale: 50.0, record_answers: true, ..SimConfig::new(1) };
    let sim = Sim::start(config).await.unwrap();
    let mut client = Client::new(&sim, 0);
    let base = "/nodes/pve1/qemu/200/firewall";
    client.send("POST", &format!("{base}/rules"), &rule(&[("iface", "net0"), ("macro", "ssh")])).await.data();
    let refused = client.send("POST", &format!("{base}/rules"), &[("type", "forward"), ("action", "DROP")]).await;
    assert_eq!(refused.body["errors"]["type"], "invalid rule type 'forward' for rule_env 'vm'");
    client.send("PUT", &format!("{base}/options"), &[("enable", "1"), ("policy_in", "DROP")]).await.data();
    client.send("POST", &format!("{base}/ipset"), &[("name", "ipfilter-net0")]).await.data();
    client.send("POST", &format!("{base}/aliases"), &[("name", "me"), ("cidr", "10.0.0.9")]).await.data();
    client.send("POST", &format!("{base}/ipset/ipfilter-net0"), &[("cidr", "me"), ("nomatch", "1")]).await.data();
    client.send("DELETE", &format!("{base}/aliases/me"), &[]).await.data();
    for path in ["", "/rules", "/rules/0", "/options", "/aliases", "/ipset", "/ipset/ipfilter-net0", "/refs", "/log"] {
        client.get(&format!("{base}{path}")).await;
    }
    assert_eq!(broken_shapes(&sim), Vec::<String>::new());
    let shown = state(&sim).await;
    assert_eq!(shown["guests"]["200"]["options"], json!({"enable": 1, "policy_in": "DROP"}));
    assert_eq!(shown["guests"]["200"]["rules"][0]["macro"], "SSH");
    assert_eq!(client.run("DELETE", "/nodes/pve1/qemu/200", &[]).await, "OK");
    assert_eq!(state(&sim).await["guests"], json!({}));
    sim.shutdown().await;
}

/// Everybody's rule is there in the end, and of all who have seen the same digest one deletes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_at_once_lose_nothing() {
    const WRITERS: usize = 12;
    let sim = start(site(2)).await;
    let path = "/nodes/pve1/lxc/100/firewall/rules";
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let mut client = Client::new(&sim, writer % 2);
        writers.push(tokio::spawn(async move {
            let comment = format!("writer {writer}");
            client.send("POST", path, &rule(&[("comment", &comment)])).await.data();
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mut client = Client::new(&sim, 0);
    let rules = client.get(path).await;
    assert_eq!(column(&rules, "comment").into_iter().collect::<BTreeSet<_>>().len(), WRITERS);
    let digest = rules[0]["digest"].as_str().unwrap().to_owned();
    let mut deleters = Vec::new();
    for deleter in 0..WRITERS {
        let (mut client, digest) = (Client::new(&sim, deleter % 2), digest.clone());
        deleters.push(tokio::spawn(async move {
            client.send("DELETE", &format!("{path}/0"), &[("digest", &digest)]).await.status
        }));
    }
    let mut done = 0;
    for deleter in deleters {
        done += usize::from(deleter.await.unwrap() == 200);
    }
    assert_eq!((done, client.get(path).await.as_array().unwrap().len()), (1, WRITERS - 1));
    sim.shutdown().await;
}
