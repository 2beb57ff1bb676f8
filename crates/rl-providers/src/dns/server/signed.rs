//! Signatures of requests and of the answers to them (RFC 8945 section 5).

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::tsig::{TSIG, TsigError, make_tsig_record};
use hickory_proto::rr::{TSigResponseContext, TSigner};

use super::ServedSecondary;
use crate::dns::tsig::Key;

/// Who has signed a request.
pub(super) enum Signer<'a> {
    /// Nobody.
    Nobody,
    /// The holder of this key; the answers are chained to the request by its signature.
    Key(&'a Key, Vec<u8>),
    /// Somebody whose signature is not accepted: the answer that says why.
    Refused(TSigResponseContext),
}

/// Checks the signature of a request that could be read.
pub(super) fn signer<'a>(request: &Message, packet: &[u8], secondaries: &'a [ServedSecondary]) -> Signer<'a> {
    let Some(signature) = request.signature() else { return Signer::Nobody };
    let mut keys = secondaries.iter().filter_map(|secondary| secondary.key.as_ref());
    let known = keys.find(|key| {
        *key.signer().signer_name() == signature.name && *key.signer().algorithm() == signature.data.algorithm
    });
    let id = request.id;
    let Some(key) = known else {
        let now = crate::dns::tsig::now_s();
        return Signer::Refused(TSigResponseContext::unknown_key(id, now, signature.name.clone()));
    };
    let (now, signer) = (key.now_s(), key.signer().clone());
    if signature.data.time < u64::from(signature.data.fudge) {
        return Signer::Refused(TSigResponseContext::bad_signature(id, now, signer));
    }
    match signer.verify_message_byte(packet, None, true) {
        Ok((mac, _, times)) if times.contains(&now) => Signer::Key(key, mac),
        Ok((mac, ..)) => Signer::Refused(TSigResponseContext::new(id, now, signer, mac, Some(TsigError::BadTime))),
        Err(_) => Signer::Refused(TSigResponseContext::bad_signature(id, now, signer)),
    }
}

/// Signs the messages of one answer, each chained to the one before.
pub(super) struct Chain<'a> {
    signer: &'a TSigner,
    now: u64,
    previous: Vec<u8>,
    first: bool,
}

impl<'a> Chain<'a> {
    pub(super) fn new(key: &'a Key, request_mac: Vec<u8>) -> Self {
        Self { signer: key.signer(), now: key.now_s(), previous: request_mac, first: true }
    }

    /// Signs the next message.
    pub(super) fn sign(&mut self, message: &mut Message) -> Option<()> {
        let unsigned = message.to_vec().ok()?;
        let stub = TSIG::new(
            self.signer.algorithm().clone(),
            self.now,
            self.signer.fudge(),
            Vec::new(),
            message.id,
            None,
            Vec::new(),
        );
        let bytes = match self.first {
            true => self.signer.encode_response_tbs(&self.previous, &unsigned, &stub).ok()?,
            false => self.later(&unsigned),
        };
        let mac = self.signer.sign(&bytes).ok()?;
        let signature = make_tsig_record(self.signer.signer_name().clone(), stub.set_mac(mac.clone()));
        message.set_signature(Box::new(signature));
        (self.previous, self.first) = (mac, false);
        Some(())
    }

    /// What is signed of later messages: the signature before, the message and the times (RFC 8945 section 5.3.1).
    fn later(&self, unsigned: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.previous.len() + unsigned.len() + 10);
        bytes.extend_from_slice(&u16::try_from(self.previous.len()).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(&self.previous);
        bytes.extend_from_slice(unsigned);
        bytes.extend_from_slice(&self.now.to_be_bytes()[2..]);
        bytes.extend_from_slice(&self.signer.fudge().to_be_bytes());
        bytes
    }
}
