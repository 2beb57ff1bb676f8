//! `rapidlaunch bench`
use crate::cli::args::BenchArgs;
use crate::error::CommandError;
use crate::out::Out;
pub(crate) async fn run(_a: &BenchArgs, _o: &Out) -> Result<(), CommandError> { Ok(()) }
