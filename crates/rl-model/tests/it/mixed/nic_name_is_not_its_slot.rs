//! The name inside the guest and Proxmox's slot are two things: a firewall rule that takes one for the other sits on the
//! wrong interface.

use rl_model::{NicName, NicSlot};

fn rule_on(_slot: NicSlot) {}

fn main() {
    let name: NicName = "eth0".parse().unwrap();
    rule_on(name);
}
