//! Proofs of plans: what a plan set out to do, read back.

use axum::extract::State;
use rl_model::{Proof, Right};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::plans;
use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::extract::At;
use crate::api::problem::{Problem, ProblemBody};
use crate::out::Out;
use crate::work::{books, operate};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(verify))
}

/// Reads back what a plan set out to do and compares every item: its guests as they shall be, or that they are gone.
#[utoipa::path(post, path = "/v1/plans/{plan}/verify", tag = "plans", params(("plan" = String, Path)),
    responses((status = 200, description = "The proof", body = Object),
        (status = 502, description = "A site cannot be read", body = ProblemBody, content_type = "application/problem+json")))]
async fn verify(State(api): State<Api>, caller: Caller, At(id): At<String>) -> Result<axum::Json<Proof>, Problem> {
    let (record, kept) = plans::find(&api, &caller, &id, Right::Read).await?;
    if let Some(operation) = record.operation {
        // It may have ended a moment ago: what it has made of the stack is written down before anybody asks for it.
        books::book(&api.data, operation).await?;
    }
    let planned = kept.connected(&api.data).await?;
    if planned.plan.destroy {
        return Ok(axum::Json(operate::prove_destroyed(&api.data, &planned, &Out::silent()).await?));
    }
    let proof = operate::prove_applied(&api.data, &planned, &Out::silent()).await?;
    if record.operation.is_some() {
        api.data.store.put_proof(&proof).await?;
    }
    Ok(axum::Json(proof))
}
