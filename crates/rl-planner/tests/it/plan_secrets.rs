//! Secrets in a plan: delivered after their guest's own action, exchanged when the version changes, taken when the grant goes,
//! delivered again after a start; names and versions alone.

use rl_model::manifest::{Container, SecretGrant, SectionKind};
use rl_model::{DeliveredFile, KnownSecrets, NewestVersion, PartKind, Plan, Policy, SecretSource};
use rl_planner::plan_destroy;

use crate::plan_world::show::{applied, db, planned};
use crate::plan_world::{Reality, manifest, stack_name};

fn from(text: &str) -> SecretSource {
    text.parse().unwrap()
}

fn grant(from_: &str, to: &str) -> SecretGrant {
    SecretGrant {
        from: from(from_),
        to: to.parse().unwrap(),
        mode: 0o400,
        owner: "root".to_owned(),
        reload: vec!["systemctl".to_owned(), "reload".to_owned(), "db".to_owned()],
    }
}

fn with(grants: Vec<SecretGrant>) -> Container {
    Container { secrets: grants, ..db() }
}

fn newest(reality: &mut Reality, name: &str, version: u64) {
    reality.leases.secrets.newest.insert(from(name), NewestVersion::Version(version));
}

/// Books what a plan delivers, as its jobs do.
fn deliver(reality: &mut Reality, plan: &Plan) {
    for part in &plan.parts {
        let PartKind::Secrets(part) = &part.kind else { continue };
        let files = reality.leases.secrets.delivered.entry(part.stamp.guest.clone()).or_default();
        for grant in &part.grants {
            files.retain(|file| file.path != grant.path);
            files.extend(grant.after.map(|version| DeliveredFile {
                path: grant.path.clone(),
                from: grant.secret.clone(),
                version,
                mode: grant.mode,
                owner: grant.owner.clone(),
                lost: false,
            }));
        }
    }
}

/// The changes of all parts, a line each, with what they wait for.
fn lines(plan: &Plan) -> Vec<String> {
    let of = |part: &rl_model::PartAction| {
        let after: Vec<String> = part.after.iter().map(|id| id.0.to_string()).collect();
        let lines = part.kind.part().lines();
        let text = move |line: rl_model::PartLine| format!("{:?} {} after {after:?}", line.sign, line.text);
        lines.into_iter().map(text).collect::<Vec<_>>()
    };
    plan.parts.iter().flat_map(of).collect()
}

#[test]
fn granted_secret_is_delivered_after_its_guest_and_then_nothing_is_left() {
    let mut reality = Reality::new(&manifest(Vec::new()).sites);
    newest(&mut reality, "shop/db", 3);
    let wanted = with(vec![grant("shop/db", "/run/secrets/db")]);
    let (plan, report) = planned(&reality, vec![wanted.clone()], &Policy::default());
    assert_eq!(lines(&plan), [r#"Add /run/secrets/db from shop/db (version 3) after ["0"]"#]);
    assert!(!report.is_blocked(), "{report:?}");
    let known = reality.leases.secrets.clone();
    let mut reality = applied(vec![db()]);
    reality.leases.secrets = known;
    let (plan, _) = planned(&reality, vec![wanted.clone()], &Policy::default());
    deliver(&mut reality, &plan);
    let (plan, _) = planned(&reality, vec![wanted], &Policy::default());
    assert!(plan.is_empty(), "{plan:?}");
}

/// A guest with a delivered secret.
fn delivered(grants: &[SecretGrant]) -> Reality {
    let mut reality = applied(vec![db()]);
    for grant in grants {
        reality.leases.secrets.newest.insert(grant.from.clone(), NewestVersion::Version(3));
    }
    let (plan, _) = planned(&reality, vec![with(grants.to_vec())], &Policy::default());
    deliver(&mut reality, &plan);
    reality
}

#[test]
fn newer_version_is_exchanged_and_read_again() {
    let grants = [grant("shop/db", "/run/secrets/db")];
    let mut reality = delivered(&grants);
    newest(&mut reality, "shop/db", 4);
    let (plan, _) = planned(&reality, vec![with(grants.to_vec())], &Policy::default());
    let expected = "Change /run/secrets/db from shop/db (version 3 -> version 4), then `systemctl reload db` after []";
    assert_eq!(lines(&plan), [expected]);
}

#[test]
fn lost_grant_is_taken_and_another_owner_is_set() {
    let grants = [grant("shop/db", "/run/secrets/db"), grant("shop/key", "/etc/shop/key")];
    let reality = delivered(&grants);
    let mut kept = grants[1].clone();
    kept.owner = "shop".to_owned();
    let (plan, _) = planned(&reality, vec![with(vec![kept])], &Policy::default());
    let lines = lines(&plan);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("Change /etc/shop/key") && lines[1].starts_with("Remove /run/secrets/db"),
        "{lines:?}"
    );
    assert_eq!(plan.parts[0].reasons, ["a grant was taken out of the stack"]);
}

#[test]
fn start_of_the_guest_empties_what_lies_in_memory_alone() {
    let grants = [grant("shop/db", "/run/secrets/db"), grant("shop/key", "/etc/shop/key")];
    let mut reality = delivered(&grants);
    let mut changed = with(grants.to_vec());
    changed.features.nesting = !changed.features.nesting;
    let (plan, _) = planned(&reality, vec![changed], &Policy::default());
    assert_eq!(lines(&plan), [r#"Add /run/secrets/db from shop/db (version 3) after ["0"]"#]);
    // The same where an agent has seen that the file is gone.
    for file in reality.leases.secrets.delivered.values_mut().flatten() {
        file.lost = file.path.as_str() == "/run/secrets/db";
    }
    let (plan, _) = planned(&reality, vec![with(grants.to_vec())], &Policy::default());
    assert_eq!(lines(&plan), ["Add /run/secrets/db from shop/db (version 3) after []"]);
}

#[test]
fn secret_without_a_version_blocks_its_guest_alone() {
    let mut reality = delivered(&[grant("shop/db", "/run/secrets/db")]);
    let why = ("there is no secret shop/none".to_owned(), "set it".to_owned());
    let unknown = NewestVersion::Unknown { why: why.0, hint: why.1 };
    reality.leases.secrets.newest.insert(from("shop/none"), unknown);
    let wanted = with(vec![grant("shop/db", "/run/secrets/db"), grant("shop/none", "/run/secrets/none")]);
    let (plan, report) = planned(&reality, vec![wanted], &Policy::default());
    assert!(plan.is_empty() && report.is_blocked(), "{plan:?}");
    let note = &report.notes[0];
    assert_eq!(note.message, "/run/secrets/none: there is no secret shop/none");
    assert_eq!(note.hint.as_deref(), Some("set it"));
}

#[test]
fn secrets_that_are_left_out_are_neither_delivered_nor_remembered() {
    let mut reality = applied(vec![db()]);
    newest(&mut reality, "shop/db", 3);
    let policy = Policy { without: [SectionKind::Secrets].into(), ..Policy::default() };
    let (plan, _) = planned(&reality, vec![with(vec![grant("shop/db", "/run/secrets/db")])], &policy);
    assert!(plan.is_empty(), "{plan:?}");
    assert!(plan.resolved.guests.values().all(|guest| guest.secrets.is_empty()));
}

#[test]
fn guest_that_goes_takes_its_files_with_it() {
    let reality = delivered(&[grant("shop/db", "/run/secrets/db")]);
    let observed = reality.observe();
    let policy = Policy { allow_data_loss: ["db".parse().unwrap()].into(), ..Policy::default() };
    let (plan, _) = plan_destroy(&stack_name(), &reality.leases, &observed, &policy, 1);
    assert!(plan.parts.is_empty() && plan.actions.len() == 1, "{plan:?}");
    let (plan, _) = planned(&reality, Vec::new(), &policy);
    assert!(plan.parts.is_empty() && plan.actions.len() == 1, "{plan:?}");
}

#[test]
fn known_secrets_are_stored_and_read_back() {
    let mut reality = delivered(&[grant("corp:shop/db#password", "/run/secrets/db")]);
    newest(&mut reality, "shop/x", 1);
    let text = serde_json::to_string(&reality.leases.secrets).unwrap();
    assert_eq!(serde_json::from_str::<KnownSecrets>(&text).unwrap(), reality.leases.secrets);
}
