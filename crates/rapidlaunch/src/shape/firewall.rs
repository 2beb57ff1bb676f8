//! What a firewall does with packets.

use std::net::IpAddr;

use rl_model::Vmid;
use rl_planner::firewall::{Explanation, Part, Question, SourcePort, Stage, Step, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::work::firewall::ask::{Asked, Payload, Source};
use crate::work::firewall::explain::Answer;

/// What a firewall does with a packet, or with the packets of a whole network.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ExplainShape {
    /// With packets of a network.
    Network(NetworkShape),
    /// With one packet.
    Packet(Box<PacketShape>),
}

/// The walk of packets.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct WalkShape {
    /// `accept`, `drop`, `reject`, or `unclear` where it depends on something that is not known.
    #[schema(value_type = String)]
    pub(crate) verdict: Verdict,
    /// The step that decides.
    #[schema(value_type = Option<Object>)]
    pub(crate) decided_by: Option<Step>,
    /// Index into `stages` of the one that decides.
    pub(crate) decided_in: usize,
    /// The sender's way out, where the sender is a guest, and the receiver's way in, with every step.
    #[schema(value_type = Vec<Object>)]
    pub(crate) stages: Vec<Stage>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PacketShape {
    /// Its walk.
    #[serde(flatten)]
    pub(crate) walk: WalkShape,
    /// The packet.
    pub(crate) packet: PacketFacts,
}

/// A packet.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PacketFacts {
    /// Where it comes from.
    #[schema(value_type = String)]
    pub(crate) source: IpAddr,
    /// Where it goes to.
    #[schema(value_type = String)]
    pub(crate) destination: IpAddr,
    /// Number of its protocol.
    pub(crate) protocol: u8,
    /// The port it goes to; null for an echo request.
    pub(crate) port: Option<u16>,
    /// The port it comes from; null where the sender's system picks one.
    pub(crate) source_port: Option<u16>,
    /// Its type, for an echo request.
    pub(crate) icmp_type: Option<u8>,
    /// The guest that sends it, if it is one.
    pub(crate) sender: Option<SenderShape>,
    /// The guest that receives it, if it is one.
    pub(crate) guest: Option<String>,
    /// Its VMID.
    #[schema(value_type = Option<u32>)]
    pub(crate) vmid: Option<Vmid>,
}

/// A guest that sends.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct SenderShape {
    /// Its name.
    pub(crate) guest: String,
    /// Its VMID.
    #[schema(value_type = u32)]
    pub(crate) vmid: Vmid,
}

/// What becomes of packets of a network.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct NetworkShape {
    /// The guest that receives them.
    pub(crate) to: String,
    /// The verdict on all parts; `unclear` where they are not treated alike.
    #[schema(value_type = String)]
    pub(crate) verdict: Verdict,
    /// Parts that the rules treat alike.
    pub(crate) parts: Vec<PartShape>,
}

/// Addresses that the rules treat alike.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct PartShape {
    /// The walk of packets from them.
    #[serde(flatten)]
    pub(crate) walk: WalkShape,
    /// The first one.
    #[schema(value_type = String)]
    pub(crate) first: IpAddr,
    /// The last one.
    #[schema(value_type = String)]
    pub(crate) last: IpAddr,
}

impl ExplainShape {
    /// The shape of an answer.
    pub(crate) fn of(asked: &Asked, answer: Answer) -> Self {
        match answer {
            Answer::Network(parts) => {
                let parts: Vec<PartShape> = parts.into_iter().map(PartShape::of).collect();
                Self::Network(NetworkShape { to: asked.to.record.name.to_string(), verdict: overall(&parts), parts })
            }
            Answer::Packet(question, explanation) => {
                let mut shape = PacketShape::of(asked.payload, &question, explanation);
                if let Source::Guest(party) = &asked.source {
                    let (guest, vmid) = (party.record.name.to_string(), party.record.vmid);
                    shape.packet.sender = Some(SenderShape { guest, vmid });
                }
                shape.packet.guest = Some(asked.to.record.name.to_string());
                shape.packet.vmid = Some(asked.to.record.vmid);
                Self::Packet(Box::new(shape))
            }
        }
    }

    /// What becomes of the packets.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Network(network) => network.verdict,
            Self::Packet(packet) => packet.walk.verdict,
        }
    }
}

/// The verdict on a whole network: that of its parts where they are one.
fn overall(parts: &[PartShape]) -> Verdict {
    let first = parts.first().map_or(Verdict::Unclear, |part| part.walk.verdict);
    let one = parts.iter().all(|part| part.walk.verdict == first);
    if one { first } else { Verdict::Unclear }
}

impl PartShape {
    fn of(part: Part) -> Self {
        Self { walk: WalkShape::of(part.explanation), first: part.range.first(), last: part.range.last() }
    }
}

impl PacketShape {
    /// The shape of what becomes of a packet between others than guests.
    pub(crate) fn of(payload: Payload, question: &Question, explanation: Explanation) -> Self {
        let (packet, ports) = (&question.packet, matches!(payload, Payload::Port(..)));
        let packet = PacketFacts {
            source: packet.source,
            destination: packet.dest,
            protocol: packet.proto,
            port: ports.then_some(packet.dport),
            source_port: match packet.sport {
                SourcePort::Known(port) => Some(port),
                SourcePort::Picked => None,
            },
            icmp_type: (!ports).then_some(packet.icmp.0),
            sender: None,
            guest: None,
            vmid: None,
        };
        Self { walk: WalkShape::of(explanation), packet }
    }
}

impl WalkShape {
    fn of(explanation: Explanation) -> Self {
        let decided_by = explanation.deciding().cloned();
        let Explanation { verdict, decided_in, stages } = explanation;
        Self { verdict, decided_by, decided_in, stages }
    }

    /// The stage that decides.
    pub(crate) fn deciding_stage(&self) -> Option<&Stage> {
        self.stages.get(self.decided_in)
    }
}
