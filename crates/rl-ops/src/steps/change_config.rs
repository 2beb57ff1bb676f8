//! Writes the configuration fields that a plan changes.
//!
//! *Guarantees*: a field is written only if it still has the value the plan saw; one that has its new value already is
//! left alone; a third value means that somebody else changed it, and the step is blocked. The write carries the
//! digest of the configuration that was read, so that nobody's change in between is overwritten.

use async_trait::async_trait;
use rl_engine::{Envelope, OpClass, PriorAttempt, Receipt, Step, StepCx, StepError};
use rl_model::{Change, ConfigFields, FieldKey, NodeName, PropertyString, ResolvedGuest, Vmid, VolumeId};
use rl_pve::CallClass;
use rl_pve::api::lxc::ConfigPatch;
use serde::{Deserialize, Serialize};

use super::leased_vmid;
use crate::context::Ctx;
use crate::fault::BUSY_WAIT;
use crate::identity::{Ours, must_find};
use crate::live::{Announced, call, wait_out};
use crate::payload::Target;

/// The step's name, by which later steps find its receipt.
pub const NAME: &str = "change configuration";

/// See the module.
pub struct ChangeConfig {
    /// The guest.
    pub target: Target,
    /// As it shall be.
    pub guest: Box<ResolvedGuest>,
    /// The fields that change.
    pub changes: Vec<Change>,
}

#[async_trait]
impl Step for ChangeConfig {
    fn name(&self) -> &str {
        NAME
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        self.write(cx, &self.changes).await
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        if matches!(cx.done_so_far(), PriorAttempt::None) {
            return Ok(());
        }
        // Mount points are not turned back: taking one away again would part the guest from a volume with data.
        let plain = self.changes.iter().filter(|change| !change.key.is_disk());
        let back: Vec<Change> = plain.map(|c| Change { key: c.key, from: c.to.clone(), to: c.from.clone() }).collect();
        self.write(cx, &back).await.map(drop)
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        wait_out(cx, &api, &cx.done_so_far(), NAME).await;
        Ok(())
    }
}

impl ChangeConfig {
    async fn write(&self, cx: &StepCx, changes: &[Change]) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        let vmid = leased_vmid(cx, &self.target).await?;
        let ours = must_find(api, &self.target, vmid).await?;
        let open = self.open_changes(&ours, changes)?;
        let volumes = self.parted(cx, &ours, &open)?;
        let receipt = |changed| Changed { node: ours.node.clone(), vmid, changed, volumes: volumes.clone() }.envelope();
        if open.is_empty() {
            return receipt(false);
        }
        let mut patch = ConfigPatch::from_changes(&open, &self.guest, &ours.raw);
        patch.digest = Some(ours.config.digest.clone());
        let mut announced = Announced::new(NAME, &ours.node, vmid);
        announced.volumes.clone_from(&volumes);
        let send = api.set_config(&ours.node, vmid, &patch);
        call(cx, announced, api.limit(CallClass::Create), send, |()| "written".to_owned())
            .await
            .map_err(crate::live::NotDone::into_step_error)?;
        let left = self.open_changes(&must_find(api, &self.target, vmid).await?, changes)?;
        if left.is_empty() {
            return receipt(true);
        }
        let keys: Vec<String> = left.iter().map(|change| change.key.to_string()).collect();
        let text =
            format!("Proxmox took the change of {} but does not show it: {}", self.target.stamp.name, keys.join(", "));
        Err(StepError::retry(BUSY_WAIT, text))
    }

    /// Volumes that these changes part from the guest, or that an interrupted run of this step has parted from it.
    fn parted(&self, cx: &StepCx, ours: &Ours, open: &[Change]) -> Result<Vec<VolumeId>, StepError> {
        let mut volumes = match cx.prior() {
            PriorAttempt::None => Vec::new(),
            PriorAttempt::Intent { value, .. } | PriorAttempt::Submitted { value, .. } => {
                value.read::<Announced>()?.volumes
            }
        };
        for change in open.iter().filter(|change| takes_mount_away(change)) {
            let volume = ours.raw.get(&change.key.to_string()).and_then(rl_model::config::volume_of);
            volumes.extend(volume.filter(|volume| !volumes.contains(volume)));
        }
        Ok(volumes)
    }

    /// Changes that are still to be made, or the error when somebody else has changed one of the fields.
    fn open_changes(&self, ours: &Ours, changes: &[Change]) -> Result<Vec<Change>, StepError> {
        let mut open = Vec::new();
        for change in changes {
            let now = comparable(change.key, ours.config.fields.get(change.key));
            if now == comparable(change.key, &change.to) {
                continue;
            }
            if now != comparable(change.key, &change.from) {
                return Err(self.changed_underneath(ours, change));
            }
            open.push(change.clone());
        }
        Ok(open)
    }

    fn changed_underneath(&self, ours: &Ours, change: &Change) -> StepError {
        let now = ours.config.fields.get(change.key);
        StepError::blocked(
            format!(
                "{} (VMID {}): `{}` is `{now}` now; the plan saw `{}` and wants `{}`. Somebody changed it in between, so it was not written",
                self.target.stamp.name, ours.vmid, change.key, change.from, change.to
            ),
            "cancel this operation and plan again, to see the difference and decide",
        )
    }
}

/// What this step leaves behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// The node the guest lies on.
    pub node: NodeName,
    /// Its VMID.
    pub vmid: Vmid,
    /// Whether this step changed anything.
    pub changed: bool,
    /// Volumes that were parted from the guest and are left as unused disks.
    #[serde(default)]
    pub volumes: Vec<VolumeId>,
}

impl Changed {
    fn envelope(&self) -> Result<Receipt, StepError> {
        Ok(Envelope::of("configuration-changed", 1, self)?)
    }
}

/// Whether a change takes a mount point away.
pub fn takes_mount_away(change: &Change) -> bool {
    matches!(change.key, FieldKey::Mount(_)) && change.to.is_empty()
}

/// Whether a running container sees a change only when it starts again: a mount point can be added while it runs, but
/// not changed or taken away (`PVE/LXC/Config.pm`, `vmconfig_hotplug_pending`).
pub fn waits_for_start(change: &Change) -> bool {
    match change.key {
        FieldKey::Mount(_) => {
            !change.from.is_empty() && comparable(change.key, &change.from) != comparable(change.key, &change.to)
        }
        key => key.needs_restart(),
    }
}

/// The part of a field that this step writes: sizes grow by a call of their own.
fn comparable(key: FieldKey, value: &str) -> String {
    if !matches!(key, FieldKey::Mount(_)) {
        return value.to_owned();
    }
    let mut parsed = PropertyString::parse(value);
    parsed.remove("size");
    parsed.to_string()
}

/// Fields of a plan that a configuration write sets, with new mount points among them; growth is left out.
pub fn writable(changes: &[Change]) -> Vec<Change> {
    let written = |change: &&Change| match change.key {
        FieldKey::RootFs => false,
        FieldKey::Mount(_) => comparable(change.key, &change.from) != comparable(change.key, &change.to),
        _ => true,
    };
    changes.iter().filter(written).cloned().collect()
}

/// Disks that grow, with their size afterwards.
pub fn growth(changes: &[Change]) -> Vec<(FieldKey, rl_model::DiskSize)> {
    let mut out = Vec::new();
    for change in
        changes.iter().filter(|change| change.key.is_disk() && !change.from.is_empty() && !change.to.is_empty())
    {
        let size = |text: &str| ConfigFields([(change.key, text.to_owned())].into()).disk_size(change.key);
        if let (Some(from), Some(to)) = (size(&change.from), size(&change.to))
            && to > from
        {
            out.push((change.key, to));
        }
    }
    out
}
