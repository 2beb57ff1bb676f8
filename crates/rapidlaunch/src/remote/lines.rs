//! A long answer, taken line by line as it comes.

use std::time::Instant;

use super::client::{PATIENCE, Remote};
use super::error::RemoteError;

/// How it is written: one JSON document a line.
const KIND: &str = "application/x-ndjson";
/// Longest line: an entry of the audit has some 200 KB at most.
const LINE_BYTES_MAX: usize = 1 << 20;

impl Remote {
    /// Hands an answer on, in pieces of whole lines. One that breaks off is an error: what came before it is not all.
    pub(crate) async fn lines(&self, path: &str, mut take: impl FnMut(&[u8])) -> Result<(), RemoteError> {
        let began = Instant::now();
        let mut response = loop {
            match self.stream(path, KIND, None).await {
                Ok(response) => break response,
                Err(error) if began.elapsed() < PATIENCE => self.rest(error).await?,
                Err(error) => return Err(error),
            }
        };
        let cut = |source| RemoteError::Cut { url: self.url(), source };
        let mut kept: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| cut(Some(error)))? {
            kept.extend_from_slice(&chunk);
            if let Some(end) = kept.iter().rposition(|byte| *byte == b'\n') {
                take(&kept[..=end]);
                kept.drain(..=end);
            }
            if kept.len() > LINE_BYTES_MAX {
                return Err(self.strange(&format!("a line of {path} has more than {LINE_BYTES_MAX} bytes"), None));
            }
        }
        if kept.is_empty() { Ok(()) } else { Err(cut(None)) }
    }
}
