//! Where the server is, who asks it, and who vouches for it.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use rl_agent::node::Server;
use rl_model::SecretValue;

use crate::api;
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::work::connect::warn_of_readers;

/// Longest token file that is read: a token has less than 200 characters.
const TOKEN_BYTES_MAX: u64 = 4096;
/// Longest file of certificates that is read: the roots of a whole system have some 250 KB.
const AUTHORITY_BYTES_MAX: u64 = 4 << 20;

/// How commands reach a server.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServerArgs {
    /// Work through the server at this address, as https://HOST:PORT, with the token of RAPIDLAUNCH_TOKEN or --token-file
    #[arg(
        id = "server",
        long = "server",
        global = true,
        env = "RAPIDLAUNCH_SERVER",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(crate) server: Option<Server>,
    /// File with the API token for the server
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Certificates that vouch for the server, as PEM [default: the system's]
    #[arg(long, global = true, env = "RAPIDLAUNCH_CA", value_name = "FILE", hide_env_values = true)]
    pub(crate) ca_file: Option<PathBuf>,
}

impl ServerArgs {
    /// Whether commands work through a server.
    pub(crate) fn is_given(&self) -> bool {
        self.server.is_some()
    }
}

/// One way to a server.
pub(super) struct Way {
    /// Where it is.
    pub(super) url: String,
    /// Trusts it, and nobody else where an authority was given.
    pub(super) client: reqwest::Client,
    /// Whoever asks shows this.
    pub(super) token: SecretValue,
}

impl Way {
    /// The way that the command line and the environment name.
    pub(super) fn given(args: &ServerArgs, server: &Server, out: &Out) -> Result<Self, CommandError> {
        let token = token(args, out)?;
        let authority = args.ca_file.as_deref().map(authority).transpose()?;
        let client = rl_providers::web::client_of(authority.as_deref()).map_err(|error| {
            let named = args.ca_file.as_ref().map(|path| format!(" with the certificates of {}", path.display()));
            CommandError::input(format!("no connection can be made{}", named.unwrap_or_default())).because(error)
        })?;
        Ok(Self { url: format!("https://{server}"), client, token })
    }

    /// The way that a server has left in its data directory.
    pub(super) fn of_door(door: api::Door) -> Option<Self> {
        let client = rl_providers::web::client_of(door.authority.as_ref().map(String::as_bytes)).ok()?;
        Some(Self { url: door.url, client, token: SecretValue::new(door.token) })
    }
}

fn token(args: &ServerArgs, out: &Out) -> Result<SecretValue, CommandError> {
    let text = match &args.token_file {
        Some(path) => {
            if let Ok(found) = std::fs::metadata(path) {
                warn_of_readers(path, found.permissions().mode(), out);
            }
            let text = read(path, TOKEN_BYTES_MAX).map_err(|error| {
                CommandError::input(format!("the token file {} cannot be read", path.display()))
                    .because(error)
                    .hinted("it holds one line, the API token, and only you can read it (chmod 600)")
            })?;
            String::from_utf8_lossy(&text).trim().to_owned()
        }
        None => env::token().ok_or_else(|| {
            CommandError::input("no API token is given, and the server wants to know who asks")
                .hinted("set RAPIDLAUNCH_TOKEN, or name a file with --token-file FILE")
                .hinted("tokens are made on the server's page, under Tokens")
        })?,
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CommandError::input("the API token is none: it must be one word of printable characters"));
    }
    Ok(SecretValue::new(text))
}

fn authority(path: &Path) -> Result<Vec<u8>, CommandError> {
    read(path, AUTHORITY_BYTES_MAX).map_err(|error| {
        CommandError::input(format!("the certificates {} cannot be read", path.display()))
            .because(error)
            .hinted("a server keeps the certificate of its own authority in DATA/api/ca.pem")
    })
}

fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
