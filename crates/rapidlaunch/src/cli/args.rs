//! What the command line accepts. First lines are imperative and without a full stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rl_model::{GuestName, StackName};

/// Launch and look after containers on Proxmox VE
#[derive(Debug, Parser)]
#[command(name = "rapidlaunch", version, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Directory that holds stacks, operations and leases [default: $XDG_STATE_HOME/rapidlaunch]
    #[arg(long, global = true, env = "RAPIDLAUNCH_DATA", value_name = "DIR", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,
    /// PostgreSQL database to use instead of a directory, as postgres://USER@HOST/DATABASE; without the password
    /// [env: RAPIDLAUNCH_DATABASE]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// File with the key that decrypts the secrets of the store [default: secrets.key in the data directory]
    #[arg(long, global = true, env = "RAPIDLAUNCH_IDENTITY", value_name = "FILE", hide_env_values = true)]
    pub(crate) identity: Option<PathBuf>,
    /// Listen here for the agents of nodes while the command runs, as 0.0.0.0:8443
    #[arg(long, global = true, env = "RAPIDLAUNCH_AGENTS", value_name = "ADDR", hide_env_values = true)]
    pub(crate) agents: Option<SocketAddr>,
    /// Answer DNS questions about built-in zones here while the command runs, as 0.0.0.0:53
    #[arg(long, global = true, env = "RAPIDLAUNCH_DNS", value_name = "ADDR", hide_env_values = true)]
    pub(crate) dns: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) remote: crate::remote::ServerArgs,
    /// How results are printed
    #[arg(long, short = 'o', global = true, value_enum, default_value_t = OutputFormat::Text)]
    pub(crate) output: OutputFormat,
    /// Say more on stderr (-v: what is done, -vv: every request)
    #[arg(long, short = 'v', global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = ColourChoice::Auto, value_name = "WHEN")]
    pub(crate) color: ColourChoice,
}

/// Form of the printed result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people
    Text,
    /// One JSON document on stdout
    Json,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColourChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check stack files without contacting anything
    Validate(Files),
    /// Show what apply would do
    Plan(PlanArgs),
    /// Make a stack be as declared, and prove it
    Apply(ApplyArgs),
    /// Remove every guest of a stack
    Destroy(DestroyArgs),
    /// Read a stack back and compare every item
    Verify(StackRef),
    /// Tell what no longer matches the last apply (exit code 3 if anything)
    Drift(DriftArgs),
    /// List, watch, cancel and retry operations
    #[command(subcommand)]
    Op(crate::cli::op::OpCommand),
    /// Declare, list, check and remove sites
    #[command(subcommand)]
    Site(crate::cli::site::SiteCommand),
    /// List guests and act on one
    #[command(subcommand)]
    Guest(GuestCommand),
    /// Set, rotate, list and remove secrets; never shows a value
    #[command(subcommand)]
    Secret(crate::cli::secret::SecretCommand),
    /// Run as the agent of a node; make join tokens, list and revoke agents
    Agent(crate::cli::agent::AgentArgs),
    /// Explain what a site's firewall does
    #[command(subcommand)]
    Firewall(crate::cli::firewall::FirewallCommand),
    /// List stored stacks, and say who must approve their plans and whose quota counts them
    #[command(subcommand)]
    Stack(crate::cli::stack::StackCommand),
    /// Limit what the stacks of one owner may have together
    #[command(subcommand)]
    Quota(crate::cli::quota::QuotaCommand),
    /// Start, stop and restart guests at set times
    #[command(subcommand)]
    Schedule(crate::cli::schedule::ScheduleCommand),
    /// Carry out what others start, until told to end
    Serve(Box<crate::cli::serve::ServeArgs>),
    #[command(flatten)]
    Access(crate::cli::access::AccessCommand),
    /// Check, copy and look into stores
    #[command(subcommand)]
    Store(crate::cli::store::StoreCommand),
    /// Launch the example stacks on two simulated sites
    Demo(DemoArgs),
    /// Run a simulated Proxmox VE site
    Sim(SimArgs),
    /// Print the JSON Schema of stack files
    Schema,
    /// Print the OpenAPI document of the server
    Openapi,
    /// Print a completion script
    Completion {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Measure, one JSON line per figure
    #[command(hide = true)]
    Bench(BenchArgs),
}

/// Files to read.
#[derive(Debug, Clone, Args)]
pub(crate) struct Files {
    /// Stack or site file; `-` reads standard input; may be given several times
    #[arg(long = "file", short = 'f', value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// A stack by files or by name.
#[derive(Debug, Clone, Args)]
pub(crate) struct StackRef {
    /// Name of a stack applied before; with files, the one stack of theirs to take
    #[arg(value_name = "STACK")]
    pub(crate) stack: Option<StackName>,
    /// Stack or site file; `-` reads standard input; may be given several times
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// What a person allows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PolicyArgs {
    /// Allow this guest to be destroyed and made anew where a change needs it
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_replace: Vec<GuestName>,
    /// Allow the data volumes of this guest to be lost
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_data_loss: Vec<GuestName>,
    /// Let changes that need a restart wait for the guest's next start
    #[arg(long)]
    pub(crate) no_restart: bool,
    /// Let more than 30 % of a zone's DNS records change or go at once
    #[arg(long)]
    pub(crate) allow_dns_mass_change: bool,
    /// Go on without these declared sections, which this release cannot carry out
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SECTION")]
    pub(crate) without: Vec<SectionArg>,
}

/// A section of a stack file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SectionArg {
    /// Firewall rules
    Firewall,
    /// DNS records
    Dns,
    /// Granted secrets
    Secrets,
}

/// `plan`
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) stack: StackRef,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// Exit with 3 when there is anything to do
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// Read the configuration of every guest, however many there are
    #[arg(long)]
    pub(crate) deep: bool,
    /// Plan the removal of the whole stack
    #[arg(long)]
    pub(crate) destroy: bool,
}

/// `apply`
#[derive(Debug, Clone, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) stack: StackRef,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// Carry out what can be done, and leave out what is blocked
    #[arg(long)]
    pub(crate) partial: bool,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Read the configuration of every guest, however many there are
    #[arg(long)]
    pub(crate) deep: bool,
    /// Only start it; `rapidlaunch serve` carries it out
    #[arg(long)]
    pub(crate) detach: bool,
}

/// Reads a time such as `90s` or `2m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time above zero; write it as 90s or 2m");
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).ok().filter(|span| !span.is_zero()).ok_or_else(wrong)
}

/// `destroy`
#[derive(Debug, Clone, Args)]
pub(crate) struct DestroyArgs {
    #[command(flatten)]
    pub(crate) stack: StackRef,
    /// Allow the data volumes of this guest to be lost
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_data_loss: Vec<GuestName>,
    /// Let more than 30 % of a zone's DNS records go at once
    #[arg(long)]
    pub(crate) allow_dns_mass_change: bool,
    /// Do not ask
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Only start it; `rapidlaunch serve` carries it out
    #[arg(long)]
    pub(crate) detach: bool,
}

/// `drift`
#[derive(Debug, Clone, Args)]
pub(crate) struct DriftArgs {
    /// The stack; all when left out
    #[arg(value_name = "STACK")]
    pub(crate) stack: Option<StackName>,
}

/// A guest by stack and name.
#[derive(Debug, Clone, Args)]
pub(crate) struct GuestRef {
    /// The guest: its name, or STACK/NAME where several stacks have one of that name
    #[arg(value_name = "GUEST")]
    pub(crate) guest: String,
}

/// `guest …`
#[derive(Debug, Subcommand)]
pub(crate) enum GuestCommand {
    /// List guests
    Ls {
        /// Only those of this stack
        #[arg(value_name = "STACK")]
        stack: Option<StackName>,
    },
    /// Show one guest as it is now
    Show(GuestRef),
    /// Start a guest
    Start(GuestRef),
    /// Shut a guest down
    Stop(GuestRef),
    /// Shut a guest down and start it again
    Restart(GuestRef),
    /// Run a command in a guest, through the agent of its node
    Exec(crate::cli::inside::ExecArgs),
    /// Copy a file into a guest or out of it; the guest's side is GUEST:/PATH
    Cp(crate::cli::inside::CpArgs),
    /// Show the last lines of a guest's log
    Logs(crate::cli::inside::LogsArgs),
    /// Make, list, remove and return to snapshots
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
}

/// `guest snapshot …`
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List the snapshots of a guest
    Ls(GuestRef),
    /// Make a snapshot
    Create(SnapshotRef),
    /// Remove a snapshot
    Rm(SnapshotRef),
    /// Return to a snapshot; what was written since is lost
    Rollback {
        #[command(flatten)]
        snapshot: SnapshotRef,
        /// Do not ask
        #[arg(long, short = 'y')]
        yes: bool,
    },
}

/// A snapshot of a guest.
#[derive(Debug, Clone, Args)]
pub(crate) struct SnapshotRef {
    #[command(flatten)]
    pub(crate) guest: GuestRef,
    /// Name of the snapshot
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) name: String,
}

/// `demo`
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Do not stay up afterwards
    #[arg(long)]
    pub(crate) once: bool,
    /// How many times faster than real nodes the simulated ones work
    #[arg(long, default_value_t = 20.0, value_name = "FACTOR")]
    pub(crate) speed: f64,
    /// Begin anew, even if an earlier demo was interrupted
    #[arg(long)]
    pub(crate) fresh: bool,
}

/// `sim`
#[derive(Debug, Clone, Args)]
pub(crate) struct SimArgs {
    /// Address of the first node's API; the other nodes take the ports that follow, or any where the port is 0
    #[arg(long, default_value = "127.0.0.1:8006", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// How many nodes, where no state is given
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) nodes: usize,
    /// JSON file with nodes, storages, templates, bridges, users, roles, tokens, ACLs, pools and guests to start from
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// JSON file with faults
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// How many times faster than real nodes operations run
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub(crate) speed: f64,
    /// Address of the control endpoint; any free port of the loopback interface when left out
    #[arg(long, value_name = "ADDR")]
    pub(crate) control: Option<SocketAddr>,
    /// End when no request came for this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) exit_after_idle: Option<u64>,
}

/// `bench`
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArgs {
    /// Only figures whose name contains one of these
    #[arg(value_name = "METRIC")]
    pub(crate) only: Vec<String>,
}
