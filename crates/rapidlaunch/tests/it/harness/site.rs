//! The simulated site as the test itself sees and changes it, past the API.

use std::time::{Duration, Instant};

use pve_sim::Fault;
use serde_json::{Value, json};

use super::World;

/// How long something may take to come true.
const PATIENCE: Duration = Duration::from_secs(180);

impl World {
    /// Asks the control endpoint.
    #[track_caller]
    pub(crate) fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.runtime.block_on(self.sim.control(method, path, body));
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// The whole of the site.
    pub(crate) fn state(&self) -> Value {
        self.control("GET", "/state", Value::Null)
    }

    /// One guest, or null.
    pub(crate) fn guest(&self, vmid: u64) -> Value {
        self.state()["guests"][vmid.to_string()].clone()
    }

    /// The configuration of a guest as one would write it anew: every key with its text.
    pub(crate) fn whole_config(&self, vmid: u64) -> Value {
        let config = self.guest(vmid)["config"].clone();
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let keys = config.as_object().unwrap().iter().filter(|(key, _)| *key != "digest");
        keys.map(|(key, value)| (key.clone(), json!(text(value)))).collect()
    }

    /// Makes or changes a guest as somebody else would.
    pub(crate) fn put_guest(&self, guest: Value) {
        self.control("POST", "/guests", guest);
    }

    /// Removes a guest as somebody else would.
    pub(crate) fn delete_guest(&self, vmid: u64) {
        self.control("DELETE", &format!("/guests/{vmid}"), Value::Null);
    }

    /// A stranger's guest under a VMID.
    pub(crate) fn stranger(&self, vmid: u64, kind: &str, replace: bool) -> Value {
        let config = json!({ "hostname": "precious", "name": "precious", "memory": "777", "description": "do not touch\n",
            "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:99:99:99,ip=10.0.3.3/16,type=veth" });
        self.put_guest(json!({ "vmid": vmid, "type": kind, "config": config, "running": true, "replace": replace }));
        self.guest(vmid)
    }

    /// Adds faults given as JSON.
    pub(crate) fn faults(&self, faults: Value) {
        let list: Vec<Fault> = serde_json::from_value(faults).unwrap();
        self.sim.add_faults(list);
    }

    /// How often the fault with this number has struck.
    pub(crate) fn struck(&self, fault: usize) -> u64 {
        self.control("GET", "/faults", Value::Null)[fault]["struck"].as_u64().unwrap_or(0)
    }

    /// Containers truly made so far.
    pub(crate) fn creates(&self) -> u64 {
        self.sim.ledger().by_kind.get("create").copied().unwrap_or(0)
    }

    /// Waits until something is true.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut is: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is() {
            assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
