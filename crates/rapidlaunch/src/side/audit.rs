//! The audit: listed, exported, and whether it is as it was written.

use rl_store::{AuditHash, AuditQuery, AuditWalk};
use serde_json::json;

use super::Side;
use crate::error::CommandError;
use crate::remote::{Remote, encoded};
use crate::shape::audit::{AuditShape, VerdictShape};
use crate::work::data::{Data, store_error};

/// Entries read from the store at once.
const PART: usize = 1_000;

/// What looking at every link of the chain has come to.
pub(crate) struct Verified {
    /// What was found.
    pub(crate) verdict: VerdictShape,
    /// Whether a server has called whole what it does not export whole.
    pub(crate) is_contradicted: bool,
}

impl Side {
    /// The newest entries that pass a filter, up to its limit.
    pub(crate) async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditShape>, CommandError> {
        match self {
            Self::Here(data) => newest(data, query).await,
            Self::There(remote) => {
                let AuditQuery { actor, action, path, limit, .. } = query;
                let given = [("actor", actor), ("action", action), ("path", path)];
                let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
                let given: Vec<String> = given.map(|(name, value)| format!("{name}={}", encoded(&value))).collect();
                let sign = if given.is_empty() { "" } else { "?" };
                Ok(remote.list(&format!("/v1/audit{sign}{}", given.join("&")), limit).await?)
            }
        }
    }

    /// Checks every link of the chain. One entry must have the `kept` hash.
    ///
    /// A server is asked what it finds in its store, and its word is not all: every entry is fetched, and the hashes are computed
    /// here. Whoever has changed the store and the server together cannot make up entries that lead to a hash kept elsewhere.
    pub(crate) async fn verify_audit(&self, kept: Option<AuditHash>) -> Result<Verified, CommandError> {
        match self {
            Self::Here(data) => {
                let verdict = VerdictShape::of(data.store.verify_audit(kept).await.map_err(store_error)?);
                Ok(Verified { verdict, is_contradicted: false })
            }
            Self::There(remote) => {
                let body = json!({ "head": kept.map(|head| head.to_string()) });
                let told: VerdictShape = remote.post("/v1/audit/verify", &body).await?;
                if !told.ok {
                    return Ok(Verified { verdict: told, is_contradicted: false });
                }
                let verdict = walked(remote, kept.into_iter().chain(told.head.parse::<AuditHash>())).await?;
                Ok(Verified { is_contradicted: !verdict.ok, verdict })
            }
        }
    }

    /// Hands every entry on as a line of JSON, oldest first, in pieces of whole lines.
    pub(crate) async fn export_audit(&self, mut take: impl FnMut(&[u8])) -> Result<(), CommandError> {
        match self {
            Self::Here(data) => exported(data, take).await,
            Self::There(remote) => Ok(remote.lines("/v1/audit/export", &mut take).await?),
        }
    }
}

async fn newest(data: &Data, query: AuditQuery) -> Result<Vec<AuditShape>, CommandError> {
    let (mut entries, mut before) = (Vec::new(), None);
    loop {
        let wanted = AuditQuery { before, limit: query.limit - entries.len(), ..query.clone() };
        let page = data.store.audit_page(wanted).await.map_err(store_error)?;
        entries.extend(page.items.into_iter().map(AuditShape::of));
        before = page.next;
        if before.is_none() || entries.len() >= query.limit {
            return Ok(entries);
        }
    }
}

async fn exported(data: &Data, mut take: impl FnMut(&[u8])) -> Result<(), CommandError> {
    let mut after = 0;
    loop {
        let query = AuditQuery { after: Some(after), limit: PART, ..AuditQuery::default() };
        let page = data.store.audit_page(query).await.map_err(store_error)?;
        let last = page.items.last().map(|entry| entry.seq);
        take(&AuditShape::lines(page.items));
        match page.next.or(last).filter(|next| *next > after) {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

/// Goes through the entries that a server exports.
async fn walked(remote: &Remote, kept: impl Iterator<Item = AuditHash>) -> Result<VerdictShape, CommandError> {
    let mut walk = AuditWalk::new(kept);
    let take = |lines: &[u8]| {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let shape: Option<AuditShape> = serde_json::from_slice(line).ok();
            let number = shape.as_ref().map_or(0, |shape| shape.seq);
            walk.take(number, shape.as_ref().and_then(AuditShape::record).as_ref());
        }
    };
    remote.lines("/v1/audit/export", take).await?;
    Ok(VerdictShape::of(walk.end()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rl_engine::UnixMs;
    use rl_store::{AuditRecord, Via};

    use super::*;
    use crate::remote::tests::{answering, whole};

    /// A whole chain of so many entries.
    fn chain(count: u64) -> Vec<AuditRecord> {
        let mut chain: Vec<AuditRecord> = Vec::new();
        for seq in 1..=count {
            let mut entry = AuditRecord {
                seq,
                at: UnixMs(seq),
                actor: "maria".to_owned(),
                via: Via::Token("t1".to_owned()),
                remote: Some("192.0.2.7".to_owned()),
                action: "user.create".to_owned(),
                path: format!("/users/u{seq}"),
                before: None,
                after: Some(r#"{"z":1,"a":{"y":null,"x":"\n"}}"#.to_owned()),
                prev: chain.last().map_or(AuditHash::START, |entry| entry.hash),
                hash: AuditHash::START,
            };
            entry.hash = entry.computed();
            chain.push(entry);
        }
        chain
    }

    /// What is found where a server calls these entries whole and hands those out.
    async fn found(told: &[AuditRecord], handed_out: Vec<AuditRecord>, kept: Option<AuditHash>) -> Verified {
        let head = told.last().map_or(AuditHash::START, |entry| entry.hash).to_string();
        let verdict = VerdictShape { ok: true, count: told.len() as u64, head, broken_seq: None, fault: None };
        let lines = String::from_utf8(AuditShape::lines(handed_out)).unwrap();
        let remote = answering(vec![whole(&json!(verdict).to_string()), whole(&lines)]).await;
        Side::There(Box::new(remote)).verify_audit(kept).await.unwrap()
    }

    #[tokio::test]
    async fn a_server_that_calls_whole_what_is_not_is_found_out() {
        let whole = chain(4);
        let head = whole[3].hash;
        let sound = found(&whole, whole.clone(), Some(whole[1].hash)).await;
        assert!(sound.verdict.ok && !sound.is_contradicted);
        assert_eq!((sound.verdict.count, sound.verdict.head), (4, head.to_string()));
        let empty = found(&[], Vec::new(), None).await;
        assert_eq!((empty.verdict.ok, empty.verdict.count), (true, 0));

        let mut changed = whole.clone();
        changed[1].actor = "eve".to_owned();
        let mut missing = whole.clone();
        missing.remove(2);
        let cut = whole[..3].to_vec();
        for (handed_out, seq) in [(changed, 2), (missing, 3), (cut.clone(), 4), (Vec::new(), 1)] {
            let lie = found(&whole, handed_out, None).await;
            assert_eq!((lie.verdict.broken_seq, lie.is_contradicted), (Some(seq), true));
        }
        // Store and server agree on a shorter chain, and on one that was made up: the hash that was kept is nowhere.
        let mut made_up = chain(4);
        made_up[0].actor = "eve".to_owned();
        for number in 0..4 {
            made_up[number].prev = if number == 0 { AuditHash::START } else { made_up[number - 1].hash };
            made_up[number].hash = made_up[number].computed();
        }
        for chain in [cut, made_up] {
            assert!(found(&chain, chain.clone(), None).await.verdict.ok);
            let lie = found(&chain, chain.clone(), Some(head)).await;
            assert_eq!((lie.verdict.broken_seq, lie.is_contradicted), (Some(chain.len() as u64 + 1), true));
        }
    }
}
