//! `rapidlaunch schedule …`

use clap::{Args, Subcommand, ValueEnum};
use rl_engine::schedule::CATCH_UP_DEFAULT;
use rl_engine::{MissedPolicy, ScheduleName, ScheduleRecord, UnixMs};
use rl_ops::GuestVerb;
use serde_json::{Value, json};

use crate::cli::args::{Global, GuestRef};
use crate::env;
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::work::data::Data;
use crate::work::schedules::{self, NewSchedule, refused};
use crate::work::{guests, runner};

/// `schedule …`
#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// List schedules
    Ls,
    /// Add a schedule, or replace the one of its name
    Set(SetArgs),
    /// Stop a schedule; times that pass are not made up for
    Pause(Named),
    /// Let a stopped schedule go on
    Resume(Named),
    /// Remove a schedule; what it has started goes on
    Rm(Named),
}

/// A schedule.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The schedule
    #[arg(value_name = "NAME")]
    name: ScheduleName,
}

/// `schedule set`
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// The schedule: lower-case letters, digits and dashes
    #[arg(value_name = "NAME")]
    name: ScheduleName,
    /// When, as a cron pattern of five fields: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "PATTERN")]
    at: String,
    /// Time zone of the pattern
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
    /// What becomes of times at which nothing could be started
    #[arg(long, value_enum, default_value_t = Missed::Skip)]
    missed: Missed,
    /// Most missed times that `catch-up` makes up for
    #[arg(long, value_name = "N", default_value_t = CATCH_UP_DEFAULT)]
    catch_up_max: u32,
    /// What is done to the guest
    #[arg(value_enum)]
    act: Act,
    #[command(flatten)]
    guest: GuestRef,
}

/// What becomes of missed times.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Missed {
    /// They are left out
    Skip,
    /// All together are made up for once
    Coalesce,
    /// Each is made up for, oldest first
    CatchUp,
}

/// What a schedule can do to a guest.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Act {
    /// Start it
    Start,
    /// Shut it down
    Stop,
    /// Shut it down and start it again
    Restart,
}

/// Sets up schedules, which `rapidlaunch serve` carries out.
pub(crate) async fn run(global: &Global, command: &ScheduleCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        ScheduleCommand::Ls => list(&Data::look(global).await?, out).await,
        ScheduleCommand::Set(args) => set(&Data::open(global).await?, args, out).await,
        ScheduleCommand::Pause(Named { name }) => pause(&Data::open(global).await?, name, true, out).await,
        ScheduleCommand::Resume(Named { name }) => pause(&Data::open(global).await?, name, false, out).await,
        ScheduleCommand::Rm(Named { name }) => {
            let data = Data::open(global).await?;
            data.journal().remove_schedule(name.clone()).await.map_err(refused)?;
            done(out, name, "removed", None)
        }
    }
}

async fn set(data: &Data, args: &SetArgs, out: &Out) -> Result<(), CommandError> {
    let at = schedules::timetable(&args.at, &args.zone)
        .map_err(|error| error.hinted("for every night at three: --at '0 3 * * *'"))?;
    let record = guests::find(data, &args.guest.guest).await?;
    let verb = match args.act {
        Act::Start => GuestVerb::Start,
        Act::Stop => GuestVerb::Stop,
        Act::Restart => GuestVerb::Restart,
    };
    let missed = match args.missed {
        Missed::Skip => MissedPolicy::Skip,
        Missed::Coalesce => MissedPolicy::Coalesce,
        Missed::CatchUp => MissedPolicy::CatchUp,
    };
    let new = NewSchedule { name: args.name.clone(), at, missed, catch_up_max: args.catch_up_max, verb };
    let next = schedules::set(data, new, &record, env::actor()).await?;
    done(out, &args.name, "set", next)
}

async fn pause(data: &Data, name: &ScheduleName, paused: bool, out: &Out) -> Result<(), CommandError> {
    data.journal().pause_schedule(name.clone(), paused, runner::now()).await.map_err(refused)?;
    let all = data.journal().schedules().await.map_err(refused)?;
    let next = all.into_iter().find(|record| record.spec.name == *name && !paused).and_then(|record| record.next_at);
    done(out, name, if paused { "paused" } else { "resumed" }, next)
}

fn done(out: &Out, name: &ScheduleName, what: &str, next: Option<UnixMs>) -> Result<(), CommandError> {
    if out.json() {
        out.print_json(&json!({ "schedule": name, "done": what, "next_at": next.map(time) }));
    } else {
        let next = next.map(|next| format!("; next at {}", time(next))).unwrap_or_default();
        out.say(&format!("Schedule {name} is {what}{next}."));
    }
    Ok(())
}

async fn list(data: &Data, out: &Out) -> Result<(), CommandError> {
    let all = data.journal().schedules().await.map_err(refused)?;
    if out.json() {
        out.print_json(&json!({ "schedules": all.iter().map(shown).collect::<Vec<Value>>() }));
        return Ok(());
    }
    let rows = all
        .iter()
        .map(|record| {
            let (spec, state) = (&record.spec, &record.state);
            vec![
                spec.name.to_string(),
                format!("{} {}", spec.at.cron(), spec.at.tz()),
                if record.paused { "paused".to_owned() } else { record.next_at.map(time).unwrap_or_default() },
                spec.operation.summary.clone(),
                state.fired.to_string(),
                state.missed.to_string(),
                state.problem.clone().unwrap_or_default(),
            ]
        })
        .collect();
    out.print(&table(&["schedule", "at", "next", "starts", "fired", "missed", "problem"], rows));
    Ok(())
}

fn shown(record: &ScheduleRecord) -> Value {
    let (spec, state) = (&record.spec, &record.state);
    json!({
        "name": spec.name, "at": spec.at.cron(), "zone": spec.at.tz(), "missed": spec.missed, "catch_up_max": spec.catch_up_max,
        "starts": spec.operation.summary, "stack": spec.operation.subject, "paused": record.paused,
        "next_at": record.next_at.filter(|_| !record.paused).map(time),
        "last_at": state.last_at.map(time), "last_operation": state.last_operation,
        "fired": state.fired, "left_out": state.missed, "problem": state.problem,
    })
}

/// A moment as RFC 3339 writes it.
fn time(at: UnixMs) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}
