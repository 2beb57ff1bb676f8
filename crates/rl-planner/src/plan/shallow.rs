//! Comparing a guest with its row in the resource list alone, where its configuration was not read.

use rl_model::config::split_tags;
use rl_model::{GuestStatus, ObservedGuest, ResolvedGuest, Stamp};

/// The first difference between a guest as it shall be and the little that the resource list shows of it, or the form
/// last applied; `None` when all of that agrees. Disk sizes are not compared: of a running guest the list shows the
/// size of its file system.
pub(crate) fn difference(want: &ResolvedGuest, last: Option<&ResolvedGuest>, row: &ObservedGuest) -> Option<String> {
    let applied = last.is_some_and(|last| same_declared(last, want));
    if !applied {
        return Some("what the stack asks for changed since it was last applied".to_owned());
    }
    row_difference(want, row)
}

/// The first difference that the row alone shows.
pub(crate) fn row_difference(want: &ResolvedGuest, row: &ObservedGuest) -> Option<String> {
    let running = row.status == GuestStatus::Running;
    let lacks = |tag: &str| !row.tags.iter().any(|have| have == tag);
    let stamp_tag = Stamp::tag_of(&want.id);
    let differs = |what: &str, have: &dyn std::fmt::Display, wanted: &dyn std::fmt::Display| {
        Some(format!("its {what} is {have} and not {wanted}"))
    };
    if row.template {
        return Some("it is a template".to_owned());
    }
    if row.vmid != want.vmid {
        return differs("VMID", &row.vmid, &want.vmid);
    }
    if want.node_pinned && row.node != want.node {
        return differs("node", &row.node, &want.node);
    }
    if row.status != GuestStatus::Unknown && running != want.running {
        return Some(if running { "it runs".to_owned() } else { "it does not run".to_owned() });
    }
    if row.name != want.hostname.to_string() {
        return differs("host name", &row.name, &want.hostname);
    }
    if row.max_memory_bytes != want.memory.bytes() {
        return differs("memory", &format!("{} bytes", row.max_memory_bytes), &want.memory);
    }
    if row.max_cores != want.cores {
        return differs("number of cores", &row.max_cores, &want.cores);
    }
    if lacks(stamp_tag.as_str()) || want.tags.iter().any(|tag| lacks(tag.as_str())) {
        return differs("tags", &split_tags(&row.tags.join(";")).join(";"), &"those of the stack");
    }
    None
}

/// Whether two forms ask for the same; where a guest lies is an observation, unless its node is named.
fn same_declared(last: &ResolvedGuest, want: &ResolvedGuest) -> bool {
    if last.node == want.node {
        return last == want;
    }
    let mut moved = last.clone();
    moved.node = want.node.clone();
    moved == *want
}
