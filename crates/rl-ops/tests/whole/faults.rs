//! What goes wrong at the sites, drawn from the seed.

use pve_sim::{Action, Fault, Loss, When};
use rand::Rng;
use rand::rngs::SmallRng;

/// Calls about one container that change something.
const CALLS: &str = "/nodes/*/lxc**";

/// The faults of one site. Each kind strikes a bounded number of times, so that every run comes to rest.
pub(crate) fn draw(rng: &mut SmallRng, nodes: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let how = |rng: &mut SmallRng| if rng.random_bool(0.5) { Loss::Close } else { Loss::Timeout };
    for method in ["POST", "PUT", "DELETE"] {
        let mut add = |chance: f64, times: u64, action: Action| {
            let when = When {
                method: Some(method.to_owned()),
                path: Some(CALLS.to_owned()),
                probability: Some(chance),
                times: Some(times),
                ..When::default()
            };
            faults.push(Fault { name: None, when, action });
        };
        add(rng.random_range(0.0..0.25), 6, Action::LoseAnswer { how: how(rng) });
        add(rng.random_range(0.0..0.15), 6, Action::LoseRequest { how: how(rng) });
        add(rng.random_range(0.0..0.2), 6, Action::Delay { seconds: rng.random_range(0.1..20.0) });
        add(rng.random_range(0.0..0.15), 4, refused());
        add(rng.random_range(0.0..0.1), 3, failed(rng.random_bool(0.5)));
        add(rng.random_range(0.0..0.02), 1, Action::KillTask {});
        add(rng.random_range(0.0..0.02), 1, Action::HangTask {});
    }
    let reads = When { method: Some("GET".to_owned()), probability: Some(0.01), times: Some(10), ..When::default() };
    faults.push(Fault { name: None, when: reads, action: Action::LoseAnswer { how: how(rng) } });
    let node = nodes[rng.random_range(0..nodes.len())].clone();
    let seldom = |chance| When { probability: Some(chance), times: Some(2), ..When::default() };
    let seconds = rng.random_range(20.0..240.0);
    faults.push(Fault { name: None, when: seldom(0.01), action: Action::DropNode { node, seconds } });
    faults.push(Fault { name: None, when: seldom(0.01), action: Action::LoseQuorum { seconds: seconds / 4.0 } });
    faults.push(Fault { name: None, when: seldom(0.02), action: Action::RestartProxy {} });
    faults
}

fn refused() -> Action {
    let message = "can't lock file '/run/lock/lxc/pve-config.lock' - got timeout".to_owned();
    Action::Refuse { status: 500, message }
}

/// A task that fails at its end, of something that passes; or says so although its work is done.
fn failed(done: bool) -> Action {
    Action::FailTask { text: "unable to do it - got lock request timeout".to_owned(), done }
}
