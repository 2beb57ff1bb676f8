//! `rapidlaunch guest exec`, `cp` and `logs`: inside a guest, through the agent of its node.

use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rl_agent::{
    Account, Answer, CONTENT_MAX, CallError, Courier, DeliverFile, Exec, FileMode, Given, OUTPUT_MAX, Order, Owner,
    Post, Refusal, Stream, Work,
};
use rl_model::GuestPath;
use rl_ops::{Scope, observe};

use crate::cli::args::GuestRef;
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::work::agents;
use crate::work::data::Data;
use crate::work::guests;
use crate::work::operate;

/// Wait for an agent before it is said that it is waited for.
const QUIET_WAIT: Duration = Duration::from_millis(700);
/// Time for a file, and beside what a command may take.
const FILE_LIMIT: Duration = Duration::from_secs(120);
/// Most times an order is given again after its answer was lost.
const AGAIN_MAX: u32 = 50;
/// Most times a guest is looked for on another node: one that moves on while it is looked for is found where it comes to rest.
const MOVES_MAX: u32 = 5;
/// Pause before an order is given again.
const AGAIN_PAUSE: Duration = Duration::from_millis(300);
/// Exit code of a command that ran out of time, as `timeout` has it.
const TIMED_OUT: u8 = 124;
/// Shows the last lines of whatever log a guest keeps; the number of lines is its argument.
const LOGS: &str = r#"if command -v journalctl >/dev/null 2>&1; then exec journalctl --no-pager -n "$1"; fi
for file in /var/log/syslog /var/log/messages /var/log/*.log; do
  if [ -f "$file" ]; then tail -n "$1" "$file"; found=1; case $file in *syslog|*messages) exit 0;; esac; fi
done
[ -n "${found-}" ] || { echo "this guest keeps no log that is known here" >&2; exit 1; }
"#;

/// How long and by what way.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// How long to wait for an agent that is away
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = crate::cli::args::duration)]
    wait: Duration,
}

/// `guest exec`
#[derive(Debug, Clone, Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    guest: GuestRef,
    /// Account inside the guest [default: root]
    #[arg(long, short = 'u', value_name = "USER")]
    user: Option<Account>,
    /// Variable for the command, as NAME=VALUE; a value that is secret does not belong here
    #[arg(long, short = 'e', value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// End the command after this time
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = crate::cli::args::duration)]
    limit: Duration,
    /// Hand standard input on to the command
    #[arg(long, short = 'i')]
    stdin: bool,
    #[command(flatten)]
    wait: WaitArgs,
    /// The command, word by word; no shell reads it
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// `guest cp`
#[derive(Debug, Clone, Args)]
pub(crate) struct CpArgs {
    /// What to copy: FILE, or GUEST:/PATH
    #[arg(value_name = "FROM")]
    from: String,
    /// Where to: GUEST:/PATH, or FILE
    #[arg(value_name = "TO")]
    to: String,
    /// Permissions of the file in the guest, in octal digits [default: those of the file here]
    #[arg(long, value_name = "MODE", value_parser = octal)]
    mode: Option<FileMode>,
    /// Owner of the file in the guest
    #[arg(long, value_name = "USER[:GROUP]", default_value = "root:root")]
    owner: Owner,
    #[command(flatten)]
    wait: WaitArgs,
}

/// `guest logs`
#[derive(Debug, Clone, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    guest: GuestRef,
    /// How many lines
    #[arg(long, short = 'n', default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    lines: u32,
    #[command(flatten)]
    wait: WaitArgs,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no variable; write NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn octal(text: &str) -> Result<FileMode, String> {
    let bits = u32::from_str_radix(text, 8).map_err(|_| format!("`{text}` is no mode; write it as 0644"))?;
    FileMode::new(bits).map_err(|error| error.to_string())
}

/// Runs a command in a guest and ends as it does.
pub(crate) async fn exec(data: &Data, args: &ExecArgs, out: &Out) -> Result<(), CommandError> {
    let input = if args.stdin { read_all(std::io::stdin().lock(), "standard input")? } else { Vec::new() };
    let exec = Exec {
        argv: args.command.clone(),
        env: args.env.clone(),
        user: args.user.clone(),
        time_limit_s: u32::try_from(args.limit.as_secs().max(1)).unwrap_or(u32::MAX),
        output_max: OUTPUT_MAX,
    };
    run(data, &args.guest, exec, input, args.wait.wait, out).await
}

/// Shows a guest's log.
pub(crate) async fn logs(data: &Data, args: &LogsArgs, out: &Out) -> Result<(), CommandError> {
    let argv = ["/bin/sh", "-c", LOGS, "sh", &args.lines.to_string()].map(str::to_owned).to_vec();
    let exec = Exec { argv, env: Vec::new(), user: None, time_limit_s: 60, output_max: OUTPUT_MAX };
    run(data, &args.guest, exec, Vec::new(), args.wait.wait, out).await
}

async fn run(
    data: &Data,
    guest: &GuestRef,
    exec: Exec,
    input: Vec<u8>,
    wait: Duration,
    out: &Out,
) -> Result<(), CommandError> {
    let inside = Inside::of(data, guest, wait, out).await?;
    let limit = Duration::from_secs(exec.time_limit_s.into()) + FILE_LIMIT;
    let ended = match inside.ask(Work::Exec(exec), input, limit, true).await? {
        (Answer::Ended(ended), _) => ended,
        (other, _) => return Err(CommandError::failed(format!("the agent answered something else: {other:?}"))),
    };
    if ended.output_lost {
        out.say("The command ran, and its output is no longer known: the agent was started anew meanwhile.");
    }
    if ended.cut {
        out.say(&format!("There was more output; only the first {OUTPUT_MAX} bytes are shown."));
    }
    if ended.timed_out {
        out.say("The command ran out of time and was ended.");
        return Err(CommandError::said(ErrorKind::Inside(TIMED_OUT)));
    }
    match ended.code {
        Some(0) => Ok(()),
        code => {
            Err(CommandError::said(ErrorKind::Inside(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255))))
        }
    }
}

/// Copies a file into a guest or out of it.
pub(crate) async fn cp(data: &Data, args: &CpArgs, out: &Out) -> Result<(), CommandError> {
    match (inside_path(&args.from), inside_path(&args.to)) {
        (None, Some((guest, path))) => push(data, args, guest, path, out).await,
        (Some((guest, path)), None) => pull(data, args, guest, path, out).await,
        _ => Err(CommandError::input("one side must be GUEST:/PATH and the other a file here")
            .hinted("as in `rapidlaunch guest cp app.conf web-1:/etc/app.conf`")),
    }
}

/// `GUEST:/PATH`, where it is one.
fn inside_path(text: &str) -> Option<(GuestRef, GuestPath)> {
    let (guest, path) = text.split_once(':')?;
    let is_name = !guest.is_empty() && !guest.starts_with(['.', '/']);
    let path = path.parse().ok().filter(|_| is_name)?;
    Some((GuestRef { guest: guest.to_owned() }, path))
}

async fn push(data: &Data, args: &CpArgs, guest: GuestRef, path: GuestPath, out: &Out) -> Result<(), CommandError> {
    let from = Path::new(&args.from);
    let wrong = || CommandError::input(format!("{} cannot be read", from.display()));
    let file = std::fs::File::open(from).map_err(|error| wrong().because(error))?;
    let meta = file.metadata().map_err(|error| wrong().because(error))?;
    let content = read_all(file, &args.from)?;
    let mode = match args.mode {
        Some(mode) => mode,
        None => FileMode::new(meta.permissions().mode() & 0o777).map_err(|error| wrong().because(error))?,
    };
    let sha256 = Some(rl_agent::seal::sha256(&content));
    let inside = Inside::of(data, &guest, args.wait.wait, out).await?;
    let file = DeliverFile { path: path.clone(), mode, owner: args.owner.clone(), sha256 };
    inside.ask(Work::Push(file), content, FILE_LIMIT, false).await?;
    out.say(&format!("Copied {} to {}:{path}.", args.from, guest.guest));
    Ok(())
}

async fn pull(data: &Data, args: &CpArgs, guest: GuestRef, path: GuestPath, out: &Out) -> Result<(), CommandError> {
    let inside = Inside::of(data, &guest, args.wait.wait, out).await?;
    let (answer, content) = inside.ask(Work::Pull { path: path.clone() }, Vec::new(), FILE_LIMIT, false).await?;
    let whole = matches!(&answer, Answer::Content { sha256, .. } if *sha256 == rl_agent::seal::sha256(&content));
    if !whole {
        return Err(CommandError::failed(format!("{path} did not arrive whole")).hinted("try again"));
    }
    let mut to = PathBuf::from(&args.to);
    if to.is_dir() {
        to.push(Path::new(path.as_str()).file_name().unwrap_or_default());
    }
    let part = to.with_file_name(format!(".{}.part", to.file_name().unwrap_or_default().to_string_lossy()));
    let written = (|| {
        let _ = std::fs::remove_file(&part);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
        file.write_all(&content)?;
        file.sync_all()?;
        std::fs::rename(&part, &to)
    })();
    written.map_err(|error| CommandError::failed(format!("{} cannot be written", to.display())).because(error))?;
    out.say(&format!("Copied {}:{path} to {}.", guest.guest, to.display()));
    Ok(())
}

fn read_all(from: impl Read, name: &str) -> Result<Vec<u8>, CommandError> {
    let mut content = Vec::new();
    from.take(CONTENT_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|error| CommandError::input(format!("{name} cannot be read")).because(error))?;
    if content.len() as u64 > CONTENT_MAX {
        return Err(CommandError::input(format!("{name} has more than {CONTENT_MAX} bytes"))
            .hinted("larger files travel better through the network of the guest"));
    }
    Ok(content)
}

/// One guest, and the way into it.
struct Inside<'a> {
    courier: std::sync::Arc<dyn Courier>,
    _way: agents::Way,
    data: &'a Data,
    target: rl_ops::Target,
    job: String,
    wait: Duration,
    out: &'a Out,
}

impl<'a> Inside<'a> {
    async fn of(data: &'a Data, guest: &GuestRef, wait: Duration, out: &'a Out) -> Result<Self, CommandError> {
        let record = guests::find(data, &guest.guest).await?;
        let target = guests::target(data, &record)?;
        let way = agents::way(data).await?;
        let courier = way.courier().ok_or_else(|| {
            CommandError::failed("no process of this installation serves agents now")
                .hinted("start `rapidlaunch serve --agents ADDR`, or give --agents ADDR to this command")
        })?;
        let job = format!("cli-{}", ulid::Ulid::generate());
        Ok(Self { courier, _way: way, data, target, job, wait, out })
    }

    /// Has work done, giving the same order again where an answer was lost. Answers what came of it, with the output where it was
    /// not printed.
    async fn ask(
        &self,
        work: Work,
        input: Vec<u8>,
        limit: Duration,
        print: bool,
    ) -> Result<(Answer, Vec<u8>), CommandError> {
        let order = Order {
            key: self.job.clone(),
            job: self.job.clone(),
            fence: 1,
            guest: self.target.for_agent(self.target.vmid),
            work,
        };
        let (mut post, mut moved, mut shown, mut tries, mut wait) =
            (self.target.post(), 0, Shown::default(), 0, QUIET_WAIT);
        loop {
            let (mut given, mut output) = Given::listening();
            given.input.extend_from_slice(&input);
            let call = self.courier.call(&post, order.clone(), given, wait, limit);
            let taken = async {
                let (mut content, mut sizes) = (Vec::new(), [0; 2]);
                while let Some((stream, bytes)) = output.recv().await {
                    if print {
                        shown.print(stream, &bytes, &mut sizes);
                    } else {
                        content.extend_from_slice(&bytes);
                    }
                }
                content
            };
            let (answer, content) = tokio::join!(call, taken);
            match answer {
                Ok(answer) => return Ok((answer, content)),
                Err(away @ CallError::Away { .. }) if wait < self.wait => {
                    self.out.say(&away.to_string());
                    wait = self.wait;
                }
                Err(CallError::Lost { .. }) if tries < AGAIN_MAX => {
                    (tries, wait) = (tries + 1, self.wait);
                    tokio::time::sleep(AGAIN_PAUSE).await;
                }
                Err(CallError::Refused { refusal: Refusal::NotHere { .. }, .. }) if moved < MOVES_MAX => {
                    moved += 1;
                    post = self.where_it_is().await?;
                }
                Err(error) => return Err(told(error)),
            }
        }
    }

    /// The node the guest lies on now, as its site says.
    async fn where_it_is(&self) -> Result<Post, CommandError> {
        let sites = guests::connect_sites(self.data, [self.target.site.clone()], self.out).await?;
        let unseen = |error: rl_ops::ObserveError| CommandError::failed("the site cannot be read").because(error);
        let observed = observe(&sites, &Scope::default(), operate::now_ms()).await.map_err(unseen)?;
        let guest = observed.sites.get(&self.target.site).and_then(|site| site.guests.get(&self.target.vmid));
        match guest {
            Some(guest) => Ok(Post { site: self.target.site.clone(), node: guest.node.clone() }),
            None => Err(CommandError::failed(format!("{} is not there any more", self.target.stamp.name))
                .hinted("plan its stack again")),
        }
    }
}

/// What was printed already: an order that is given again brings its output again from the beginning.
#[derive(Default)]
struct Shown([usize; 2]);

impl Shown {
    fn print(&mut self, stream: Stream, bytes: &[u8], sizes: &mut [usize; 2]) {
        let at = usize::from(stream == Stream::Err);
        let skip = self.0[at].saturating_sub(sizes[at]).min(bytes.len());
        sizes[at] += bytes.len();
        self.0[at] = self.0[at].max(sizes[at]);
        let fresh = &bytes[skip..];
        // A reader that went away does not keep the command from being followed to its end.
        let _ = match stream {
            Stream::Out => std::io::stdout().write_all(fresh).and_then(|()| std::io::stdout().flush()),
            Stream::Err => std::io::stderr().write_all(fresh),
        };
    }
}

fn told(error: CallError) -> CommandError {
    let text = error.to_string();
    match error {
        CallError::NoAgent { post } => CommandError::blocked(text).hinted(format!(
            "make a token with `rapidlaunch agent token --site {} --node {}` and start `rapidlaunch agent` there",
            post.site, post.node
        )),
        CallError::Malformed { .. } => CommandError::input(text),
        CallError::Refused { refusal: Refusal::NotOurs { .. }, .. } => {
            CommandError::blocked(text).hinted("nothing was done to it; `rapidlaunch guest show` shows what is there")
        }
        CallError::Refused { refusal: Refusal::NotRunning { .. }, .. } => {
            CommandError::failed(text).hinted("start it with `rapidlaunch guest start`")
        }
        _ => CommandError::failed(text),
    }
}
