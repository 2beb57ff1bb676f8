//! Answers questions about a site's firewall.

use std::net::IpAddr;

use rl_model::{SiteName, Vmid};
use rl_planner::firewall::{Explanation, Part, Question, Sender, explain, explain_network};

use super::ask::{self, Asked, Party, Payload, Source};
use super::read::{self, View};
use crate::error::CommandError;
use crate::out::Out;
use crate::work::connect;
use crate::work::data::Data;

/// What a firewall does.
pub(crate) enum Answer {
    /// With one packet.
    Packet(Question, Explanation),
    /// With packets of a whole network.
    Network(Vec<Part>),
}

/// Reads the site and walks its rules.
pub(crate) async fn answer(data: &Data, asked: Asked, out: &Out) -> Result<(Asked, Answer), CommandError> {
    let view = view(data, &asked.to.record.site, &asked.guests(), out).await?;
    let asked = ask::with_addresses(asked, &view.live);
    let question = asked.question(asked.source_address()?)?;
    let answer = match asked.source {
        Source::Network(net) => {
            let parts = explain_network(&view.firewall, &question, net.net())
                .map_err(|error| CommandError::input(error.to_string()).hinted("give a longer prefix with --from"))?;
            Answer::Network(parts)
        }
        Source::Address(_) | Source::Guest(_) => {
            let explanation = explain(&view.firewall, &question);
            Answer::Packet(question, explanation)
        }
    };
    Ok((asked, answer))
}

/// What the firewall does with a packet from a guest to an address that is no guest's.
pub(crate) async fn outward(
    data: &Data,
    mut from: Party,
    to: IpAddr,
    payload: Payload,
    source_port: Option<u16>,
    out: &Out,
) -> Result<(Question, Explanation), CommandError> {
    let view = view(data, &from.record.site, &[&from.record], out).await?;
    from.learn(&view.live);
    let (slot, address) = from.towards(to)?;
    let vmid = from.record.vmid;
    // A receiver that is not in the view has no firewall: any number but the sender's stands for it.
    let outside = [100, 101].into_iter().filter_map(|n| Vmid::try_from(n).ok()).find(|n| *n != vmid).unwrap_or(vmid);
    let packet = payload.packet(address, to, source_port);
    let question = Question { from: Sender::Guest(vmid, slot), to: (outside, slot), packet };
    let explanation = explain(&view.firewall, &question);
    Ok((question, explanation))
}

async fn view(
    data: &Data,
    name: &SiteName,
    guests: &[&rl_store::GuestRecord],
    out: &Out,
) -> Result<View, CommandError> {
    let site = data.site(name).await?.ok_or_else(|| {
        CommandError::input(format!("site `{name}` is not known")).hinted("apply a stack that uses it first")
    })?;
    let api = connect::connect_one(data, &site, connect::pace(), out).await?;
    read::view(api.pve(), guests).await
}
