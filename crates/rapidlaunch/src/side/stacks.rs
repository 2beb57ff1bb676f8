//! Stacks: listed, shown, given rules, compared with what there is.

use std::collections::BTreeMap;

use reqwest::Method;
use rl_model::{Drift, Proof, Site, SiteName, StackName};
use rl_store::{Owner, StackPolicy, StackState};
use serde_json::json;

use super::Side;
use crate::error::CommandError;
use crate::out::Out;
use crate::remote::{Remote, RemoteError};
use crate::shape::stack::{DriftShape, StackDeclaration, StackListed, StackRules, StackShape};
use crate::work::accounts::did;
use crate::work::data::store_error;
use crate::work::rules::{self, RulesChange};
use crate::work::{compare, meant, planning};

/// Most stacks that are listed: an installation has fewer.
const STACKS_MAX: usize = 100_000;

/// What a command wants of a stack as a server shows it.
#[derive(serde::Deserialize)]
struct Shown {
    manifest: StackDeclaration,
}

impl Side {
    /// Stacks by name, with their rules.
    pub(crate) async fn stacks(&self) -> Result<Vec<StackListed>, CommandError> {
        match self {
            Self::Here(data) => {
                let rules: BTreeMap<StackName, StackPolicy> =
                    data.store.stack_policies().await.map_err(store_error)?.into_iter().collect();
                let usual = StackPolicy::default();
                let stacks = data.store.stacks().await.map_err(store_error)?;
                let listed = stacks.iter().map(|stack| {
                    let rules = StackRules::of(rules.get(&stack.name).unwrap_or(&usual));
                    StackListed { stack: StackShape::of(stack), rules }
                });
                Ok(listed.collect())
            }
            Self::There(remote) => Ok(remote.list("/v1/stacks", STACKS_MAX).await?),
        }
    }

    /// Changes the rules of a stack.
    pub(crate) async fn change_rules(
        &self,
        name: &StackName,
        change: &RulesChange,
    ) -> Result<StackRules, CommandError> {
        match self {
            Self::Here(data) => {
                let known = data.store.stack(name).await.map_err(store_error)?;
                known.ok_or_else(|| meant::never_stored(name))?;
                let by = did("stack.govern", format!("/stacks/{name}"));
                let policy = rules::change(data, name, change, None, &by).await.map_err(store_error)?;
                Ok(StackRules::of(&policy))
            }
            Self::There(remote) => {
                let mut body = serde_json::Map::new();
                body.extend(change.protected.map(|protected| ("protected".to_owned(), json!(protected))));
                let owner = change.owner.as_ref().map(|owner| owner.as_ref().map(Owner::as_str));
                body.extend(owner.map(|owner| ("owner".to_owned(), json!(owner))));
                let changed = remote.send(Method::PATCH, &format!("/v1/stacks/{name}"), &body).await;
                changed.map_err(
                    |error: RemoteError| {
                        if error.is_not_found() { meant::never_stored(name) } else { error.into() }
                    },
                )
            }
        }
    }

    /// The stored declaration of a stack.
    pub(crate) async fn declaration(&self, name: &StackName) -> Result<StackDeclaration, CommandError> {
        match self {
            Self::Here(data) => Ok(StackDeclaration::of(planning::stored(data, name).await?)),
            Self::There(remote) => declared(remote, name).await,
        }
    }

    /// Reads a stack back as it was applied last and compares every item; sites that are given go before stored ones.
    pub(crate) async fn proof(
        &self,
        name: &StackName,
        given: &BTreeMap<SiteName, Site>,
        out: &Out,
    ) -> Result<Proof, CommandError> {
        match self {
            Self::Here(data) => compare::prove(data, given, name, out).await,
            Self::There(remote) => remote
                .post(&format!("/v1/stacks/{name}/verify"), &serde_json::json!({}))
                .await
                .map_err(|error| never(error, name)),
        }
    }

    /// What no longer matches the last apply of a stack.
    pub(crate) async fn drift(&self, name: &StackName, out: &Out) -> Result<Vec<Drift>, CommandError> {
        match self {
            Self::Here(data) => compare::drift(data, name, out).await,
            Self::There(remote) => {
                let found: Result<DriftShape, _> = remote.get(&format!("/v1/stacks/{name}/drift")).await;
                found.map(|found| found.items).map_err(|error| never(error, name))
            }
        }
    }

    /// The stacks that were applied and are not destroyed.
    pub(crate) async fn applied_stacks(&self) -> Result<Vec<StackName>, CommandError> {
        let stacks = self.stacks().await?;
        let stands =
            |stack: &&StackShape| stack.applied_revision.is_some() && stack.state != StackState::Destroyed.as_str();
        let name = |stack: &StackShape| {
            stack.name.parse().map_err(|error| CommandError::failed("a stack has no name").because(error))
        };
        stacks.iter().map(|listed| &listed.stack).filter(stands).map(name).collect()
    }
}

/// The stored declaration of a stack.
pub(super) async fn declared(remote: &Remote, name: &StackName) -> Result<StackDeclaration, CommandError> {
    let shown: Option<Shown> = remote.find(&format!("/v1/stacks/{name}")).await?;
    shown.map(|shown| shown.manifest).ok_or_else(|| meant::never_stored(name))
}

fn never(error: RemoteError, name: &StackName) -> CommandError {
    if error.is_not_found() { compare::never_applied(name) } else { error.into() }
}
