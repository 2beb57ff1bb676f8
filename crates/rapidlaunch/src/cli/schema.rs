//! `rapidlaunch schema`

use crate::error::CommandError;
use crate::out::Out;

/// Prints the JSON Schema of stack files.
pub(crate) fn run(out: &Out) -> Result<(), CommandError> {
    out.print_json(&rl_planner::schema::schema());
    Ok(())
}
