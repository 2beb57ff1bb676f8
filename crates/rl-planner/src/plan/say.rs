//! The sentences of a plan's report about single guests: what is so, and what a person can do about it.

use rl_model::{
    Change, Consequence, Features, GuestKind, GuestName, KnownGuest, MountSlot, NodeName, ResolvedGuest,
    ResolvedVolume, Stamp,
};

use super::delta::Forced;
use super::report::Reporter;
use super::world::{Foreign, Found, Identity, Likeness, Place};

/// Whom a note about identity is about.
pub(crate) struct Subject<'a> {
    /// Whom was looked for.
    pub(crate) who: Identity<'a>,
    /// The stamp it has or should have.
    pub(crate) stamp: &'a Stamp,
}

/// A guest that was found but is not touched.
pub(crate) fn left_alone(found: &Found<'_>, subject: &Subject<'_>, report: &mut Reporter) {
    let name = &subject.stamp.name;
    match found {
        Found::Creating(place) => creating(name, *place, report),
        Found::Unreadable(place, why) => {
            let message = format!("{} could not be compared with `{name}` and is left alone: {why}", place.show());
            report.warn(name, message, Some("plan again when it can be read".to_owned()));
        }
        Found::Foreign(place, foreign) => foreign_guest(subject, *place, foreign, report),
        Found::Twins(places) => twins(subject, places, report),
        Found::Absent | Found::Ours(..) | Found::Shallow(_) | Found::Unread(_) => {}
    }
}

fn creating(name: &GuestName, place: Place<'_>, report: &mut Reporter) {
    let (vmid, node) = (place.guest.vmid, &place.guest.node);
    let message = format!("{} is just being created on {node}, so `{name}` is left alone", place.show());
    let hint = format!(
        "plan again when its task has ended; if no task creates it, remove what is left of it on {node} with \
         `pct unlock {vmid}` and `pct destroy {vmid}`"
    );
    report.warn(name, message, Some(hint));
}

fn foreign_guest(subject: &Subject<'_>, place: Place<'_>, foreign: &Foreign, report: &mut Reporter) {
    let (name, stamp) = (&subject.stamp.name, subject.stamp);
    let kind = match place.guest.kind {
        GuestKind::Container => "container",
        GuestKind::Vm => "virtual machine",
    };
    let named = if place.guest.name.is_empty() { String::new() } else { format!(" `{}`", place.guest.name) };
    let message = format!(
        "VMID {} of `{name}` is held on {} by {kind}{named}, which is not ours because {}; it is not touched",
        place.guest.vmid, place.guest.node, foreign.why
    );
    let adopt = format!("put the tag `{}` and the line `{stamp}` into its notes", stamp.tag());
    let likely =
        |why: &str| format!("{why}, so it is most likely that guest with its stamp lost; to adopt it, {adopt}");
    let hint = match (place.guest.kind, foreign.likeness) {
        (GuestKind::Vm, _) => "plan again to have another VMID chosen, or pin one that is free".to_owned(),
        (GuestKind::Container, Some(Likeness::Mac)) => likely(&format!("it bears the MAC address leased to `{name}`")),
        (GuestKind::Container, Some(Likeness::Name)) => likely(&format!("it bears the host name of `{name}`")),
        (GuestKind::Container, Some(Likeness::Guest)) => {
            format!("let only one installation look after it; to take it back, {adopt}")
        }
        (GuestKind::Container, None) => {
            format!("if it is that guest, adopt it: {adopt}; otherwise plan again to have another VMID chosen")
        }
    };
    report.block(name, message, hint);
}

fn twins(subject: &Subject<'_>, places: &[Place<'_>], report: &mut Reporter) {
    let (name, who) = (&subject.stamp.name, &subject.who);
    let shown: Vec<String> = places.iter().map(Place::show).collect();
    let message =
        format!("{} all bear the stamp of `{name}` or look like it; none of them is touched", shown.join(", "));
    let is_original = |place: &&Place<'_>| {
        let seen = place.guest.config.as_ref().and_then(|config| config.net0_mac);
        *place.site == *who.site && place.guest.vmid == who.vmid && (seen.is_none() || seen == who.net0)
    };
    let copies: Vec<String> = places.iter().filter(|place| !is_original(place)).map(Place::show).collect();
    let tag = subject.stamp.tag();
    let mend =
        format!("take the tag `{tag}` and the line that begins with `rapidlaunch:` out of the copy, then plan again");
    let hint = match copies.len() == places.len() {
        true => format!(
            "none of them has VMID {} and the leased MAC address; decide which is the right one and {mend}",
            who.vmid
        ),
        false => format!("{} looks like the copy, by its VMID and MAC address; {mend}", copies.join(", ")),
    };
    report.block(name, message, hint);
}

/// A guest that is ours by its stamp, but cannot be worked with.
pub(crate) fn unfit(want: &ResolvedGuest, place: Place<'_>, report: &mut Reporter) {
    if place.guest.template {
        let message = format!("{} (`{}`) was turned into a template and is left alone", place.show(), want.name);
        let hint = "a template cannot run or be changed; take its stamp away or destroy it, then plan again".to_owned();
        return report.block(&want.name, message, hint);
    }
    let message =
        format!("`{}` was found as {} and not on site {}; it is left alone", want.name, place.show(), want.site);
    report.block(
        &want.name,
        message,
        format!("bring it back to {}, or take its stamp away, then plan again", want.site),
    );
}

/// A guest of ours was found under another VMID.
pub(crate) fn followed(want: &ResolvedGuest, place: Place<'_>, report: &mut Reporter) {
    let message = format!(
        "`{}` now has VMID {} and not {}; its stamp is valid, so it is followed",
        want.name, place.guest.vmid, want.vmid
    );
    report.info(&want.name, message, None);
}

/// A guest that is to be created takes what no API token may do.
pub(crate) fn create_needs_root(want: &ResolvedGuest, report: &mut Reporter) {
    let features = rl_model::config::features_text(want.features);
    let message = format!(
        "`{}` cannot be created: only `root@pam` itself may set features `{features}`{}",
        want.name,
        privileged(want)
    );
    let Features { nesting, keyctl, fuse } = want.features;
    let on = [("nesting", nesting && !want.unprivileged), ("keyctl", keyctl), ("fuse", fuse)];
    let off: Vec<String> = on.iter().filter(|(_, on)| *on).map(|(name, _)| format!("{name}: false")).collect();
    let hint = format!(
        "write `features: {{ {} }}` and apply; to have them all the same, run `pct set {} --features {features}` on {} \
         then and write them again",
        off.join(", "),
        want.vmid,
        want.node
    );
    report.block(&want.name, message, hint);
}

/// Features of an existing guest that no API token may change.
pub(crate) fn features_need_root(want: &ResolvedGuest, place: Place<'_>, wanted: &str, report: &mut Reporter) {
    let message = format!(
        "features of `{}` stay as they are: only `root@pam` itself may change them{}",
        want.name,
        privileged(want)
    );
    let hint = match wanted {
        "" => format!("run `pct set {} --delete features` on {}", place.guest.vmid, place.guest.node),
        wanted => format!("run `pct set {} --features {wanted}` on {}", place.guest.vmid, place.guest.node),
    };
    report.block(&want.name, message, hint);
}

fn privileged(want: &ResolvedGuest) -> &'static str {
    if want.unprivileged { "" } else { " of a privileged container" }
}

/// The node a guest shall lie on does not answer.
pub(crate) fn node_not_there(want: &ResolvedGuest, report: &mut Reporter) {
    let message = format!("`{}` shall lie on node {} of {}, which is not online", want.name, want.node, want.site);
    report.block(&want.name, message, "bring the node back, or let the stack name another one".to_owned());
}

/// A guest that was applied is not there any more.
pub(crate) fn gone(want: &ResolvedGuest, last: &ResolvedGuest, report: &mut Reporter) {
    let lost: Vec<&str> = last.volumes.iter().map(|volume| volume.name.as_str()).collect();
    let with = if lost.is_empty() { String::new() } else { format!(", and with it its volumes ({})", lost.join(", ")) };
    let message =
        format!("`{}` (VMID {}) is gone from {}{with}; it is created anew, empty", want.name, last.vmid, want.site);
    report.warn(&want.name, message, Some("if it can be restored from a backup, do so before you apply".to_owned()));
}

/// The configuration of a guest was not read although it has to be compared.
pub(crate) fn not_read(want: &ResolvedGuest, place: Place<'_>, what: &str, report: &mut Reporter) {
    let message =
        format!("{what}, but the configuration of `{}` ({}) was not read; it is left alone", want.name, place.show());
    report.warn(&want.name, message, Some("plan again".to_owned()));
}

/// A volume left the stack and stays.
pub(crate) fn volume_kept(name: &GuestName, volume: &ResolvedVolume, report: &mut Reporter) {
    let message = format!(
        "volume `{}` ({} at {}) of `{name}` left the stack, but holds data and stays",
        volume.name, volume.slot, volume.path
    );
    report.block(
        name,
        message,
        format!("to have it deleted with its data: `--allow-data-loss {name}`; to keep it, put it back into the stack"),
    );
}

/// Mount points stay as they are because the guest is protected.
pub(crate) fn volumes_protected(want: &ResolvedGuest, slots: &[MountSlot], report: &mut Reporter) {
    if slots.is_empty() {
        return;
    }
    let slots: Vec<String> = slots.iter().map(ToString::to_string).collect();
    let message = format!("{} of `{}` cannot change while protection is on", slots.join(", "), want.name);
    let hint = format!("set `protection: false` for `{}`, apply, and set it again afterwards", want.container);
    report.block(&want.name, message, hint);
}

/// Tells what stands against a replacement; gives back whether nothing does. `allowed`: replacing, losing data,
/// protection on, features only `root@pam` may set.
pub(crate) fn replace_refused(
    want: &ResolvedGuest,
    forced: &[Forced],
    volumes: &[MountSlot],
    allowed: (bool, bool, bool, bool),
    report: &mut Reporter,
) -> bool {
    let (replace, data_loss, protected, root) = allowed;
    let name = &want.name;
    let reasons: Vec<&str> = forced.iter().map(|forced| forced.reason.as_str()).collect();
    let message = format!("`{name}` would have to be replaced: {}", reasons.join("; "));
    let slots: Vec<String> = volumes.iter().map(ToString::to_string).collect();
    let (message, hint) = if !replace && data_loss {
        let leave = "or put the old value back into the stack";
        (message, format!("to destroy it and make it anew: `--allow-replace {name}`; {leave}"))
    } else if !replace || !data_loss {
        let lost = format!("{message}; its data volumes ({}) would be lost with it", slots.join(", "));
        (
            lost,
            format!(
                "to lose them: `--allow-replace {name} --allow-data-loss {name}`; \
                 or put the old value back into the stack"
            ),
        )
    } else if protected {
        let hint = format!("set `protection: false` for `{}`, apply, then replace it", want.container);
        (format!("{message}, but protection is on"), hint)
    } else if root {
        (
            format!("{message}, but only `root@pam` itself may set its features when it is made"),
            "let the stack ask for no features but nesting".to_owned(),
        )
    } else {
        return true;
    };
    report.block(name, message, hint);
    false
}

/// Mounts of the node keep a guest from moving.
pub(crate) fn cannot_move(want: &ResolvedGuest, mounts: &[String], report: &mut Reporter) {
    let message = format!("`{}` cannot move to {}: {} is not of the stack", want.name, want.node, mounts.join(", "));
    report.block(&want.name, message, "take the mount away, or let the stack name the node it lies on".to_owned());
}

/// A move has to wait because the guest runs.
pub(crate) fn move_waits(want: &ResolvedGuest, place: Place<'_>, report: &mut Reporter) {
    let message =
        format!("`{}` stays on {} for now: a running container moves only with a restart", want.name, place.guest.node);
    report.warn(&want.name, message, Some("plan without `--no-restart`".to_owned()));
}

/// Changes that are written but not live.
pub(crate) fn pending(want: &ResolvedGuest, keys: &[String], report: &mut Reporter) {
    let message = format!("changes of {} in `{}` wait for its next start", keys.join(", "), want.name);
    report.info(&want.name, message, Some(format!("stop and start VMID {} to have them", want.vmid)));
}

/// Steps will wait for a lock.
pub(crate) fn locked(want: &ResolvedGuest, place: Place<'_>, lock: &str, report: &mut Reporter) {
    let message =
        format!("`{}` ({}) is locked ({lock}); its steps wait until the lock is gone", want.name, place.show());
    report.info(&want.name, message, None);
}

/// The site does not tell whether a guest runs.
pub(crate) fn status_unknown(want: &ResolvedGuest, report: &mut Reporter) {
    let message = format!("whether `{}` runs is not known; it is neither started nor stopped", want.name);
    report.warn(&want.name, message, Some("plan again in some seconds".to_owned()));
}

/// Why a guest is updated.
pub(crate) fn update_reasons(changes: &[Change], move_to: Option<&NodeName>, power: Consequence) -> Vec<String> {
    let mut reasons = Vec::new();
    if !changes.is_empty() {
        let keys: Vec<String> = changes.iter().map(|change| change.key.to_string()).collect();
        let verb = if keys.len() == 1 { "differs" } else { "differ" };
        reasons.push(format!("{} {verb} from the stack", keys.join(", ")));
    }
    if let Some(node) = move_to {
        reasons.push(format!("the stack wants it on {node}"));
    }
    match power {
        Consequence::Start => reasons.push("it shall run and does not".to_owned()),
        Consequence::Stop => reasons.push("it shall not run and does".to_owned()),
        Consequence::Restart => reasons.push("it has to restart for it".to_owned()),
        Consequence::NextStart => reasons.push("part of it waits for its next start".to_owned()),
        Consequence::Keep => {}
    }
    reasons
}

/// A guest that left the stack is protected.
pub(crate) fn remove_protected(known: &KnownGuest, place: Place<'_>, report: &mut Reporter) {
    let message = format!("`{}` ({}) is to be removed, but protection is on", known.name, place.show());
    let vmid = place.guest.vmid;
    report.block(
        &known.name,
        message,
        format!("switch protection off with `pct set {vmid} --protection 0` on {}", place.guest.node),
    );
}

/// A guest that left the stack has data volumes.
pub(crate) fn remove_loses_data(known: &KnownGuest, place: Place<'_>, volumes: &[MountSlot], report: &mut Reporter) {
    let slots: Vec<String> = volumes.iter().map(ToString::to_string).collect();
    let message = format!(
        "`{}` ({}) is to be removed, but its data volumes ({}) would be lost with it",
        known.name,
        place.show(),
        slots.join(", ")
    );
    report.block(&known.name, message, format!("to lose them: `--allow-data-loss {}`", known.name));
}

/// A guest that left the stack lies where it should not, or is a template.
pub(crate) fn remove_template(known: &KnownGuest, place: Place<'_>, report: &mut Reporter) {
    let message = format!("`{}` ({}) is to be removed, but was turned into a template", known.name, place.show());
    report.block(
        &known.name,
        message,
        "other guests may be linked clones of it: destroy it by hand if none is".to_owned(),
    );
}

/// A guest that left the stack was not read.
pub(crate) fn remove_not_read(known: &KnownGuest, place: Place<'_>, report: &mut Reporter) {
    let message = format!("`{}` ({}) is to be removed, but its configuration was not read", known.name, place.show());
    report.warn(&known.name, message, Some("plan again".to_owned()));
}

/// A guest that left the stack is gone, and another one holds its VMID.
pub(crate) fn vmid_taken_over(known: &KnownGuest, place: Place<'_>, report: &mut Reporter) {
    let message = format!(
        "`{}` is gone; its VMID is now held by another guest ({}), which is not touched",
        known.name,
        place.show()
    );
    report.info(&known.name, message, None);
}

/// A guest waits for one that will not be there.
pub(crate) fn waits_for_absent(name: &GuestName, absent: &GuestName, report: &mut Reporter) {
    let message = format!("`{name}` waits for `{absent}`, which is not there and is not made by this plan");
    report.block(name, message, format!("mend what keeps `{absent}` from being made, then plan again"));
}
