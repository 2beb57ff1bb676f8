//! What a site's firewall does with a packet.

use serde_json::json;

use super::Side;
use crate::error::CommandError;
use crate::out::Out;
use crate::shape::firewall::ExplainShape;
use crate::work::firewall::ask::{self, Payload, Words};
use crate::work::firewall::explain;

impl Side {
    /// Tells what the firewall does with a packet to a guest: the verdict, the rule that decides, and every step before it.
    pub(crate) async fn explain(&self, words: Words<'_>, out: &Out) -> Result<ExplainShape, CommandError> {
        match self {
            Self::Here(data) => {
                let asked = ask::understand(data, words).await?;
                let (asked, answer) = explain::answer(data, asked, out).await?;
                Ok(ExplainShape::of(&asked, answer))
            }
            Self::There(remote) => {
                let Words { from, to, payload, source_port } = words;
                // A protocol has its number for a name too.
                let (protocol, port) = match payload {
                    Payload::Ping => ("icmp".to_owned(), None),
                    Payload::Port(protocol, port) => (protocol.to_string(), Some(port)),
                };
                let question = json!({
                    "guest": to, "protocol": protocol, "port": port, "source_port": source_port, "from": from,
                });
                Ok(remote.post("/v1/firewall/explain", &question).await?)
            }
        }
    }
}
