//! The first set-up: a link that the server prints while there is no user, good once.
use std::time::Duration;

use rl_model::{GrantId, SecretValue, UserName};
use rl_store::{NewUser, SetUp};

use rand::Rng;

use super::random::NewSecret;
use super::{AccessError, Gate, Remote};

/// How long the link is good.
const LINK_LIFE: Duration = Duration::from_secs(3600);

impl Gate {
    /// Makes a link in place of an earlier one; `None` when there are users and none is needed.
    pub(crate) async fn offer_setup(&self, base: &str) -> Result<Option<SecretValue>, AccessError> {
        let secret = NewSecret::new();
        let offered = self.store().offer_setup(secret.digest(), LINK_LIFE).await?;
        Ok(offered.then(|| SecretValue::new(format!("{base}/#/setup?token={}", secret.expose()))))
    }

    /// Makes the first user with the link's token.
    pub(crate) async fn set_up(
        &self,
        link: &str,
        name: UserName,
        password: SecretValue,
        remote: &Remote,
    ) -> Result<(), AccessError> {
        let link = NewSecret::shown(link).ok_or(AccessError::NoLink)?;
        let hash = self.hasher.place()?.hash(password).await?;
        let deed = remote.deed(&name, "setup.complete");
        let new = NewUser { actor: name.to_string(), name, password: Some(hash) };
        let grant = GrantId::from_bits(rl_agent::random().random());
        match self.store().set_up(link.digest(), new, grant, deed.into()).await? {
            SetUp::Done => Ok(()),
            SetUp::NoLink => Err(AccessError::NoLink),
            SetUp::Before => Err(AccessError::SetUpBefore),
        }
    }
}
