//! Making a container from a resolved guest: the stamp travels in the call itself.

use rl_model::config::{desired_nic, features_text, mount_create_text};
use rl_model::{ConfigFields, FieldKey, NodeName, ResolvedGuest, Stamp, Upid};

use crate::Request;

/// `POST /nodes/{node}/lxc`: a container as `guest` describes it, with `stamp` in tags and description. With `start`
/// Proxmox forks a second task (`vzstart`) of its own when the first has ended, and does not tell its UPID.
pub fn create(node: &NodeName, guest: &ResolvedGuest, stamp: &Stamp, start: bool) -> Request<Upid> {
    let fields = ConfigFields::desired(guest, stamp);
    let mut request: Request<Upid> = Request::post("/nodes/{node}/lxc")
        .on(node)
        .param("vmid", guest.vmid)
        .param("ostemplate", &guest.image)
        .param("rootfs", format_args!("{}:{}", guest.storage, guest.disk.pve_gib()))
        .slow();
    for volume in &guest.volumes {
        request = request.param(volume.slot.to_string(), mount_create_text(volume));
    }
    for nic in &guest.nics {
        request = request.param(nic.slot.to_string(), desired_nic(nic));
    }
    for key in [FieldKey::Hostname, FieldKey::Memory, FieldKey::Swap, FieldKey::OnBoot, FieldKey::Unprivileged] {
        request = request.param(key.to_string(), fields.get(key));
    }
    for key in [FieldKey::Nameserver, FieldKey::SearchDomain, FieldKey::Startup, FieldKey::Timezone, FieldKey::Tags] {
        if !fields.get(key).is_empty() {
            request = request.param(key.to_string(), fields.get(key));
        }
    }
    if guest.cores > 0 {
        request = request.param("cores", guest.cores);
    }
    let features = features_text(guest.features);
    if !features.is_empty() {
        request = request.param("features", features);
    }
    if guest.protection {
        request = request.flag("protection", true);
    }
    if !guest.ssh_keys.is_empty() {
        request = request.param("ssh-public-keys", guest.ssh_keys.join("\n"));
    }
    request
        .param("description", stamp.description(&guest.notes))
        .maybe("pool", guest.pool.as_ref())
        .flag("start", start)
}
