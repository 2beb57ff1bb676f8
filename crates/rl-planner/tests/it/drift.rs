//! Drift: each kind, and what is none.

use insta::assert_snapshot;
use rl_model::dns::{DnsName, ObservedZone, Owner, RecordSet, RecordSource, RecordValue, ResolvedRecord, owner_name};
use rl_model::manifest::Container;
use rl_model::{Observed, Policy, RecordType, ResolvedStack, Unread};
use rl_planner::{drift, plan, resolve};

use crate::plan_world::{Reality, container, manifest, stack_name, volume};

/// A world in which two guests were applied, and what was applied.
fn applied() -> (Reality, ResolvedStack) {
    let db = Container { volumes: vec![volume("data", 10)], ..container("db") };
    let manifest = manifest(vec![db, container("web")]);
    let mut reality = Reality::new(&manifest.sites);
    let seen = reality.observe();
    let (resolved, _) = resolve(&manifest, &stack_name(), &seen, &reality.leases).unwrap();
    let (plan, _) = plan(&resolved, &seen, &reality.leases, &Policy::default(), 0);
    reality.apply(&plan);
    (reality, plan.resolved)
}

fn show(resolved: &ResolvedStack, observed: &Observed) -> String {
    let lines = drift(resolved, observed).into_iter().map(|found| {
        let kind = serde_json::to_value(&found.kind).unwrap();
        let site = found.site.map_or_else(|| "-".to_owned(), |site| site.to_string());
        let vmid = found.vmid.map_or_else(|| "-".to_owned(), |vmid| vmid.to_string());
        format!("{site}/{vmid} {}: {}", kind["kind"].as_str().unwrap(), found.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_was_applied_has_not_drifted() {
    let (reality, resolved) = applied();
    assert_eq!(drift(&resolved, &reality.observe()), vec![]);
    assert_eq!(drift(&resolved, &reality.catalogue()), vec![], "by the resource list alone");
}

#[test]
fn order_defaults_spelling_and_what_others_added_are_no_drift() {
    let (mut reality, resolved) = applied();
    let real = reality.at("fra1", 2000);
    let tags = format!("zeta;{};alpha", real.text("tags"));
    real.raw.insert("tags".to_owned(), tags);
    let lower = |part: &str| match part.split_once('=') {
        Some(("hwaddr", mac)) => format!("hwaddr={}", mac.to_ascii_lowercase()),
        _ => part.to_owned(),
    };
    let reversed: Vec<String> = real.text("net0").split(',').rev().map(lower).collect();
    let spelled = format!("{},firewall=0,link_down=0", reversed.join(","));
    real.raw.insert("net0".to_owned(), spelled);
    real.raw.insert("onboot".to_owned(), "0".to_owned());
    real.raw.insert("protection".to_owned(), "off".to_owned());
    real.raw.insert("features".to_owned(), "nesting=1,mount=nfs,fuse=0".to_owned());
    real.raw.insert("lxc.apparmor.profile".to_owned(), "unconfined".to_owned());
    let rounded = real.text("rootfs").replace("size=4G", "size=4098M");
    real.raw.insert("rootfs".to_owned(), rounded);
    assert_eq!(drift(&resolved, &reality.observe()), vec![]);
}

#[test]
fn changed_stopped_and_moved() {
    let (mut reality, resolved) = applied();
    let db = reality.at("fra1", 2000);
    db.raw.insert("cores".to_owned(), "8".to_owned());
    db.raw.insert("mp3".to_owned(), "/mnt/host,mp=/host".to_owned());
    db.raw.remove("tags");
    db.running = false;
    reality.at("fra1", 2001).node = "pve3".parse().unwrap();
    reality.at("fra1", 2001).template = true;
    assert_snapshot!(show(&resolved, &reality.observe()), @"
    fra1/2000 stopped: `db` does not run
    fra1/2000 changed: cores of `db` is `8` and was applied as `1`
    fra1/2000 changed: tags of `db` is `` and was applied as `rl-h5qsgxdfyeep`
    fra1/2000 changed: mp3 of `db` is `backup=0,mp=/host,ro=0,size=,volume=/mnt/host` and was applied as ``
    fra1/2001 changed: template of `web` is `1` and was applied as `0`
    fra1/2001 moved: `web` lies on pve3 and was put on pve2
    ");
}

#[test]
fn the_resource_list_alone_shows_some_of_it() {
    let (mut reality, resolved) = applied();
    let db = reality.at("fra1", 2000);
    db.raw.insert("cores".to_owned(), "8".to_owned());
    db.raw.insert("memory".to_owned(), "300".to_owned());
    db.raw.insert("hostname".to_owned(), "other".to_owned());
    assert_snapshot!(show(&resolved, &reality.catalogue()), @"
    fra1/2000 changed: hostname of `db` is `other` and was applied as `db`
    fra1/2000 changed: memory of `db` is `300` and was applied as `512`
    fra1/2000 changed: cores of `db` is `8` and was applied as `1`
    ");
}

#[test]
fn gone_usurped_started() {
    let (mut reality, mut resolved) = applied();
    let site = "fra1".parse().unwrap();
    reality.sites.get_mut(&site).unwrap().remove(&2000.try_into().unwrap());
    let web = reality.at("fra1", 2001);
    web.raw.clear();
    web.raw.insert("hostname".to_owned(), "theirs".to_owned());
    assert_snapshot!(show(&resolved, &reality.observe()), @"
    fra1/2000 gone: `db` is gone from fra1
    fra1/2001 usurped: `web` is gone, and `theirs` holds its VMID: it bears no stamp
    ");
    let (reality, _) = applied();
    resolved.guests.get_mut(&"web".parse().unwrap()).unwrap().running = false;
    assert_snapshot!(show(&resolved, &reality.observe()), @"fra1/2001 started: `web` runs");
}

#[test]
fn copies_and_guests_the_stack_does_not_know_were_added() {
    let (mut reality, mut resolved) = applied();
    let mut copy = reality.at("fra1", 2000).clone();
    copy.raw.insert("net0".to_owned(), copy.text("net0").replace("hwaddr=52", "hwaddr=BC"));
    reality.sites.get_mut(&"fra1".parse().unwrap()).unwrap().insert(2050.try_into().unwrap(), copy);
    resolved.guests.remove(&"web".parse().unwrap());
    assert_snapshot!(show(&resolved, &reality.observe()), @"
    fra1/2050 added: fra1/2050 bears the stamp of `db`: it is a copy of it
    fra1/2001 added: fra1/2001 bears our stamp as `web`, which the stack does not know
    ");
}

#[test]
fn what_was_not_read_is_unread_and_never_gone() {
    let (mut reality, resolved) = applied();
    let mut seen = reality.observe();
    let site = seen.sites.get_mut(&"fra1".parse().unwrap()).unwrap();
    site.guests.get_mut(&2000.try_into().unwrap()).unwrap().config = None;
    site.unread.push(Unread::config(2000.try_into().unwrap(), "timed out"));
    site.guests.remove(&2001.try_into().unwrap());
    site.unread.push(Unread::row("lxc/2001", "it names no node"));
    assert_snapshot!(show(&resolved, &seen), @"
    fra1/2000 unread: fra1/2000 was not read: timed out
    fra1/2001 unread: `web` was not read: VMID 2001 of site fra1 could not be read
    ");
    assert_snapshot!(show(&resolved, &Observed::default()), @"
    fra1/2000 unread: `db` was not read: site fra1 could not be read: it was not observed
    fra1/2001 unread: `web` was not read: site fra1 could not be read: it was not observed
    ");
    reality.at("fra1", 2000).raw.insert("lock".to_owned(), "create".to_owned());
    assert_snapshot!(show(&resolved, &reality.observe()), @"fra1/2000 unread: fra1/2000 is just being created in place of `db`");
}

/// A record set as it lies in a zone, with its owner beside it.
fn lies(zone: &mut ObservedZone, name: &str, ttl_s: u32, value: &RecordValue, stack: &str, resolved: &ResolvedStack) {
    let name: DnsName = name.parse().unwrap();
    let owner = Owner { controller: resolved.controller.clone(), stack: stack.parse().unwrap() };
    let beside = owner_name(&name, value.kind()).unwrap();
    zone.records.insert((beside, RecordType::Txt), RecordSet::new(300, [owner.value()]));
    zone.records.insert((name, value.kind()), RecordSet::new(ttl_s, [value.clone()]));
}

#[test]
fn records_that_others_changed() {
    let (reality, mut resolved) = applied();
    let (zone, text) = ("example.org", |text: &str| RecordValue::Txt(text.to_owned()));
    let record = |name: &str, value: &RecordValue| ResolvedRecord {
        zone: zone.parse().unwrap(),
        name: format!("{name}.{zone}").parse().unwrap(),
        kind: value.kind(),
        ttl_s: 300,
        source: RecordSource::Fixed(vec![value.clone()]),
        reverse: Vec::new(),
    };
    let to_web = ResolvedRecord {
        kind: RecordType::A,
        source: RecordSource::Nic { guests: vec!["web".parse().unwrap()], nic: "eth0".parse().unwrap() },
        ..record("www", &text("a"))
    };
    resolved.records = ["same", "late", "gone", "taken", "bare"].map(|name| record(name, &text("a"))).to_vec();
    resolved.records.push(to_web);
    let mut observed = reality.observe();
    assert_snapshot!(show(&resolved, &observed), @"-/- unread: the zone example.org was not read: no site declares it");
    let mut seen = ObservedZone::default();
    lies(&mut seen, "same.example.org", 300, &text("a"), "shop", &resolved);
    lies(&mut seen, "late.example.org", 60, &text("a"), "shop", &resolved);
    lies(&mut seen, "taken.example.org", 300, &text("a"), "blog", &resolved);
    lies(&mut seen, "old.example.org", 300, &text("b"), "shop", &resolved);
    lies(&mut seen, "other.example.org", 300, &text("c"), "blog", &resolved);
    lies(&mut seen, "www.example.org", 300, &RecordValue::A([192, 0, 2, 66].into()), "shop", &resolved);
    seen.records.insert(("bare.example.org".parse().unwrap(), RecordType::Txt), RecordSet::new(300, [text("a")]));
    observed.zones.insert(zone.parse().unwrap(), seen);
    assert_snapshot!(show(&resolved, &observed), @r#"
    -/- record: the record bare.example.org TXT is `"a", there already and not made by RapidLaunch` and was applied as `"a"`
    -/- record: the record gone.example.org TXT is `absent` and was applied as `"a"`
    -/- record: the record late.example.org TXT is `"a" with a time to live of 60 s, not 300 s` and was applied as `"a"`
    -/- record: the record taken.example.org TXT is `"a", of the stack blog of installation a1000000000000000000` and was applied as `"a"`
    fra1/2001 record: the record www.example.org A is `192.0.2.66` and was applied as `10.20.0.51`
    -/- record: the record old.example.org TXT is `"b"` and was applied as `absent`
    "#);
    let unread = ObservedZone { unread: Some(("it is away".to_owned(), String::new())), ..ObservedZone::default() };
    observed.zones.insert(zone.parse().unwrap(), unread);
    assert_snapshot!(show(&resolved, &observed), @"-/- unread: the zone example.org was not read: it is away");
}
