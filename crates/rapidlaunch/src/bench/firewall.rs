//! What a plan that changes nothing reads of firewalls.

use serde_json::json;

use super::child::RapidLaunch;
use super::world::World;
use super::{FILL_SPEED, figure, succeeded};
use crate::error::CommandError;
use crate::out::Out;

/// Guests with a firewall: as many as a small stack has, for which shared reads weigh most.
const GUESTS: usize = 20;

/// Counts the calls about firewalls of one plan: those about guests by guest, and those that all guests share.
pub(super) async fn noop(out: &Out) -> Result<(), CommandError> {
    let rules = json!({ "rules": [{ "allow": "https", "on": "eth0" }, { "allow": "tcp/5432", "from": "g0" }] });
    let world = World::start_with(2, FILL_SPEED, GUESTS, Some(rules)).await?;
    let applied = RapidLaunch::new(&world, FILL_SPEED)
        .run(&["apply", "--yes", "--output", "json", "--file", world.stack()])
        .await?;
    succeeded(&applied, "apply of containers with a firewall")?;
    let count = |what: &str| -> u64 {
        world.calls_by_path().iter().filter(|(path, _)| path.contains(what)).map(|(_, calls)| *calls).sum()
    };
    let (guests, shared) = (count("{vmid}/firewall"), count("/cluster/firewall"));
    let planned = RapidLaunch::new(&world, FILL_SPEED)
        .run(&["plan", "--exit-code", "--output", "json", "--file", world.stack()])
        .await?;
    succeeded(&planned, "plan of unchanged containers with a firewall")?;
    let per_guest = (count("{vmid}/firewall") - guests) as f64 / GUESTS as f64;
    figure(out, "firewall_noop_calls_per_guest", per_guest, "1", "<= 1");
    figure(out, "firewall_noop_calls_shared", (count("/cluster/firewall") - shared) as f64, "1", "<= 3 and one a set");
    Ok(())
}
