//! `rapidlaunch openapi`

use crate::api;
use crate::error::CommandError;
use crate::out::Out;

/// Prints the OpenAPI document of the server.
pub(crate) fn run(out: &Out) -> Result<(), CommandError> {
    out.print(&format!("{}\n", api::document()));
    Ok(())
}
