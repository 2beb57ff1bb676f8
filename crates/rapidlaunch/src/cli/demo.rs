//! `rapidlaunch demo`
use crate::cli::args::{DemoArgs, Global};
use crate::error::CommandError;
use crate::out::Out;
pub(crate) async fn run(_g: &Global, _a: &DemoArgs, _o: &Out) -> Result<(), CommandError> { Ok(()) }
