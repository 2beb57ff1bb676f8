//! Who the agent is: its certificate, its keys, in one file that only it may read.

use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::courier::Post;
use crate::files;
use crate::seal::SealKey;

const FILE: &str = "identity.json";

/// An identity as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Site and node it was given at its join.
    pub(crate) post: Post,
    /// The authority's certificate.
    pub(crate) authority: String,
    /// Its own.
    pub(crate) certificate: String,
    /// The key of that.
    pub(crate) key: String,
    /// The key that values are sealed to.
    pub(crate) seal: String,
    /// When the certificate was made, in milliseconds since 1970.
    pub(crate) made_at_ms: u64,
    /// When it ends.
    pub(crate) ends_at_ms: u64,
}

impl Identity {
    /// Reads the identity in a folder, if the agent has joined before.
    pub(crate) fn read(dir: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(dir.join(FILE)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps it.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        files::private_dir(dir)?;
        files::write_private(&dir.join(FILE), &serde_json::to_vec(self)?)
    }

    /// The key that values are sealed to.
    pub(crate) fn seal_key(&self) -> io::Result<SealKey> {
        SealKey::parse(&self.seal).ok_or_else(|| io::Error::other("the agent's key cannot be read; let it join again"))
    }

    /// Whether two thirds of the certificate's time are over.
    pub(crate) fn is_due(&self, now_ms: u64) -> bool {
        let life = self.ends_at_ms.saturating_sub(self.made_at_ms);
        now_ms >= self.ends_at_ms.saturating_sub(life / 3)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("post", &self.post).finish_non_exhaustive()
    }
}
