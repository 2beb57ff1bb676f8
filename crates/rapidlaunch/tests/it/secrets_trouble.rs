//! The world turns while a secret is delivered: its agent is killed, stopped or cut off, its guest moves or is exchanged. The value
//! comes to the guest that was meant, whole and once, or to nobody.

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Allow, Child, Held, Run, World};
use crate::secrets::{GRANT, OTHER, VALUE, Vault};

/// Signs of life in these tests: an agent is gone after three that did not come.
const HEARTBEAT_MS: u32 = 1_000;
const NODES: [&str; 3] = ["pve1", "pve2", "pve3"];

/// A stack that is there, and a value that is granted next.
struct Scene {
    vault: Vault,
    files: [String; 4],
    vmid: u64,
}

impl Scene {
    fn open() -> Self {
        let mut world = World::new();
        world.heartbeat_ms = Some(HEARTBEAT_MS);
        let vault = Vault::open_in(world);
        vault.apply(&vault.stack(""));
        vault.set(VALUE);
        let (files, vmid) = (vault.stack(GRANT), vault.vmid("db"));
        Self { vault, files, vmid }
    }

    /// The node of the guest that is granted the secret.
    fn home(&self) -> String {
        self.vault.world.guest(self.vmid)["node"].as_str().unwrap().to_owned()
    }

    fn agent(&mut self, node: &str) -> &mut Child {
        let at = NODES.iter().position(|known| *known == node).unwrap();
        &mut self.vault.agents[at]
    }

    /// Begins an apply, and waits until the gate of a node holds its delivery.
    fn delivering(&self, node: &str, what: Held) -> Child {
        self.vault.world.hold(node, what);
        let address = self.vault.address.to_string();
        let args = ["apply", "--yes", "--agents", &address, "-vv"];
        let applying = self.vault.world.spawn_files(&args, &self.files);
        self.vault.world.until_held(node);
        applying
    }

    fn values(&self) -> Vec<String> {
        self.vault.found("run/secrets/db").into_iter().map(|(_, value)| value).collect()
    }

    #[track_caller]
    fn nothing_beside(&self) {
        self.vault
            .world
            .until("nothing lies beside the file", || self.vault.world.parts("run/secrets", "db").is_empty());
    }

    /// The apply has done it: the value is in one guest, and in none is anything that was not granted.
    #[track_caller]
    fn delivered(&self, applying: Child, value: &str) {
        self.vault.world.wait(applying).expect(0);
        assert_eq!(self.values(), [value]);
        self.nothing_beside();
        self.vault.verify().expect(0);
    }

    /// The apply waits for a person, and no guest has the value. What was written into one that is gone went with it.
    #[track_caller]
    fn left_alone(&self, applying: Child) -> Run {
        let refused = self.vault.world.wait(applying).expect(4);
        assert_eq!(self.values(), Vec::<String>::new());
        refused
    }

    /// Our guest is there again: it gets what it is granted, and nothing else of the value lies anywhere.
    fn comes_back(self, home: &str, ours: serde_json::Value) {
        let vmid = self.vmid;
        self.vault.act(&["op", "cancel", "last"], &[]).expect(0);
        self.vault
            .world
            .put_guest(json!({ "vmid": vmid, "node": home, "replace": true, "config": ours, "running": true }));
        self.vault.apply(&self.files);
        assert_eq!(self.values(), [VALUE]);
        self.nothing_beside();
        self.vault.close_with(Allow { volumes: true, made_again: true, ..Allow::default() });
    }
}

/// The largest value, of which a pipe does not hold the whole.
fn large(value: &str) -> String {
    let times = rl_providers::secrets::VALUE_BYTES_MAX / value.len();
    let mut large = value.repeat(times);
    large.extend(std::iter::repeat_n('.', rl_providers::secrets::VALUE_BYTES_MAX - large.len()));
    large
}

/// The agent is killed with half of the value in the guest, and with the whole of it beside its name.
#[test]
fn an_agent_killed_in_the_middle_of_a_delivery_leaves_none_of_it() {
    let mut scene = Scene::open();
    let home = scene.home();
    for (what, value) in [(Held::Input, large(VALUE)), (Held::Output, OTHER.to_owned())] {
        scene.vault.set(&value);
        let before = scene.values();
        let applying = scene.delivering(&home, what);
        scene.vault.world.until("the value is written", || scene.vault.world.parts("run/secrets", "db").len() == 1);
        scene.agent(&home).kill();
        scene.vault.world.release(&home, what);
        scene.nothing_beside();
        assert_eq!(scene.values(), before);
        let (world, address) = (&scene.vault.world, scene.vault.address);
        let again = world.agent(&home, address, None);
        let killed = std::mem::replace(scene.agent(&home), again);
        scene.vault.world.wait(killed);
        scene.delivered(applying, &value);
    }
    scene.vault.close();
}

/// The agent is stopped beyond the time after which it is taken for gone. Meanwhile the guest is exchanged for a clone that bears
/// our stamp under the same VMID; the agent goes on, and brings the value to nobody.
#[test]
fn an_agent_that_was_stopped_brings_nothing_to_a_clone() {
    let mut scene = Scene::open();
    let home = scene.home();
    let applying = scene.delivering(&home, Held::Output);
    scene.agent(&home).signal(Signal::STOP);
    scene.vault.world.release(&home, Held::Output);
    let ours = scene.vault.world.whole_config(scene.vmid);
    let mut clone = ours.clone();
    clone["net0"] = json!(other_mac(ours["net0"].as_str().unwrap()));
    let (vmid, world) = (scene.vmid, &scene.vault.world);
    world.put_guest(json!({ "vmid": vmid, "node": home, "replace": true, "config": clone, "running": true }));
    world.until_agent(&home, "away");
    scene.agent(&home).signal(Signal::CONT);
    let refused = scene.left_alone(applying);
    assert!(refused.stderr.contains("MAC") || refused.stderr.contains("hwaddr"), "{refused:?}");
    scene.comes_back(&home, ours);
}

/// The guest moves while its secret is delivered: after the site was asked where it lies, so that the agent of the wrong node is
/// asked; and when the value lies in it already, beside its name.
#[test]
fn a_guest_that_moves_during_a_delivery_gets_its_secret_once() {
    let scene = Scene::open();
    for (what, value) in [(Held::Config, VALUE), (Held::Output, OTHER)] {
        scene.vault.set(value);
        let from = scene.home();
        let to = NODES.into_iter().find(|node| *node != from).unwrap();
        let applying = scene.delivering(&from, what);
        scene.vault.world.put_guest(json!({ "vmid": scene.vmid, "node": to }));
        scene.vault.world.release(&from, what);
        let moved = scene.vault.world.wait(applying);
        assert_eq!(scene.values(), [value], "{moved:?}");
        scene.nothing_beside();
        // Its own plan does not know the node yet; the next one does.
        scene.vault.world.until("nothing is left to do", || {
            scene.vault.apply(&scene.files);
            scene.vault.verify().code == Some(0)
        });
    }
    scene.vault.close();
}

/// The guest is destroyed, and a stranger's has its VMID, while the value lies in it beside its name.
#[test]
fn a_guest_exchanged_during_a_delivery_gets_nothing() {
    let scene = Scene::open();
    let home = scene.home();
    let applying = scene.delivering(&home, Held::Output);
    let ours = scene.vault.world.whole_config(scene.vmid);
    let theirs = json!({ "hostname": "db", "net0": ours["net0"], "memory": "256" });
    let (vmid, world) = (scene.vmid, &scene.vault.world);
    world.put_guest(json!({ "vmid": vmid, "node": home, "replace": true, "config": theirs, "running": true }));
    scene.vault.world.release(&home, Held::Output);
    let refused = scene.left_alone(applying);
    assert!(refused.stderr.contains("stamp"), "{refused:?}");
    scene.comes_back(&home, ours);
}

/// A NIC's configuration with another MAC.
fn other_mac(net0: &str) -> String {
    let at = net0.find("hwaddr=").unwrap() + "hwaddr=".len();
    format!("{}02:00:00:00:00:01{}", &net0[..at], &net0[at + 17..])
}
