//! `rapidlaunch verify STACK`

use crate::cli::args::{Global, StackRef};
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render;
use crate::render::style::Style;
use crate::side::Side;

/// Reads stacks back and compares every item. Exit code 1 when one differs.
pub(crate) async fn run(global: &Global, args: &StackRef, out: &Out) -> Result<(), CommandError> {
    let side = Side::look(global, out).await?;
    let subject = side.subject(args, out).await?;
    let mut proofs = Vec::new();
    for name in subject.stacks() {
        proofs.push(side.proof(name, subject.sites(), out).await?);
    }
    let ok = proofs.iter().all(|proof| proof.ok);
    if out.json() {
        out.print_json(&serde_json::json!({ "ok": ok, "proofs": proofs }));
    } else {
        let style = Style::new(out.colour);
        proofs.iter().for_each(|proof| out.print(&render::proof::proof(proof, global.verbose > 0, style)));
    }
    if ok { Ok(()) } else { Err(CommandError::said(ErrorKind::Failed)) }
}
