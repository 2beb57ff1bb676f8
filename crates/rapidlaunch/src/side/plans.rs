//! Plans: made from files or a stored stack, carried out, proven.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rl_engine::OperationId;
use rl_model::{Policy, Proof, Site, SiteName, StackName};
use rl_planner::diagnostic::Diagnostic;
use rl_planner::parse::Known;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Side, stacks};
use crate::cli::args::StackRef;
use crate::error::CommandError;
use crate::out::Out;
use crate::remote::{Remote, RemoteError};
use crate::shape::operation::Accepted;
use crate::shape::plan::PlanDocument;
use crate::work::inputs::{self, InputFile, Inputs};
use crate::work::meant;
use crate::work::named;
use crate::work::operate::{self, Ending};
use crate::work::planning::{self, Planned};

/// Most sites that are listed: an installation has fewer.
const SITES_MAX: usize = 10_000;
/// Most approved plans of a stack that are looked at for one that is the same.
const APPROVED_LOOKED_MAX: usize = 20;

/// The stacks a command is about.
pub(crate) enum Subject {
    /// With all that planning them here needs.
    Here(planning::Subject),
    /// With the files that are sent.
    There {
        /// None for a stored stack.
        files: Vec<InputFile>,
        /// In order.
        stacks: Vec<StackName>,
    },
}

impl Subject {
    /// The stacks, in order.
    pub(crate) fn stacks(&self) -> &[StackName] {
        match self {
            Self::Here(subject) => &subject.stacks,
            Self::There { stacks, .. } => stacks,
        }
    }

    /// The sites that are given.
    pub(crate) fn sites(&self) -> &BTreeMap<SiteName, Site> {
        static NONE: BTreeMap<SiteName, Site> = BTreeMap::new();
        match self {
            Self::Here(subject) => &subject.manifest.sites,
            Self::There { .. } => &NONE,
        }
    }
}

/// What is wanted of a plan.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// What a person allows.
    pub(crate) policy: Policy,
    /// Read the configuration of every guest.
    pub(crate) deep: bool,
    /// Take the whole stack away.
    pub(crate) destroy: bool,
}

/// A plan that may be carried out.
pub(crate) enum Offer {
    /// Here.
    Here(Box<Planned>),
    /// By the server, which keeps it; without an id it was only looked at.
    There {
        /// Its id there.
        id: Option<String>,
        /// What it would do.
        document: Box<PlanDocument<'static>>,
    },
}

impl Offer {
    /// What it would do.
    pub(crate) fn document(&self) -> PlanDocument<'_> {
        match self {
            Self::Here(planned) => PlanDocument::of(&planned.plan, &planned.report),
            Self::There { document, .. } => document.lent(),
        }
    }
}

/// What a command wants of a plan as a server keeps it.
#[derive(Deserialize)]
struct Kept {
    id: String,
    base_revision: u64,
    needs_approval: bool,
    document: PlanDocument<'static>,
}

/// The same in a list.
#[derive(Deserialize)]
struct Listed {
    id: String,
    base_revision: u64,
}

/// What a command wants of a site as a server shows it.
#[derive(Deserialize)]
pub(super) struct Declared {
    pub(super) declared: Site,
}

impl Side {
    /// Finds out which stacks a command is about.
    pub(crate) async fn subject(&self, stack: &StackRef, out: &Out) -> Result<Subject, CommandError> {
        let remote = match self {
            Self::Here(data) => return Ok(Subject::Here(planning::subject(data, stack, out).await?)),
            Self::There(remote) => remote,
        };
        if stack.files.is_empty() {
            let name = stack.stack.as_ref().ok_or_else(meant::nothing_named)?;
            stacks::declared(remote, name).await?;
            return Ok(Subject::There { files: Vec::new(), stacks: vec![name.clone()] });
        }
        let inputs = read(remote, &stack.files, out).await?;
        let stacks = meant::declared_stacks(&inputs.manifest, stack.stack.as_ref())?;
        Ok(Subject::There { files: inputs.files, stacks })
    }

    /// Plans one stack of a subject, only to look at it.
    pub(crate) async fn look_ahead(
        &self,
        subject: &Subject,
        name: &StackName,
        wish: &Wish,
        out: &Out,
    ) -> Result<Offer, CommandError> {
        match (self, subject) {
            (Self::There(remote), Subject::There { files, .. }) => {
                let asked = remote.post("/v1/plans/preview", &body(files, name, wish)).await;
                let document = asked.map_err(|error| with_excerpts(error, files, out))?;
                Ok(Offer::There { id: None, document: Box::new(document) })
            }
            _ => self.plan(subject, name, wish, out).await,
        }
    }

    /// Plans one stack of a subject, so that it can be carried out as it was shown.
    pub(crate) async fn plan(
        &self,
        subject: &Subject,
        name: &StackName,
        wish: &Wish,
        out: &Out,
    ) -> Result<Offer, CommandError> {
        let Wish { policy, deep, destroy } = wish;
        match (self, subject) {
            (Self::Here(data), Subject::Here(subject)) => {
                let planned = if *destroy {
                    planning::plan_destroy(data, subject, name, policy, out).await?
                } else {
                    planning::plan(data, subject, name, policy, *deep, out).await?
                };
                Ok(Offer::Here(Box::new(planned)))
            }
            (Self::There(remote), Subject::There { files, .. }) => {
                let asked: Result<Kept, _> = remote.post("/v1/plans", &body(files, name, wish)).await;
                let kept = asked.map_err(|error| with_excerpts(error, files, out))?;
                let approved = if kept.needs_approval { approved(remote, name, &kept).await? } else { None };
                let Kept { id, document, .. } = approved.unwrap_or(kept);
                Ok(Offer::There { id: Some(id), document: Box::new(document) })
            }
            _ => Err(mixed()),
        }
    }

    /// Starts a plan: accepted means on disk.
    pub(crate) async fn start(&self, offer: &Offer, partial: bool, kind: &str) -> Result<OperationId, CommandError> {
        match (self, offer) {
            (Self::Here(data), Offer::Here(planned)) => operate::start(data, planned, kind).await,
            (Self::There(remote), Offer::There { id: Some(id), .. }) => {
                let body = json!({ "partial": partial });
                let accepted: Result<Accepted, _> = remote.post(&format!("/v1/plans/{id}/apply"), &body).await;
                accepted.map_err(|error| unapproved(error, id))?.id()
            }
            _ => Err(mixed()),
        }
    }

    /// Carries a started plan out, or follows whoever does, to its end.
    pub(crate) async fn run(&self, offer: &Offer, id: OperationId, out: &Out) -> Result<Ending, CommandError> {
        match (self, offer) {
            (Self::Here(data), Offer::Here(planned)) => operate::run(data, &planned.sites, id, out).await,
            _ => self.go_on(id, &BTreeMap::new(), out).await,
        }
    }

    /// Reads back what a plan set out to do, and compares every item.
    pub(crate) async fn prove(&self, offer: &Offer, out: &Out) -> Result<Proof, CommandError> {
        match (self, offer) {
            (Self::Here(data), Offer::Here(planned)) if planned.plan.destroy => {
                operate::prove_destroyed(data, planned, out).await
            }
            (Self::Here(data), Offer::Here(planned)) => operate::prove_applied(data, planned, out).await,
            (Self::There(remote), Offer::There { id: Some(id), .. }) => {
                Ok(remote.post(&format!("/v1/plans/{id}/verify"), &json!({})).await?)
            }
            _ => Err(mixed()),
        }
    }

    /// Lets a plan go that is not carried out. A server lets go of it by itself later, so that a failure does not matter.
    pub(crate) async fn let_go(&self, offer: &Offer) {
        if let (Self::There(remote), Offer::There { id: Some(id), .. }) = (self, offer) {
            let path = format!("/v1/plans/{id}");
            let _: Result<Value, RemoteError> = remote.send(reqwest::Method::DELETE, &path, &json!({})).await;
        }
    }
}

/// The very same plan, made earlier and approved by another person since.
async fn approved(remote: &Remote, stack: &StackName, kept: &Kept) -> Result<Option<Kept>, RemoteError> {
    let path = format!("/v1/plans?stack={stack}&state=approved");
    let listed: Vec<Listed> = remote.list(&path, APPROVED_LOOKED_MAX).await?;
    for plan in listed.into_iter().filter(|plan| plan.base_revision == kept.base_revision) {
        let found: Option<Kept> = remote.find(&format!("/v1/plans/{}", plan.id)).await?;
        if let Some(found) = found.filter(|found| found.document.id == kept.document.id) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What is to be done where the approval of another person is missing.
fn unapproved(error: RemoteError, id: &str) -> CommandError {
    let waits = error.code() == Some("RL0517");
    let error: CommandError = error.into();
    if !waits {
        return error;
    }
    error
        .hinted(format!(
            "let another person approve plan {id}, on the server's page or with POST /v1/plans/{id}/approve"
        ))
        .hinted("then give the same command again: it carries out the plan that was approved")
}

/// A plan of one side cannot be carried out on the other; commands have one side.
fn mixed() -> CommandError {
    CommandError::failed("a plan was to be carried out by another than the one who made it")
}

/// What is sent to be planned.
fn body(files: &[InputFile], name: &StackName, wish: &Wish) -> Value {
    let files: Vec<Value> = files.iter().map(|file| json!({ "name": file.name, "text": file.text })).collect();
    json!({ "files": files, "stack": name, "destroy": wish.destroy, "deep": wish.deep, "policy": wish.policy })
}

/// Reads files here, so that mistakes are found before anything is sent; the sites that the server knows are known.
pub(super) async fn read(remote: &Remote, paths: &[PathBuf], out: &Out) -> Result<Inputs, CommandError> {
    let known = known(remote).await?;
    let inputs = inputs::read(paths, &known, out)?;
    for site in inputs.manifest.sites.values().filter(|site| known.sites.get(&site.name) != Some(*site)) {
        refuse_local(remote, site)?;
    }
    Ok(inputs)
}

/// The sites that a server knows.
pub(super) async fn known(remote: &Remote) -> Result<Known, CommandError> {
    let listed: Vec<Declared> = remote.list("/v1/sites", SITES_MAX).await?;
    Ok(Known { sites: listed.into_iter().map(|site| (site.declared.name.clone(), site.declared)).collect() })
}

/// Files and variables that a site names are looked for where the work is done: what is only here is told now.
fn refuse_local(remote: &Remote, site: &Site) -> Result<(), CommandError> {
    let wrong = named::outside(site).into_iter().find(|thing| match thing {
        // A server on this machine reads the same files, from another directory.
        named::Outside::File(path) => !remote.is_beside() || !Path::new(path).is_absolute(),
        named::Outside::Variable(_) => true,
    });
    let Some(wrong) = wrong else { return Ok(()) };
    let error = CommandError::input(format!("site {} names {wrong} of this machine", site.name));
    Err(match (&wrong, remote.is_beside()) {
        (named::Outside::File(_), true) => {
            error.hinted("the server that does the work starts from another directory: write the path from the root")
        }
        _ => error
            .hinted(format!(
                "the work is done by the server at {}, which has its own files and variables",
                remote.url()
            ))
            .hinted(format!("store the value there as a secret, and name that: `{{ secret: sites/{} }}`", site.name)),
    })
}

/// The error of a refusal; what it says about files is shown with their text.
fn with_excerpts(error: RemoteError, files: &[InputFile], out: &Out) -> CommandError {
    let error: CommandError = error.into();
    let told = error.details.as_ref().and_then(|details| details.get("diagnostics").cloned());
    let Some(found) = told.and_then(|told| serde_json::from_value::<Vec<Diagnostic>>(told).ok()) else { return error };
    error.rendered(inputs::render(&found, files, out.colour_err))
}

/// The guests that a plan must wait with until a person acts.
pub(crate) fn blocked_guests<'a>(document: &'a PlanDocument<'_>) -> BTreeSet<&'a rl_model::GuestName> {
    let blocked = document.report.notes.iter().filter(|note| note.level == rl_model::NoteLevel::Blocked);
    blocked.filter_map(|note| note.guest.as_ref()).collect()
}
