//! The way in for whoever may read the data directory: a token that is made at each start and written there, beside the address
//! and the authority. Commands on the same machine find the server by it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore;
use rl_agent::files;
use rl_model::Access;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::caller::Caller;
use crate::env;

/// Name of the file in the folder of the API.
const FILE: &str = "local.json";

/// What every such token begins with.
pub(crate) const PREFIX: &str = "rll_";

/// What commands on the same machine need.
#[derive(Serialize, Deserialize)]
pub(crate) struct Door {
    /// Where the server is.
    pub(crate) url: String,
    /// The token.
    pub(crate) token: String,
    /// The authority that vouches for the server, as PEM; none where the certificate was given.
    pub(crate) authority: Option<String>,
}

/// The token of this start of the server.
pub(crate) struct Local {
    digest: [u8; 32],
    path: Option<PathBuf>,
}

impl Local {
    /// Makes the token and writes it down.
    pub(crate) fn open(dir: &Path, address: SocketAddr, authority: Option<String>) -> std::io::Result<Self> {
        let mut secret = [0u8; 32];
        rl_agent::random().fill_bytes(&mut secret);
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
        let host = match address.ip() {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let digest = Sha256::digest(token.as_bytes()).into();
        let door = Door { url: format!("https://{host}:{}", address.port()), token, authority };
        let text = zeroize::Zeroizing::new(serde_json::to_vec(&door).map_err(std::io::Error::other)?);
        files::private_dir(dir)?;
        let path = dir.join(FILE);
        files::write_private(&path, &text)?;
        Ok(Self { digest, path: Some(path) })
    }

    /// Whether this is the token. Digests are compared, so that the time it takes tells nothing.
    pub(super) fn opens(&self, token: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        digest == self.digest
    }

    /// Whoever came with it.
    pub(super) fn caller(&self, remote: IpAddr) -> Caller {
        Caller {
            name: env::actor(),
            via: "local".to_owned(),
            remote,
            access: Access::everything(),
            user: None,
            session: None,
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The way in to the server that holds a data directory, if one does and says so.
pub(crate) fn find(dir: &Path) -> Option<Door> {
    serde_json::from_slice(&std::fs::read(dir.join(FILE)).ok()?).ok()
}
