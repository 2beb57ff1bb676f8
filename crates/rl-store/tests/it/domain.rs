//! Stacks, guests and what they hold: all or nothing, unique per site, given back after a rest.
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Clock, Ids, JobState, OperationQuery, OperationSpec, OperationState, SimClock, UnixMs};
use rl_model::{AddressMode, LeaseState, MacAddr, ResolvedGuest, StackName, VmidRange};
use rl_store::{Conflict, GuestState, LeaseKind, StackStart, StackState, Store, StoreError};

use crate::home::Home;
use crate::samples::{guest, id, name, operation, site, start, vmid};

struct Bench {
    store: Store,
    clock: SimClock,
    ids: Ids,
    home: Home,
}

impl Bench {
    async fn new(home: Home) -> Bench {
        let clock = SimClock::manual(UnixMs(1_700_000_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = home.open(Arc::clone(&shared)).await.unwrap();
        Bench { store, clock, ids: Ids::from_seed(shared, 1), home }
    }

    fn spec(&self, subject: &str) -> OperationSpec {
        self.clock.advance(Duration::from_millis(1));
        operation(&self.ids, subject, 1)
    }

    fn start(&self, stack: &str, base_revision: u64, guests: Vec<ResolvedGuest>) -> StackStart {
        start(&self.store, stack, base_revision, guests)
    }

    async fn cancel_all(&self) {
        let journal = self.store.journal();
        let running = OperationQuery { states: vec![OperationState::Running], limit: 100, ..Default::default() };
        for operation in journal.operations(running).await.unwrap() {
            journal.request_cancel(operation.info.id, "tester".to_owned(), self.clock.now()).await.unwrap();
        }
    }

    async fn operations(&self) -> usize {
        let all = OperationQuery { limit: 100, ..Default::default() };
        self.store.journal().operations(all).await.unwrap().len()
    }
}

crate::home::cases! {
    start_writes_everything_at_once,
    conflict_leaves_nothing_behind,
    released_values_rest_before_others_get_them,
    job_leases_another_vmid_when_a_stranger_has_its_own,
    recorded_guest_gives_back_what_it_no_longer_needs,
    applied_revision_only_goes_up,
}

async fn start_writes_everything_at_once(home: Home) {
    let bench = Bench::new(home).await;
    let spec = bench.spec("shop");
    let start = bench.start("shop", 0, vec![guest("web-1", 1), guest("web-2", 2)]);
    let started = bench.store.start_operation(spec.clone(), Some(start.clone()), None).await.unwrap();
    assert_eq!((started.existing, started.revision), (false, Some(1)));
    let again = bench.store.start_operation(spec, Some(start), None).await.unwrap();
    assert_eq!((again.operation, again.existing, again.revision), (started.operation, true, None));

    let stack = bench.store.stack(&name("shop")).await.unwrap().unwrap();
    assert_eq!((stack.revision, stack.state, stack.applied_revision), (1, StackState::Changing, None));
    let revision = bench.store.revision(&name("shop"), 1).await.unwrap().unwrap();
    assert_eq!((revision.operation, revision.resolved.guests.len()), (started.operation, 2));
    let guests = bench.store.guests(&name("shop")).await.unwrap();
    assert!(guests.iter().all(|guest| guest.state == GuestState::Reserved) && guests.len() == 2);
    let leases = bench.store.leases(&name("shop"), &[site()], 7).await.unwrap();
    let held = &leases.sites[&site()];
    assert_eq!((held.vmids.len(), held.macs.len(), held.addresses.len(), leases.entropy), (2, 2, 2, 7));
    let known = &leases.guests[&"web-1".parse().unwrap()];
    assert_eq!((known.vmid, known.macs.len(), known.addresses[&"eth0".parse().unwrap()].len()), (vmid(2001), 1, 1));

    let Bench { store, clock, home, .. } = bench;
    let controller = store.controller();
    drop(store);
    let store = home.open(Arc::new(clock)).await.unwrap();
    assert_eq!(store.controller(), controller, "the installation keeps its identity");
    assert_eq!(store.guests(&name("shop")).await.unwrap().len(), 2);
    assert_eq!(store.journal().jobs(started.operation, 0, 10).await.unwrap()[0].status.state, JobState::Ready);
}

async fn conflict_leaves_nothing_behind(home: Home) {
    let bench = Bench::new(home).await;
    let started = bench
        .store
        .start_operation(bench.spec("shop"), Some(bench.start("shop", 0, vec![guest("web", 1)])), None)
        .await
        .unwrap();

    let second = bench
        .store
        .start_operation(bench.spec("shop"), Some(bench.start("shop", 1, vec![guest("web", 1)])), None)
        .await;
    let unfinished = Conflict::Unfinished { stack: "shop".to_owned(), operation: started.operation };
    assert!(matches!(second, Err(StoreError::Conflict(found)) if found == unfinished));

    let mut thief = guest("mail", 2);
    thief.vmid = vmid(2001);
    let refused = bench
        .store
        .start_operation(bench.spec("mail"), Some(bench.start("mail", 0, vec![guest("other", 3), thief])), None)
        .await;
    let Err(StoreError::Conflict(Conflict::Reserved { kind, value, holder, quarantined, .. })) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((kind, value.as_str(), holder, quarantined), (LeaseKind::Vmid, "2001", id(1), false));
    assert!(bench.store.stack(&name("mail")).await.unwrap().is_none());
    assert!(bench.store.guests(&name("mail")).await.unwrap().is_empty());
    let leases = bench.store.leases(&name("mail"), &[site()], 0).await.unwrap();
    assert_eq!(leases.sites[&site()].vmids.len(), 1, "the reservation of the other guest is taken back too");
    assert_eq!(bench.operations().await, 1);

    bench.cancel_all().await;
    let stale = bench
        .store
        .start_operation(bench.spec("shop"), Some(bench.start("shop", 0, vec![guest("web", 1)])), None)
        .await;
    assert!(matches!(stale, Err(StoreError::Conflict(Conflict::Revision { expected: 0, found: 1, .. }))), "{stale:?}");
    let renamed = bench
        .store
        .start_operation(bench.spec("shop"), Some(bench.start("shop", 1, vec![guest("web", 9)])), None)
        .await;
    assert!(matches!(renamed, Err(StoreError::Conflict(Conflict::GuestName { .. }))), "{renamed:?}");
    let right = bench
        .store
        .start_operation(bench.spec("shop"), Some(bench.start("shop", 1, vec![guest("web", 1)])), None)
        .await;
    assert_eq!(right.unwrap().revision, Some(2));
    // The journal still works after all these refusals: exactly the jobs of the running operation are handed out.
    assert_eq!(bench.operations().await, 2);
}

async fn released_values_rest_before_others_get_them(home: Home) {
    let bench = Bench::new(home).await;
    let reserve = |stack: &'static str, base, guest| {
        let (spec, start) = (bench.spec(stack), bench.start(stack, base, vec![guest]));
        bench.store.start_operation(spec, Some(start), None)
    };
    reserve("shop", 0, guest("web", 1)).await.unwrap();
    bench.store.release_guest(&id(1)).await.unwrap();
    bench.store.release_guest(&id(1)).await.unwrap();
    assert_eq!(bench.store.guest(&id(1)).await.unwrap().unwrap().state, GuestState::Removed);
    let mut heir = guest("web", 2);
    (heir.vmid, heir.nics[0].mac) = (vmid(2001), MacAddr::from_bits(1));
    let refused = reserve("mail", 0, heir.clone()).await;
    assert!(matches!(refused, Err(StoreError::Conflict(Conflict::Reserved { quarantined: true, .. }))), "{refused:?}");
    let leases = bench.store.leases(&name("mail"), &[site()], 0).await.unwrap();
    assert_eq!(leases.sites[&site()].vmids[&vmid(2001)].state, LeaseState::Quarantined);
    assert_eq!(bench.store.purge_quarantine().await.unwrap(), 0);
    bench.clock.advance(rl_store::QUARANTINE + Duration::from_secs(1));
    assert!(bench.store.leases(&name("mail"), &[site()], 0).await.unwrap().sites[&site()].vmids.is_empty());
    reserve("mail", 0, heir).await.unwrap();
    assert_eq!(bench.store.purge_quarantine().await.unwrap(), 1, "the address that nobody took");
    // A guest gets its own values back without a rest.
    bench.store.release_guest(&id(2)).await.unwrap();
    bench.cancel_all().await;
    let mut back = guest("web", 2);
    (back.vmid, back.nics[0].mac) = (vmid(2001), MacAddr::from_bits(1));
    reserve("mail", 1, back).await.unwrap();
}

async fn job_leases_another_vmid_when_a_stranger_has_its_own(home: Home) {
    let bench = Bench::new(home).await;
    let start = bench.start("shop", 0, vec![guest("web", 1), guest("db", 2)]);
    bench.store.start_operation(bench.spec("shop"), Some(start), None).await.unwrap();
    let range = VmidRange::new(vmid(2001), vmid(2004)).unwrap();
    let taken = [vmid(2001)];
    let got = bench.store.lease_another_vmid(&site(), &id(1), range, &taken).await.unwrap();
    assert_eq!(got, vmid(2003), "the lowest that is neither leased nor taken");
    assert_eq!(bench.store.vmid_of(&site(), &id(1)).await.unwrap(), Some(vmid(2003)));
    assert_eq!(bench.store.guest(&id(1)).await.unwrap().unwrap().vmid, vmid(2003));
    let all = [vmid(2001), vmid(2003), vmid(2004)];
    let none = bench.store.lease_another_vmid(&site(), &id(1), range, &all).await;
    assert!(matches!(none, Err(StoreError::NoFreeVmid { .. })), "{none:?}");
    assert_eq!(bench.store.vmid_of(&site(), &id(1)).await.unwrap(), Some(vmid(2003)), "a refusal changes nothing");
}

async fn recorded_guest_gives_back_what_it_no_longer_needs(home: Home) {
    let bench = Bench::new(home).await;
    let before = guest("web", 1);
    bench
        .store
        .start_operation(bench.spec("shop"), Some(bench.start("shop", 0, vec![before.clone()])), None)
        .await
        .unwrap();
    let node = "pve2".parse().unwrap();
    bench.store.record_guest(&name("shop"), &before, &node, vmid(2001)).await.unwrap();
    bench.cancel_all().await;
    let mut after = before;
    after.nics[0].ipv4 = AddressMode::Static { address: "10.0.0.77/24".parse().unwrap(), gateway: None };
    let start = bench.start("shop", 1, vec![after.clone()]);
    bench.store.start_operation(bench.spec("shop"), Some(start), None).await.unwrap();
    let addresses =
        async || bench.store.leases(&name("shop"), &[site()], 0).await.unwrap().sites[&site()].addresses.clone();
    assert_eq!(addresses().await.len(), 2, "until the change is carried out it holds both");
    bench.store.record_guest(&name("shop"), &after, &node, vmid(2001)).await.unwrap();
    let states: Vec<LeaseState> = addresses().await.into_values().map(|lease| lease.state).collect();
    assert_eq!(states, [LeaseState::Quarantined, LeaseState::Held]);
    let stored = bench.store.guest(&id(1)).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.node), (GuestState::Present, node.clone()));
    assert_eq!(stored.applied, Some(ResolvedGuest { node, ..after }));
}

async fn applied_revision_only_goes_up(home: Home) {
    let bench = Bench::new(home).await;
    let start = bench.start("shop", 0, Vec::new());
    let resolved = start.resolved.clone();
    bench.store.start_operation(bench.spec("shop"), Some(start), None).await.unwrap();
    bench.cancel_all().await;
    bench.store.start_operation(bench.spec("shop"), Some(bench.start("shop", 1, Vec::new())), None).await.unwrap();
    let record = |revision, state| bench.store.record_applied(stack_name(), revision, resolved.clone(), state);
    record(2, StackState::Applied).await.unwrap();
    record(1, StackState::Destroyed).await.unwrap();
    let stack = bench.store.stack(&name("shop")).await.unwrap().unwrap();
    assert_eq!((stack.state, stack.applied_revision), (StackState::Applied, Some(2)));
    assert_eq!(stack.applied, Some(resolved));
    assert_eq!(bench.store.stacks().await.unwrap().len(), 1);
}

fn stack_name() -> &'static StackName {
    static NAME: std::sync::OnceLock<StackName> = std::sync::OnceLock::new();
    NAME.get_or_init(|| name("shop"))
}

#[tokio::test]
async fn looking_into_a_held_directory_reads_and_never_writes() {
    let bench = Bench::new(Home::directory()).await;
    let start = bench.start("shop", 0, vec![guest("web", 1)]);
    let started = bench.store.start_operation(bench.spec("shop"), Some(start), None).await.unwrap();
    let looking = Store::look(bench.home.dir().unwrap(), Arc::new(bench.clock.clone())).await.unwrap();
    assert!(looking.is_looking() && !bench.store.is_looking());
    assert_eq!(looking.controller(), bench.store.controller());
    assert_eq!(looking.guests(&name("shop")).await.unwrap().len(), 1);
    let refused = looking.journal().request_cancel(started.operation, "tester".to_owned(), bench.clock.now()).await;
    assert!(refused.as_ref().is_err_and(|error| error.to_string().contains("another process holds")), "{refused:?}");
    // What the holder writes later is seen.
    bench.cancel_all().await;
    let seen = looking.journal().operation(started.operation).await.unwrap().unwrap();
    assert_eq!(seen.status.state, OperationState::Cancelled);
    let empty = tempfile::tempdir().unwrap();
    assert!(Store::look(empty.path(), Arc::new(bench.clock.clone())).await.is_err());
}

/// Two servers lease at once: no value is given to two guests, and each refusal names who has it.
async fn two_servers_never_lease_one_value_twice(home: Home) {
    const WORKERS: u32 = 8;
    const GUESTS: u32 = 24;
    let clock = SimClock::manual(UnixMs(1_700_000_000_000));
    let shared: Arc<dyn Clock> = Arc::new(clock);
    let stores = [home.open(Arc::clone(&shared)).await.unwrap(), home.open(Arc::clone(&shared)).await.unwrap()];
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let (store, shared) = (stores[worker as usize % 2].clone(), Arc::clone(&shared));
        workers.spawn(async move { lease_all(&store, &Ids::from_os(shared), worker, GUESTS).await });
    }
    let won: u32 = workers.join_all().await.into_iter().sum();
    assert_eq!(won, GUESTS, "each value went to exactly one of those who wanted it");
    let leases = stores[0].leases(&name("none"), &[site()], 0).await.unwrap();
    assert_eq!(leases.sites[&site()].vmids.len(), GUESTS as usize);
    let range = VmidRange::new(vmid(2001), vmid(2999)).unwrap();
    let mut others = tokio::task::JoinSet::new();
    let guests = stores[0].all_guests().await.unwrap();
    for (number, guest) in guests.into_iter().enumerate() {
        let store = stores[number % 2].clone();
        others.spawn(async move { store.lease_another_vmid(&site(), &guest.id, range, &[]).await.unwrap() });
    }
    let mut given = others.join_all().await;
    given.sort();
    given.dedup();
    assert_eq!(given.len(), GUESTS as usize, "every guest got another VMID of its own");
    assert!(rl_store::check(home.place()).await.unwrap().is_sound());
}

/// Wants every value for guests of its own; answers how many it got.
async fn lease_all(store: &Store, ids: &Ids, worker: u32, guests: u32) -> u32 {
    let mut won = 0;
    for number in 1..=guests {
        let stack = format!("stack-{worker}-{number}");
        let mut wanted = guest("web", number);
        wanted.id = id(worker * 1_000 + number);
        let started =
            store.start_operation(operation(ids, &stack, 1), Some(start(store, &stack, 0, vec![wanted])), None).await;
        match started {
            Ok(_) => won += 1,
            Err(StoreError::Conflict(Conflict::Reserved { holder, .. })) => {
                assert_ne!(holder, id(worker * 1_000 + number))
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    won
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_of_two_servers_never_collide() {
    two_servers_never_lease_one_value_twice(Home::database(&crate::home::server())).await;
}
