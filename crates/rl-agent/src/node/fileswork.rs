//! Files inside guests.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rl_model::GuestPath;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::desk::{Beside, Desk, May, failed};
use super::pct::{Hold, Ran};
use super::scripts;
use crate::answer::{Answer, FileFacts, Refusal};
use crate::courier::{Output, Stream};
use crate::seal::{hex, sha256};
use crate::work::{CONTENT_MAX, DeliverFile, Order, Work};

type Sender = mpsc::UnboundedSender<Output>;

/// Longest one of the scripts may take: a file of the largest size on a slow disk.
pub(crate) const SCRIPT_LIMIT: Duration = Duration::from_secs(60);
/// Most bytes a script itself has to say.
pub(crate) const SCRIPT_OUTPUT_MAX: u64 = 64 << 10;
/// Most bytes of a list of files.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// Does an order that is about files. The guest was just found to be the one that is meant; it is held while `hold` lives.
pub(crate) async fn perform(desk: &Arc<Desk>, order: &Order, hold: Hold, beside: Beside) -> Result<Answer, Refusal> {
    match &order.work {
        Work::Push(file) => write(desk, order, hold, file, beside.input, beside.may).await,
        Work::Deliver(file) => {
            let value = desk.seal.open(&order.guest.stamp.guest, &file.path, &beside.input).map_err(failed)?;
            write(desk, order, hold, file, value, beside.may).await
        }
        Work::Pull { path } => pull(desk, order, path, &beside.output).await,
        Work::Digest { path } => digest(desk, order, path).await,
        Work::Remove { path } => remove(desk, order, path).await,
        Work::List { folder } => list(desk, order, folder).await,
        Work::Exec(_) | Work::Unlock | Work::Config => Err(failed("this order is not about files")),
    }
}

/// How names beside the file begin under which it is written.
fn parts_of(path: &GuestPath) -> String {
    let (dir, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
    let name: String = name.chars().take(100).collect();
    format!("{dir}/.{name}")
}

/// One of them that nobody can foresee: what is written there is not yet the file.
fn part_of(path: &GuestPath) -> String {
    let random: [u8; 8] = crate::random().random();
    format!("{}.{}", parts_of(path), hex(&random))
}

async fn write(
    desk: &Arc<Desk>,
    order: &Order,
    hold: Hold,
    file: &DeliverFile,
    content: Zeroizing<Vec<u8>>,
    may: May,
) -> Result<Answer, Refusal> {
    if content.len() as u64 > CONTENT_MAX {
        return Err(failed(format!("{} bytes are more than {CONTENT_MAX}", content.len())));
    }
    let wanted = sha256(&content);
    if file.sha256.as_ref().is_some_and(|given| *given != wanted) {
        return Err(failed("the content that arrived has another digest than was announced"));
    }
    let path = file.path.as_str();
    let argv = scripts::write(&part_of(&file.path), path, file.owner.as_str(), &format!("{:o}", file.mode.bits()));
    let heading = format!("{wanted} {}\n", content.len());
    let input = Zeroizing::new([heading.as_bytes(), &content[..]].concat());
    let (said, saying) = mpsc::unbounded_channel();
    let (go, word) = oneshot::channel();
    let script = desk.write_script(&order.guest, argv, input, said, word);
    let (ran, decided) = tokio::join!(script, decide(desk, order, &hold, may, saying, go));
    decided?;
    let ran = ran?;
    refuse(desk, order, &format!("writing {path}"), &ran).await?;
    drop(hold);
    match ran.out.strip_prefix(scripts::STAGED).and_then(digest_of) {
        Some(got) if got == wanted => Ok(Answer::Written { sha256: got }),
        _ => Err(failed(format!("{path} was written, and reads back with another digest"))),
    }
}

/// Once the file lies whole beside its name, looks again whether it is wanted and in the guest that is meant; only then it gets its name.
async fn decide(
    desk: &Desk,
    order: &Order,
    hold: &Hold,
    may: May,
    mut saying: mpsc::UnboundedReceiver<Output>,
    go: oneshot::Sender<&'static [u8]>,
) -> Result<(), Refusal> {
    let mut said = Vec::new();
    while !said.starts_with(scripts::STAGED) {
        match saying.recv().await {
            Some((Stream::Out, bytes)) => said.extend_from_slice(&bytes),
            Some(_) => {}
            // The script has ended, and its exit code says why.
            None => return Ok(()),
        }
    }
    if !matches!(may().await, Ok(true)) {
        return Err(Refusal::TakenBack);
    }
    if !hold.is_held() {
        // Nothing kept the guest from being replaced meanwhile.
        desk.keys(&order.guest).await?;
    }
    let _ = go.send(scripts::GO);
    Ok(())
}

/// The first word that `sha256sum` printed.
fn digest_of(out: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(out).ok()?;
    text.split_whitespace().next().filter(|word| word.len() == 64).map(str::to_owned)
}

/// The refusal for a script that did not end well.
async fn refuse(desk: &Desk, order: &Order, doing: &str, ran: &Ran) -> Result<(), Refusal> {
    match ran.code {
        Some(0) => Ok(()),
        Some(scripts::IS_FOLDER) => Err(failed(format!("{doing} is refused: there is a folder of that name"))),
        Some(scripts::NOT_WANTED) => Err(Refusal::TakenBack),
        Some(scripts::OTHER_DIGEST) => Err(failed(format!("{doing} failed: other bytes arrived in the guest"))),
        _ => Err(desk.script_failed(&order.guest, doing, ran).await),
    }
}

async fn pull(desk: &Desk, order: &Order, path: &GuestPath, output: &Sender) -> Result<Answer, Refusal> {
    let ran = desk.script(&order.guest, scripts::pull(path.as_str()), Zeroizing::default(), CONTENT_MAX).await?;
    if ran.code == Some(scripts::NO_FILE) {
        return Err(failed(format!("there is no {path} in the guest")));
    }
    refuse(desk, order, &format!("reading {path}"), &ran).await?;
    if ran.cut {
        return Err(failed(format!("{path} has more than {CONTENT_MAX} bytes")));
    }
    let (bytes, digest) = (ran.out.len() as u64, sha256(&ran.out));
    if bytes > 0 {
        let _ = output.send((Stream::Out, ran.out.to_vec()));
    }
    Ok(Answer::Content { bytes, sha256: digest })
}

async fn digest(desk: &Desk, order: &Order, path: &GuestPath) -> Result<Answer, Refusal> {
    let ran =
        desk.script(&order.guest, scripts::digest(path.as_str()), Zeroizing::default(), SCRIPT_OUTPUT_MAX).await?;
    if ran.code == Some(scripts::NO_FILE) {
        return Ok(Answer::File { found: None });
    }
    let doing = format!("reading {path}");
    refuse(desk, order, &doing, &ran).await?;
    let text = String::from_utf8_lossy(&ran.out);
    let facts = text.lines().nth(1).and_then(|line| {
        let mut words = line.split_whitespace();
        let mode = u32::from_str_radix(words.next()?, 8).ok()?;
        Some((mode, words.next()?.to_owned(), words.next()?.to_owned()))
    });
    match (digest_of(&ran.out), facts) {
        (Some(sha256), Some((mode, owner, ids))) => {
            Ok(Answer::File { found: Some(FileFacts { sha256, mode, owner, ids }) })
        }
        _ => Err(failed(format!("{doing}: the guest's tools answered what cannot be read"))),
    }
}

async fn remove(desk: &Desk, order: &Order, path: &GuestPath) -> Result<Answer, Refusal> {
    let argv = scripts::remove(path.as_str(), &parts_of(path));
    let ran = desk.script(&order.guest, argv, Zeroizing::default(), SCRIPT_OUTPUT_MAX).await?;
    if ran.code == Some(scripts::NO_FILE) {
        return Ok(Answer::Removed { was_there: false });
    }
    refuse(desk, order, &format!("removing {path}"), &ran).await?;
    Ok(Answer::Removed { was_there: true })
}

async fn list(desk: &Desk, order: &Order, folder: &GuestPath) -> Result<Answer, Refusal> {
    let ran = desk.script(&order.guest, scripts::list(folder.as_str()), Zeroizing::default(), LIST_BYTES_MAX).await?;
    if ran.code == Some(scripts::NO_FILE) {
        return Ok(Answer::Files { paths: Vec::new() });
    }
    refuse(desk, order, &format!("listing {folder}"), &ran).await?;
    if ran.cut {
        return Err(failed(format!("{folder} has more files than fit into {LIST_BYTES_MAX} bytes")));
    }
    let names = ran.out.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut paths: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    paths.sort();
    Ok(Answer::Files { paths })
}
