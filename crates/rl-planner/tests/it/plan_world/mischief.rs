//! What people and accidents do to guests between two plans.

use rl_model::{GuestKind, Vmid};

use super::Reality;
use super::tape::Tape;

/// Does a few things to guests of ours.
pub(crate) fn mischief(reality: &mut Reality, tape: &mut Tape<'_>) {
    for _ in 0..tape.below(6) {
        let places: Vec<_> = reality
            .sites
            .iter()
            .flat_map(|(site, guests)| guests.iter().map(move |(vmid, guest)| (site.clone(), *vmid, guest.stamp())))
            .filter(|(_, _, stamp)| stamp.as_ref().is_some_and(|stamp| stamp.controller == super::controller()))
            .map(|(site, vmid, _)| (site, vmid))
            .collect();
        if places.is_empty() {
            return;
        }
        let (site, vmid) = tape.of(&places);
        let free =
            (2500..).map(|n| Vmid::try_from(n).unwrap()).find(|n| !reality.sites[&site].contains_key(n)).unwrap();
        let guests = reality.sites.get_mut(&site).unwrap();
        let real = guests.get_mut(&vmid).unwrap();
        match tape.below(17) {
            0 => real.running = !real.running,
            1 => drop(real.raw.insert("cores".to_owned(), "7".to_owned())),
            2 => drop(real.raw.insert("tags".to_owned(), format!("{};byhand", real.text("tags")))),
            3 => drop(real.raw.remove("tags")),
            4 => drop(real.raw.insert("description".to_owned(), "all mine now".to_owned())),
            5 => real.node = tape.of(&["pve1", "pve2", "pve3"]).parse().unwrap(),
            6 => drop(guests.remove(&vmid)),
            7 => {
                let moved = guests.remove(&vmid).unwrap();
                guests.insert(free, moved);
            }
            8 => {
                let mut copy = real.clone();
                let net0 = copy.text("net0").replace("52:", "BC:");
                if !net0.is_empty() {
                    copy.raw.insert("net0".to_owned(), net0);
                }
                guests.insert(free, copy);
            }
            9 => drop(real.raw.insert("mp9".to_owned(), "/mnt/host,mp=/host".to_owned())),
            10 => drop(real.raw.insert("net7".to_owned(), "name=byhand,bridge=vmbr1".to_owned())),
            11 => drop(real.raw.insert("mp8".to_owned(), "local-zfs:subvol-1,mp=/by-hand,size=1G".to_owned())),
            12 => drop(real.raw.insert("rootfs".to_owned(), real.text("rootfs").replace("size=4G", "size=64G"))),
            13 => drop(real.raw.insert("features".to_owned(), "fuse=1,mount=nfs".to_owned())),
            14 => real.kind = GuestKind::Vm,
            15 => {
                let other = rl_model::ControllerId::from_bits(9);
                let stamp = rl_model::Stamp { controller: other, ..real.stamp().unwrap() };
                real.raw.insert("description".to_owned(), stamp.description(""));
            }
            _ => drop(real.raw.insert("onboot".to_owned(), "1".to_owned())),
        }
    }
}
