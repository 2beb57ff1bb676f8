//! From the bytes of an answer to its type. Answers are untrusted: a wrong type is an error that names the place.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::request::Call;
use crate::{ErrorKind, PveError};

#[derive(Deserialize)]
struct Envelope<A> {
    data: A,
}

pub(crate) fn decode<A: DeserializeOwned>(call: &Call, body: &[u8]) -> Result<A, PveError> {
    if call.whole { from_json(call, body) } else { from_json::<Envelope<A>>(call, body).map(|envelope| envelope.data) }
}

fn from_json<T: DeserializeOwned>(call: &Call, body: &[u8]) -> Result<T, PveError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let text = if error.inner().is_data() {
            error.inner().to_string()
        } else {
            "it is not JSON: is this address a Proxmox VE API?".to_owned()
        };
        let kind = ErrorKind::Decode { field: crate::error::clean(&field, 200) };
        PveError::new(call, kind, &text).with_status(200)
    })
}
