//! `rapidlaunch schedule …`

use clap::{Args, Subcommand, ValueEnum};
use rl_engine::schedule::CATCH_UP_DEFAULT;
use rl_engine::{MissedPolicy, ScheduleName};
use rl_ops::GuestVerb;
use serde_json::{Value, json};

use crate::cli::args::{Global, GuestRef};
use crate::error::CommandError;
use crate::out::Out;
use crate::render::table::table;
use crate::shape::schedule::ScheduleShape;
use crate::side::Side;
use crate::work::schedules::{self, NewSchedule};

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
        ScheduleCommand::Ls => list(&Side::look(global, out).await?, out).await,
        ScheduleCommand::Set(args) => set(&Side::open(global, out).await?, args, out).await,
        ScheduleCommand::Pause(Named { name }) => {
            let schedule = Side::open(global, out).await?.turn_schedule(name, true).await?;
            done(out, name, "paused", schedule.next_at_ms)
        }
        ScheduleCommand::Resume(Named { name }) => {
            let schedule = Side::open(global, out).await?.turn_schedule(name, false).await?;
            done(out, name, "resumed", schedule.next_at_ms)
        }
        ScheduleCommand::Rm(Named { name }) => {
            Side::open(global, out).await?.remove_schedule(name).await?;
            done(out, name, "removed", None)
        }
    }
}

async fn set(side: &Side, args: &SetArgs, out: &Out) -> Result<(), CommandError> {
    let at = schedules::timetable(&args.at, &args.zone)
        .map_err(|error| error.hinted("for every night at three: --at '0 3 * * *'"))?;
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
    let schedule = side.set_schedule(new, &args.guest).await?;
    done(out, &args.name, "set", schedule.next_at_ms)
}

fn done(out: &Out, name: &ScheduleName, what: &str, next: Option<u64>) -> Result<(), CommandError> {
    if out.json() {
        out.print_json(&json!({ "schedule": name, "done": what, "next_at": next.map(time) }));
    } else {
        let next = next.map(|next| format!("; next at {}", time(next))).unwrap_or_default();
        out.say(&format!("Schedule {name} is {what}{next}."));
    }
    Ok(())
}

async fn list(side: &Side, out: &Out) -> Result<(), CommandError> {
    let all = side.schedules().await?;
    if out.json() {
        out.print_json(&json!({ "schedules": all.iter().map(shown).collect::<Vec<Value>>() }));
        return Ok(());
    }
    let row = |schedule: ScheduleShape| {
        let next =
            if schedule.paused { "paused".to_owned() } else { schedule.next_at_ms.map(time).unwrap_or_default() };
        vec![
            schedule.name,
            format!("{} {}", schedule.at, schedule.zone),
            next,
            schedule.starts,
            schedule.fired.to_string(),
            schedule.left_out.to_string(),
            schedule.problem.unwrap_or_default(),
        ]
    };
    let rows = all.into_iter().map(row).collect();
    out.print(&table(&["schedule", "at", "next", "starts", "fired", "missed", "problem"], rows));
    Ok(())
}

fn shown(schedule: &ScheduleShape) -> Value {
    json!({
        "name": schedule.name, "at": schedule.at, "zone": schedule.zone, "missed": schedule.missed,
        "catch_up_max": schedule.catch_up_max, "starts": schedule.starts, "stack": schedule.stack, "paused": schedule.paused,
        "next_at": schedule.next_at_ms.map(time), "last_at": schedule.last_at_ms.map(time),
        "last_operation": schedule.last_operation, "fired": schedule.fired, "left_out": schedule.left_out,
        "problem": schedule.problem,
    })
}

/// A moment as RFC 3339 writes it.
fn time(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}
