//! A VMID is no VLAN, a slot is no mount point, and a number alone is none of them.

use rl_model::{MountSlot, NicSlot, Vmid, VlanId};

fn vlan(vmid: Vmid) -> VlanId {
    vmid.into()
}

fn mount(nic: NicSlot) -> MountSlot {
    nic
}

fn vmid(number: u32) -> Vmid {
    number.into()
}

fn main() {
    let _ = (vlan, mount, vmid);
}
