//! How many API calls the main job takes, counted by the site itself.

use rl_engine::OperationState;

use crate::lab::{Lab, action, create, guest, jobs, p, stack};

/// Containers made on each node.
const PER_NODE: u8 = 20;
/// Calls per container for create, start and proof; the goal is 6, the rest is room for a busy machine.
const CALLS_MAX: f64 = 6.5;

#[tokio::test(flavor = "multi_thread")]
async fn create_start_and_proof_take_few_calls() {
    // Slower than elsewhere: watching is paced by the site's clock, and a busy machine must not blur the count.
    let lab = Lab::paced(3, 40).await;
    let nodes = ["pve1", "pve2", "pve3"];
    let guests: Vec<_> = (1..=PER_NODE * 3)
        .map(|number| {
            let mut one = guest(number, true);
            one.node = p(nodes[usize::from(number) % nodes.len()]);
            one
        })
        .collect();
    guests.iter().for_each(|guest| lab.book.reserve(guest));
    let before = lab.ledger();
    let actions = (0..).zip(&guests).map(|(id, guest)| action(id, guest, create(guest))).collect();
    lab.run(jobs(&lab, actions)).await.must_be(OperationState::Done);
    let proof = rl_ops::prove(&lab.sites(), &stack(&guests), 0).await;
    assert!(proof.ok, "{proof:#?}");
    let after = lab.ledger();
    let calls = (after.calls_total - before.calls_total) as f64 / guests.len() as f64;
    assert!(calls <= CALLS_MAX, "{calls:.2} calls per container: {:#?}", after.calls);
    // Less than this cannot be: one create, two reads of its configuration, one of its interfaces.
    assert!(calls >= 4.0, "{calls:.2} calls per container cannot have proven anything");
}
