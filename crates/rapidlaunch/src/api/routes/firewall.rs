//! What a site's firewall does with a packet, and which rule decides.

use std::net::IpAddr;

use axum::extract::State;
use rl_model::Cidr;
use rl_store::GuestRecord;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::guests::readable;
use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::extract::Json;
use crate::api::problem::{Code, Problem, ProblemBody};
use crate::out::Out;
use crate::shape::firewall::{ExplainShape, PacketShape, SenderShape};
use crate::work::firewall::ask::{self, Payload, Source, Words};
use crate::work::firewall::explain;
use crate::work::guests;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(ask))
}

/// A question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The site of the guest; may be left out.
    site: Option<String>,
    /// The guest: its id, NAME or STACK/NAME, each with @NIC where one is meant.
    guest: String,
    /// `in`: to the guest; `out`: from it.
    #[serde(default)]
    direction: Direction,
    /// `tcp` when left out; `udp`, `sctp` …, or `icmp` (or `ping`) for an echo request.
    protocol: Option<String>,
    /// The port, by number or service; not for `icmp`.
    port: Option<PortWord>,
    /// Port the sender uses; any that its system may pick when left out.
    source_port: Option<u16>,
    /// Who sends, for `in`: an address, a network or a guest.
    from: Option<String>,
    /// Who receives, for `out`: an address or a guest.
    to: Option<String>,
}

/// Which way.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// To the guest.
    #[default]
    In,
    /// From the guest.
    Out,
}

/// A port.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
enum PortWord {
    /// By number.
    Number(u16),
    /// By service, or a number as text.
    Service(String),
}

impl Question {
    fn payload(&self) -> Result<Payload, Problem> {
        let protocol = self.protocol.as_deref().unwrap_or("tcp");
        let echo = matches!(protocol, "icmp" | "icmpv6" | "ping");
        match (&self.port, echo) {
            (None, true) => Ok(Payload::Ping),
            (Some(_), true) => Err(Problem::new(Code::INPUT, format!("`port`: {protocol} has none"))),
            (None, false) => Err(Problem::new(Code::INPUT, "`port` is missing")),
            (Some(port), false) => {
                let port = match port {
                    PortWord::Number(number) => number.to_string(),
                    PortWord::Service(name) => name.clone(),
                };
                Payload::port(&port, protocol).map_err(|why| Problem::new(Code::INPUT, why))
            }
        }
    }

    /// The other side.
    fn other(&self) -> Result<&str, Problem> {
        let (field, wanted, unwanted) = match self.direction {
            Direction::In => ("from", &self.from, &self.to),
            Direction::Out => ("to", &self.to, &self.from),
        };
        match (wanted, unwanted) {
            (Some(other), None) => Ok(other),
            (None, _) => Err(Problem::new(Code::INPUT, format!("`{field}` is missing: name the other side"))),
            (_, Some(_)) => Err(Problem::new(Code::INPUT, "either `from` or `to` is given, as `direction` says")),
        }
    }
}

/// A guest as STACK/NAME, with the NIC where one is named.
fn full(seen: &[GuestRecord], text: &str) -> Result<(GuestRecord, String), Problem> {
    let (name, nic) = match text.rsplit_once('@') {
        Some((name, nic)) => (name, format!("@{nic}")),
        None => (text, String::new()),
    };
    let record = guests::find_in(seen, name)?;
    let full = format!("{}/{}{nic}", record.stack, record.name);
    Ok((record, full))
}

/// Whether a text names an address or a network, well written or not, and no guest.
fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || text.parse::<Cidr>().is_ok() || text.contains(['.', ':'])
}

/// Tells what the firewall does with a packet: the verdict, the rule that decides, and every step before it.
#[utoipa::path(post, path = "/v1/firewall/explain", tag = "guests", request_body = Question,
    responses((status = 200, description = "As `rapidlaunch firewall explain --output json` prints it", body = ExplainShape),
        (status = 502, description = "The site cannot be read", body = ProblemBody, content_type = "application/problem+json")))]
async fn ask(
    State(api): State<Api>,
    caller: Caller,
    Json(question): Json<Question>,
) -> Result<axum::Json<ExplainShape>, Problem> {
    let (payload, other) = (question.payload()?, question.other()?);
    let seen = readable(&api, &caller).await?;
    let (record, guest) = full(&seen, &question.guest)?;
    if question.site.as_ref().is_some_and(|site| *site != record.site.as_str()) {
        return Err(Problem::new(Code::INPUT, format!("`site`: {} is on {}", record.name, record.site)));
    }
    let other = if is_address(other) { other.to_owned() } else { full(&seen, other)?.1 };
    match question.direction {
        Direction::In => walk(&api, &seen, &other, &guest, payload, question.source_port).await,
        Direction::Out => out(&api, &seen, &guest, &other, payload, question.source_port).await,
    }
}

/// A packet to a guest.
async fn walk(
    api: &Api,
    seen: &[GuestRecord],
    from: &str,
    to: &str,
    payload: Payload,
    source_port: Option<u16>,
) -> Result<axum::Json<ExplainShape>, Problem> {
    let asked = ask::understand(&api.data, Words { from, to, payload, source_port }).await?;
    if asked.guests().iter().any(|guest| !seen.iter().any(|seen| seen.id == guest.id)) {
        return Err(Problem::not_found("guest", from));
    }
    let (asked, answer) = explain::answer(&api.data, asked, &Out::silent()).await?;
    Ok(axum::Json(ExplainShape::of(&asked, answer)))
}

/// A packet from a guest: to another one, or to an address that is none's.
async fn out(
    api: &Api,
    seen: &[GuestRecord],
    from: &str,
    to: &str,
    payload: Payload,
    source_port: Option<u16>,
) -> Result<axum::Json<ExplainShape>, Problem> {
    let party = ask::party(&api.data, from).await?;
    match ask::source(&api.data, to, &party.record.site, None).await? {
        Source::Network(_) => Err(Problem::new(Code::INPUT, "`to` names a network: name an address in it")),
        Source::Guest(other) => {
            let to = format!("{}/{}", other.record.stack, other.record.name);
            let nic = other.nic.as_ref().map(|nic| format!("@{nic}")).unwrap_or_default();
            walk(api, seen, from, &format!("{to}{nic}"), payload, source_port).await
        }
        Source::Address(to) => {
            let (guest, vmid) = (party.record.name.to_string(), party.record.vmid);
            let (question, explanation) =
                explain::outward(&api.data, party, to, payload, source_port, &Out::silent()).await?;
            let mut shape = PacketShape::of(payload, &question, explanation);
            shape.packet.sender = Some(SenderShape { guest, vmid });
            Ok(axum::Json(ExplainShape::Packet(Box::new(shape))))
        }
    }
}
