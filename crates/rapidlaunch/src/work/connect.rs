//! Makes clients for sites: reads the token where the site file says, and joins both.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rl_model::{SecretValue, Site, SiteName, TokenSource};
use rl_ops::SiteApi;
use rl_pve::{ApiToken, Pace, Pve, SiteConnection};

use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::work::data::Data;
use crate::work::secrets;

/// Longest token file that is read: a token has less than 200 characters.
const TOKEN_BYTES_MAX: u64 = 4096;

/// The clients of some sites.
pub(crate) type Sites = BTreeMap<SiteName, Arc<SiteApi>>;

/// Makes a client for every site. Nothing is contacted yet.
pub(crate) async fn connect<'a>(
    data: &Data,
    sites: impl IntoIterator<Item = &'a Site>,
    pace: Pace,
    out: &Out,
) -> Result<Sites, CommandError> {
    let mut connected = Sites::new();
    for site in sites {
        connected.insert(site.name.clone(), connect_one(data, site, pace, out).await?);
    }
    Ok(connected)
}

/// Makes the client of one site.
pub(crate) async fn connect_one(data: &Data, site: &Site, pace: Pace, out: &Out) -> Result<Arc<SiteApi>, CommandError> {
    let token = token(data, site, out).await?;
    let mut connection = SiteConnection::of_site(site, token);
    connection.pace = pace;
    let pve = Pve::connect(connection)
        .map_err(|error| CommandError::input(format!("site {} cannot be connected", site.name)).because(error))?;
    Ok(SiteApi::new(site.clone(), pve, pace))
}

/// How quickly the clocks of the sites run: 1 for real ones.
pub(crate) fn pace() -> Pace {
    env::pace().map_or(Pace::REAL, Pace::times)
}

/// Reads the API token of a site.
async fn token(data: &Data, site: &Site, out: &Out) -> Result<ApiToken, CommandError> {
    let text = match &site.token {
        TokenSource::File(path) => from_file(site, path, out)?,
        TokenSource::Env(name) => env::named(name).map(SecretValue::new).ok_or_else(|| {
            CommandError::input(format!(
                "site {}: the environment variable {name}, which holds its API token, is not set",
                site.name
            ))
            .hinted(format!("set {name} to user@realm!id=secret, or name a file with `token: {{ file: PATH }}`"))
        })?,
        TokenSource::Secret(name) => {
            let text = secrets::newest(data, name).await?;
            text.ok_or_else(|| {
                CommandError::input(format!(
                    "site {}: its API token is the secret {name}, and there is no secret of that name",
                    site.name
                ))
                .hinted(format!("store the token with `rapidlaunch secret set {name}`, as user@realm!id=secret"))
            })?
        }
    };
    ApiToken::parse(&text).map_err(|error| unusable(&site.name, error))
}

/// The error for an API token that is none.
pub(crate) fn unusable(site: &SiteName, error: impl std::error::Error + Send + Sync + 'static) -> CommandError {
    CommandError::input(format!("site {site}: its API token is not usable"))
        .because(error)
        .hinted("make one under Datacenter > Permissions > API Tokens, and store it as user@realm!id=secret")
}

/// Warns where others may read the file of a token.
pub(crate) fn warn_of_readers(path: &Path, mode: u32, out: &Out) {
    if mode & 0o077 != 0 {
        out.say(&format!("warning: others can read the API token in {0}; run `chmod 600 {0}`", path.display()));
    }
}

fn from_file(site: &Site, path: &Path, out: &Out) -> Result<SecretValue, CommandError> {
    let unreadable = |error| {
        CommandError::input(format!("site {}: its token file {} cannot be read", site.name, path.display()))
            .because(error)
            .hinted("the file holds one line, user@realm!id=secret, and only you can read it (chmod 600)")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    warn_of_readers(path, mode, out);
    let mut text = String::new();
    file.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(SecretValue::new(text))
}
