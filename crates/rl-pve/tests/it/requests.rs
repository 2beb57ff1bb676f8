//! Requests compared as values.

use rl_model::*;
use rl_pve::api::lxc::{self, ConfigPatch, ConfigView};
use rl_pve::api::{access, cluster, pools, tasks};
use rl_pve::wire::{Nothing, RawConfig};
use rl_pve::{CallClass, Method, Request, Safety};

use crate::samples::{DIGEST, full_guest, full_patch, node, p, small_guest, stamp, upid, vmid};

fn shown<A>(request: &Request<A>) -> String {
    let value = |param: &rl_pve::Param| request.param_value(&param.name).unwrap_or("(hidden)").replace('\n', "\\n");
    let params = request.params().iter().map(|param| format!("\n  {} = {}", param.name, value(param)));
    format!("{request} [{:?}, {:?}]{}", request.safety(), request.class(), params.collect::<String>())
}

#[test]
fn a_create_carries_stamp_network_disks_and_options() {
    let guest = full_guest();
    insta::assert_snapshot!(shown(&lxc::create(&node(), &guest, &stamp(&guest), true)), @r"
    POST /nodes/pve1/lxc [Once, Create]
      vmid = 2000
      ostemplate = local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst
      rootfs = local-zfs:8.5
      mp0 = tank:20,backup=1,mp=/srv/data,ro=1
      net0 = bridge=vmbr0,firewall=1,gw=10.20.0.1,gw6=fd00:20::1,hwaddr=BC:24:11:00:00:41,ip=10.20.0.50/24,ip6=fd00:20::50/64,mtu=1400,name=eth0,rate=50,tag=20,type=veth
      net1 = bridge=vmbr1,hwaddr=BC:24:11:00:00:42,ip=dhcp,ip6=auto,name=eth1,type=veth
      hostname = web-1.example.org
      memory = 1024
      swap = 0
      onboot = 1
      unprivileged = 1
      nameserver = 10.20.0.2 fd00:20::2
      searchdomain = example.org
      startup = down=10,order=2,up=5
      timezone = Europe/Berlin
      tags = prod;rl-700000000000;web
      cores = 2
      features = fuse=1,keyctl=1,nesting=1
      protection = 1
      ssh-public-keys = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKey a@b
      description = front end\n\nrapidlaunch: guest=70000000000000000000 stack=shop name=web-1 controller=90000000000000000000\n
      pool = team/shop
      start = 1
    ");
}

#[test]
fn what_is_not_set_is_not_sent() {
    let guest = small_guest();
    insta::assert_snapshot!(shown(&lxc::create(&node(), &guest, &stamp(&guest), false)), @r"
    POST /nodes/pve1/lxc [Once, Create]
      vmid = 2000
      ostemplate = local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst
      rootfs = local-zfs:4
      hostname = web-1.example.org
      memory = 1024
      swap = 0
      onboot = 0
      unprivileged = 1
      tags = rl-700000000000
      description = rapidlaunch: guest=70000000000000000000 stack=shop name=web-1 controller=90000000000000000000\n
      start = 0
    ");
}

#[test]
fn a_patch_sets_deletes_reverts_and_sends_the_digest() {
    insta::assert_snapshot!(shown(&lxc::set_config(&node(), vmid(), &full_patch())), @r"
    PUT /nodes/pve1/lxc/2000/config [Repeatable, Create]
      cores = 2
      description = front end\n\nrapidlaunch: guest=70000000000000000000 stack=shop name=web-1 controller=90000000000000000000
      features = fuse=1,keyctl=1,nesting=1
      hostname = web-1.example.org
      memory = 1024
      mp0 = tank:20,backup=1,mp=/srv/data,ro=1
      nameserver = 10.20.0.2 fd00:20::2
      net0 = bridge=vmbr0,firewall=1,gw=10.20.0.1,gw6=fd00:20::1,hwaddr=BC:24:11:00:00:41,ip=10.20.0.50/24,ip6=fd00:20::50/64,mtu=1400,name=eth0,rate=50,tag=20,type=veth
      onboot = 1
      protection = 1
      startup = down=10,order=2,up=5
      swap = 0
      tags = prod;rl-700000000000;web
      timezone = Europe/Berlin
      unprivileged = 1
      delete = net1,searchdomain
      revert = cores
      digest = c0f2bbbd4e3cf7e8dbcc08bc8a869b03f3e9fd79
    ");
}

fn change(key: &str, from: &str, to: &str) -> Change {
    Change { key: p(key), from: from.into(), to: to.into() }
}

fn raw(pairs: &[(&str, &str)]) -> RawConfig {
    let values = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    RawConfig { values, nested: vec![] }
}

#[test]
fn emptied_keys_are_deleted_and_unlimited_cores_too() {
    let changes = [change("nameserver", "10.0.0.1", ""), change("cores", "2", "0"), change("swap", "512", "0")];
    let patch = ConfigPatch::from_changes(&changes, &full_guest(), &raw(&[("digest", DIGEST)]));
    assert_eq!(patch.delete.iter().map(String::as_str).collect::<Vec<_>>(), ["cores", "nameserver"]);
    assert_eq!(patch.set.get("swap").map(String::as_str), Some("0"));
    assert_eq!(patch.digest.as_deref(), Some(DIGEST));
}

#[test]
fn a_changed_mount_point_keeps_its_volume_and_a_new_one_gets_one() {
    let guest = full_guest();
    let from = "backup=0,mp=/old,ro=0,size=20G,storage=tank";
    let to = "backup=1,mp=/srv/data,ro=1,size=20G,storage=tank";
    let kept = raw(&[("mp0", "tank:subvol-2000-disk-1,mp=/old,size=20G")]);
    let patch = ConfigPatch::from_changes(&[change("mp0", from, to)], &guest, &kept);
    assert_eq!(patch.set["mp0"], "tank:subvol-2000-disk-1,backup=1,mp=/srv/data,ro=1,size=20G");
    let patch = ConfigPatch::from_changes(&[change("mp0", "", to)], &guest, &raw(&[]));
    assert_eq!(patch.set["mp0"], "tank:20,backup=1,mp=/srv/data,ro=1");
    let grown = change("mp0", "backup=1,mp=/srv/data,ro=1,size=10G,storage=tank", to);
    assert!(ConfigPatch::from_changes(&[grown], &guest, &kept).is_empty(), "a size alone is not a patch");
    let gone = change("mp0", from, "");
    assert!(ConfigPatch::from_changes(&[gone], &guest, &kept).delete.contains("mp0"));
}

#[test]
fn a_digest_in_a_delete_or_get_travels_in_the_query() {
    let request = lxc::destroy(&node(), vmid(), lxc::Destroy { purge: true, ..lxc::Destroy::default() });
    assert_eq!(request.method(), Method::Delete);
    assert!(!request.method().has_body());
    assert_eq!(request.param_value("purge"), Some("1"));
}

#[test]
fn what_may_be_repeated_is_told() {
    let safety = |safety: Safety, expected: Safety| assert_eq!(safety, expected);
    safety(cluster::resources(None).safety(), Safety::Read);
    safety(lxc::config(&node(), vmid(), ConfigView::Merged).safety(), Safety::Read);
    safety(lxc::set_config(&node(), vmid(), &full_patch()).safety(), Safety::Repeatable);
    let unguarded = ConfigPatch { digest: None, ..full_patch() };
    safety(lxc::set_config(&node(), vmid(), &unguarded).safety(), Safety::Once);
    safety(lxc::create(&node(), &full_guest(), &stamp(&full_guest()), true).safety(), Safety::Once);
    safety(lxc::destroy(&node(), vmid(), lxc::Destroy::default()).safety(), Safety::Once);
    safety(tasks::stop(&upid()).safety(), Safety::Repeatable);
    safety(pools::add_guests(&p("team"), &[vmid()]).safety(), Safety::Repeatable);
}

#[test]
fn creating_waits_longer_than_the_proxy_gives_another_node() {
    let create = lxc::create(&node(), &full_guest(), &stamp(&full_guest()), true);
    assert_eq!(create.class(), CallClass::Create);
    assert!(create.class().limit().as_secs() > 30);
}

#[test]
fn paths_are_encoded_segment_by_segment() {
    assert_eq!(
        tasks::status(&upid()).path(),
        "/nodes/pve1/tasks/UPID%3Apve1%3A00000371%3A000331FD%3A6B0329D9%3Avzcreate%3A2000%3Adeploy%40pve%21full%3A/status"
    );
    assert_eq!(access::token_info("../../x", "a/b").path(), "/access/users/..%2F..%2Fx/token/a%2Fb");
}

#[test]
fn a_password_is_never_shown() {
    let request: Request<Nothing> = access::login("root@pam", SecretValue::new("sesame-open")).retyped();
    assert!(!format!("{request:?} {request}").contains("sesame"));
    assert_eq!(request.param_value("password"), None);
}

#[test]
fn snapshot_names_follow_the_description() {
    for good in ["before", "a-1", "A_b"] {
        assert!(good.parse::<lxc::SnapshotName>().is_ok(), "{good}");
    }
    for bad in ["", "a", "1a", "a b", "a.b", "current", &"a".repeat(41)] {
        assert!(bad.parse::<lxc::SnapshotName>().is_err(), "{bad}");
    }
}
