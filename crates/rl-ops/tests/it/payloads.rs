//! Jobs made from plans: their locks, their order, and what is stored of them.

use std::path::Path;

use rl_engine::{Envelope, JobSpec, OnFailure};
use rl_model::{Action, ActionId, ActionKind, Consequence, DiskSize, PartAction, PartKind, Records, ResolvedGuest};
use rl_ops::{CompileError, GuestVerb, JobPayload, compile};

use crate::lab::{self, Lab, action, create, guest, jobs, p, remove, update, volume};
use crate::scripted::verb;

/// A plan with one action of every kind.
fn every_kind() -> Vec<Action> {
    let old = guest(2, true);
    let mut new = ResolvedGuest { node: p("pve2"), cores: 4, disk: DiskSize::from_gib(3), ..old.clone() };
    new.volumes.push(volume("data", "mp0", 1));
    let small = ResolvedGuest { disk: DiskSize::from_gib(1), ..guest(3, true) };
    let changes = lab::changes(&guest(3, true), &small);
    let seen_net0 = lab::seen_net0(&small);
    let kinds: Vec<(u8, ActionKind)> = vec![
        (1, create(&guest(1, true))),
        (2, update(&old, &new, Consequence::Restart)),
        (3, ActionKind::Replace { guest: Box::new(small), changes, was_running: true, seen_net0 }),
        (4, remove(&guest(4, true))),
        (5, ActionKind::Forget),
    ];
    kinds.into_iter().map(|(number, kind)| action(u32::from(number), &guest(number, true), kind)).collect()
}

fn step_names(job: &JobSpec) -> String {
    let registry = rl_ops::registry();
    let kind = registry.get(&job.payload.kind).unwrap();
    let lifted = kind.lift(job.payload.clone()).unwrap();
    kind.steps(&lifted).unwrap().iter().map(|step| step.name().to_owned()).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn each_action_becomes_a_job_with_its_locks_and_steps() {
    let lab = Lab::of(2).await;
    let jobs = jobs(&lab, every_kind());
    let text: Vec<String> = jobs
        .iter()
        .map(|job| {
            let locks: Vec<String> = job.locks.iter().map(|lock| format!("{}:{}", lock.name, lock.limit)).collect();
            format!("{} | {:?} | {} | {}", job.key, job.on_failure, locks.join(" "), step_names(job))
        })
        .collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    create web-1 | Undo | guest:fra1/9z000000000000000000:1 node:fra1/pve1:6 | create container, start, record
    update web-2 | Keep | guest:fra1/az000000000000000000:1 node:fra1/pve1:6 node:fra1/pve2:6 | move, change configuration, grow rootfs, start, record
    replace web-3 | Keep | guest:fra1/bz000000000000000000:1 node:fra1/pve1:6 | shut down, destroy, create container, start, record
    remove web-4 | Keep | guest:fra1/cz000000000000000000:1 node:fra1/pve1:6 | shut down, destroy, release
    forget web-5 | Keep | guest:fra1/dz000000000000000000:1 | release
    ");
    for job in &jobs {
        assert!(job.deadline.is_some() && job.max_attempts > 1 && job.payload.version == 1);
        assert_eq!(job.on_failure == OnFailure::Undo, job.key.starts_with("create"));
    }
}

#[tokio::test]
async fn order_of_the_plan_is_the_order_of_the_jobs() {
    let lab = Lab::of(1).await;
    let mut actions = every_kind();
    actions[3].after = vec![ActionId(1), ActionId(5)];
    let jobs = jobs(&lab, actions);
    assert_eq!(jobs[3].after, [jobs[0].id, jobs[4].id]);
    assert!(jobs.iter().enumerate().all(|(at, job)| at == 3 || job.after.is_empty()));
    let awaited: Vec<bool> = jobs.iter().map(|job| job.payload.read::<JobPayload>().unwrap().awaited).collect();
    assert_eq!(awaited, [true, false, false, false, true]);
    assert!(step_names(&jobs[0]).contains("settle"), "who is waited for settles first");
}

#[tokio::test]
async fn payloads_come_back_as_they_were_written() {
    let lab = Lab::of(1).await;
    for (action, job) in every_kind().into_iter().zip(jobs(&lab, every_kind())) {
        let text = serde_json::to_string(&job.payload).unwrap();
        let envelope: Envelope = serde_json::from_str(&text).unwrap();
        let payload: JobPayload = envelope.read().unwrap();
        assert_eq!((payload.action, payload.vmids), (action, lab.site.vmids));
    }
}

#[test]
fn plan_for_an_unknown_site_is_refused() {
    let plan = lab::plan(every_kind());
    let error = compile(&plan, &Default::default(), &rl_engine::Ids::from_seed(lab::clock(), 3)).unwrap_err();
    assert!(matches!(&error, CompileError::UnknownSite(site) if site.as_str() == "fra1"), "{error}");
}

#[test]
fn payload_of_a_later_release_is_not_guessed_at() {
    let registry = rl_ops::registry();
    let known = registry.known();
    let kinds = ["dns-records", "guest-action", "guest-verb", "secret-delivery", "site-firewall"];
    assert_eq!(
        known.iter().map(|(kind, versions)| (kind.as_str(), versions.clone())).collect::<Vec<_>>(),
        kinds.map(|kind| (kind, 1..=1))
    );
    let broken = Envelope::new("guest-action", 1, serde_json::json!({ "action": "of another shape" }));
    let error = registry.get("guest-action").unwrap().steps(&broken).err().unwrap();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

/// Stored payloads are a promise: what an earlier release wrote, every later one reads. The files are never changed; a
/// new shape gets a new version, a new file, and a lift from the old one.
#[tokio::test]
async fn stored_payloads_of_version_1_are_read() {
    let lab = Lab::of(1).await;
    let verbs = [
        GuestVerb::Start,
        GuestVerb::Stop,
        GuestVerb::Restart,
        GuestVerb::SnapshotCreate { name: "before".to_owned() },
        GuestVerb::SnapshotRemove { name: "before".to_owned() },
        GuestVerb::SnapshotRollback { name: "before".to_owned() },
    ];
    let actions: Vec<Envelope> = jobs(&lab, every_kind()).into_iter().map(|job| job.payload).collect();
    let verbs: Vec<Envelope> = verbs.into_iter().map(|word| verb(&guest(1, true), word).payload).collect();
    for (file, written_now) in [("guest-action-1.json", actions), ("guest-verb-1.json", verbs)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
        if std::env::var_os("RL_OPS_WRITE_GOLDEN").is_some() && !path.exists() {
            std::fs::write(&path, serde_json::to_string_pretty(&written_now).unwrap() + "\n").unwrap();
        }
        let stored: Vec<Envelope> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for envelope in &stored {
            let registry = rl_ops::registry();
            let kind = registry.get(&envelope.kind).unwrap();
            let steps = kind.lift(envelope.clone()).and_then(|lifted| kind.steps(&lifted)).unwrap();
            assert!(!steps.is_empty(), "{envelope:?}");
        }
        assert_eq!(stored, written_now, "{file}: the shape has changed; give it a new version and lift the old one");
    }
}

#[tokio::test]
async fn parts_wait_for_guests_and_guests_for_parts() {
    let owner = rl_model::dns::Owner { controller: p("0123456789abcdefghjk"), stack: p("shop") };
    let records = Records { zone: p("example.org"), owner, changes: Vec::new() };
    let part = |id, after: &[u32]| PartAction {
        id: ActionId(id),
        kind: PartKind::Records(Box::new(records.clone())),
        reasons: Vec::new(),
        after: after.iter().copied().map(ActionId).collect(),
    };
    let mut leaving = action(1, &guest(2, true), remove(&guest(2, true)));
    leaving.after = vec![ActionId(2)];
    let mut plan = lab::plan(vec![action(0, &guest(1, true), create(&guest(1, true))), leaving]);
    plan.parts = vec![part(2, &[]), part(3, &[0])];
    let lab = Lab::of(1).await;
    let sites = std::collections::BTreeMap::from([(p("fra1"), lab.site.clone())]);
    let jobs = compile(&plan, &sites, &rl_engine::Ids::from_seed(lab::clock(), 3)).unwrap();
    let keys: Vec<&str> = jobs.iter().map(|job| job.key.as_str()).collect();
    assert_eq!(keys, ["create web-1", "remove web-2", "zone example.org", "zone example.org (2)"]);
    assert_eq!(jobs[1].after, [jobs[2].id]);
    assert_eq!(jobs[3].after, [jobs[0].id]);
    assert_eq!(jobs[2].locks, [rl_engine::LockDomain::exclusive("zone:example.org".to_owned())]);
    assert!(jobs[2].payload.read::<PartAction>().is_ok_and(|read| read == plan.parts[0]));
    // A guest whom a part waits for is proven before its job ends.
    let payload: JobPayload = jobs[0].payload.read().unwrap();
    assert!(payload.awaited);
}
