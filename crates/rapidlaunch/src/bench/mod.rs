//! Figures, measured: one JSON line each. The program under measurement is a process of its own, started as a user would; the
//! simulated site runs in this process.

mod api;
mod child;
mod delivery;
mod dns;
mod firewall;
mod load;
mod operations;
mod peers;
mod postgres;
mod store;
mod submits;
mod worker;
mod world;

use serde_json::json;

use crate::cli::args::BenchArgs;
use crate::error::CommandError;
use crate::out::Out;

use child::{Measured, RapidLaunch};
use world::World;

/// Times a short command is run; the median counts.
const SHORT_RUNS: usize = 21;
/// How many times faster than real nodes those of `apply_1000` work.
const APPLY_SPEED: f64 = 10.0;
/// How many times faster those work that only have to be filled.
const FILL_SPEED: f64 = 2_000.0;

/// Operations of `ops_2000`.
const OPERATIONS: usize = 2_000;
/// Jobs in flight in one process.
const IN_FLIGHT: usize = 10_000;

/// Runs the benches whose figures were asked for.
pub(crate) async fn run(args: &BenchArgs, out: &Out) -> Result<(), CommandError> {
    if let Some(served) = worker::serve(out).await {
        return served;
    }
    if let Some(served) = operations::serve(out).await {
        return served;
    }
    let wanted = |names: &[&str]| {
        args.only.is_empty() || args.only.iter().any(|only| names.iter().any(|name| name.contains(only.as_str())))
    };
    if wanted(&["cli_start_ms"]) {
        cli_start(out).await?;
    }
    if wanted(&["apply_1000_s", "apply_1000_ratio", "api_calls_per_container", "rss_apply_1000_mb"]) {
        apply_1000(out).await?;
    }
    if wanted(&["plan_noop_10000_s", "plan_noop_10000_requests_per_site"]) {
        plan_10000(out).await?;
    }
    if wanted(&["firewall_noop_calls_per_guest", "firewall_noop_calls_shared"]) {
        firewall::noop(out).await?;
    }
    if wanted(&["submit_durable_per_s_64"]) {
        submits(out).await?;
    }
    if wanted(&["journaled_jobs_per_s_1024", "start_latency_ms_p99"]) {
        jobs(out).await?;
    }
    if wanted(&["pg_journaled_jobs_per_s", "pg_plain_claim_complete_per_s"])
        && let Some((ours, plain)) = postgres::jobs().await?
    {
        figure(out, "pg_journaled_jobs_per_s", ours, "1/s", "see the ratio");
        figure(out, "pg_plain_claim_complete_per_s", plain, "1/s", "peer");
        figure(out, "pg_journaled_jobs_to_plain", ours / plain, "1", ">= 3");
    }
    if wanted(&["secret_delivery_ms_p99"]) {
        let world = World::on_disk()?;
        figure(out, "secret_delivery_ms_p99", delivery::p99(&world.data()).await?, "ms", "<= 50");
    }
    if wanted(&["dns_answer_qps", "dns_answers_in_memory_per_s"]) {
        let world = World::on_disk()?;
        let measured = dns::answers(&world.data()).await?;
        figure(out, "dns_answer_qps", measured.answers, "1/s", ">= 30000");
        figure(out, "dns_answers_in_memory_per_s", measured.packets, "1/s", "see dns_answer_qps");
    }
    if wanted(&["ops_2000_s", "ops_2000_rss_mb"]) {
        ops_2000(out).await?;
    }
    if wanted(&["serve_ready_ms", "idle_rss_mb", "http_get_operation_per_s_64"]) {
        served(out).await?;
    }
    if wanted(&["submit_http_per_s_64", "submit_http_ms_p99"]) {
        submits_over_https(out).await?;
    }
    if wanted(&["events_followers_10000_rss_mb"]) {
        let world = World::on_disk()?;
        let rss = load::followers(&world.data()).await?;
        figure(out, "events_followers_10000_rss_mb", rss as f64 / 1e6, "MB", "see docs/performance.md");
    }
    if wanted(&["ui_gzip_kb"]) {
        let world = World::on_disk()?;
        figure(out, "ui_gzip_kb", load::page(&world.data()).await? as f64 / 1024.0, "KiB", "< 300");
    }
    if wanted(&["rss_10000_inflight_mb", "recovery_10000_inflight_s", "engine_idle_rss_mb", "idle_cpu_percent"]) {
        processes(out).await?;
    }
    Ok(())
}

/// Durable submits, and peers on the same disk.
async fn submits(out: &Out) -> Result<(), CommandError> {
    let world = World::on_disk()?;
    let rate = store::submits(&world.data()).await?;
    figure(out, "submit_durable_per_s_64", rate, "1/s", ">= 75000");
    let single = peers::unshared(&world.data().join("unshared")).await?;
    figure(out, "submit_durable_per_s_64_to_unshared_commits", rate / single, "1", ">= 15");
    if let Some(redis) = peers::redis(&world.data().join("redis")).await? {
        figure(out, "redis_lpush_always_per_s_64", redis, "1/s", "peer");
        figure(out, "submit_durable_per_s_64_to_redis_always", rate / redis, "1", ">= 1");
    }
    Ok(())
}

async fn jobs(out: &Out) -> Result<(), CommandError> {
    let world = World::on_disk()?;
    figure(out, "journaled_jobs_per_s_1024", store::jobs(&world.data()).await?, "1/s", ">= 20000");
    figure(out, "start_latency_ms_p99", store::start_latency(&world.data()).await?, "ms", "<= 2");
    Ok(())
}

/// Operations that are started at once and followed to their end.
async fn ops_2000(out: &Out) -> Result<(), CommandError> {
    let world = World::on_disk()?;
    let measured = operations::operations(&world.data(), OPERATIONS).await?;
    figure(out, "ops_2000_s", measured.took_s, "s", "<= 5.5");
    figure(out, "ops_2000_rss_mb", measured.rss_bytes as f64 / 1e6, "MB", "<= 64");
    Ok(())
}

async fn processes(out: &Out) -> Result<(), CommandError> {
    let world = World::on_disk()?;
    let (rss, recovered) = worker::in_flight(&world.data().join("inflight"), IN_FLIGHT).await?;
    figure(out, "rss_10000_inflight_mb", rss as f64 / 1e6, "MB", "<= 64");
    figure(out, "recovery_10000_inflight_s", recovered.as_secs_f64(), "s", "<= 5");
    let (rss, share) = worker::idle(&world.data().join("idle")).await?;
    figure(out, "engine_idle_rss_mb", rss as f64 / 1e6, "MB", "<= 20");
    figure(out, "idle_cpu_percent", share, "%", "~ 0");
    Ok(())
}

/// A server with its API.
async fn served(out: &Out) -> Result<(), CommandError> {
    let world = World::start(1, FILL_SPEED, 10).await?;
    let run = RapidLaunch::new(&world, FILL_SPEED);
    let applied = run.run(&["apply", "--yes", "--output", "json", "--file", world.stack()]).await?;
    succeeded(&applied, "apply of 10 containers")?;
    let (ready, rss) = api::ready(&world.data()).await?;
    figure(out, "serve_ready_ms", ready, "ms", "< 100");
    figure(out, "idle_rss_mb", rss as f64 / 1e6, "MB", "< 30");
    figure(out, "http_get_operation_per_s_64", api::reads(&world.data()).await?, "1/s", "see docs/performance.md");
    Ok(())
}

/// Operations started through the API.
async fn submits_over_https(out: &Out) -> Result<(), CommandError> {
    let world = World::start(1, FILL_SPEED, 1).await?;
    let run = RapidLaunch::new(&world, FILL_SPEED);
    let applied = run.run(&["apply", "--yes", "--output", "json", "--file", world.stack()]).await?;
    succeeded(&applied, "apply of a container")?;
    let measured = submits::submits(&world.data()).await?;
    figure(out, "submit_http_per_s_64", measured.per_second, "1/s", ">= 20000");
    figure(out, "submit_http_ms_p99", measured.p99.as_secs_f64() * 1000.0, "ms", "<= 10");
    Ok(())
}

fn figure(out: &Out, metric: &str, value: f64, unit: &str, goal: &str) {
    let value = (value * 1000.0).round() / 1000.0;
    out.print(&(json!({ "metric": metric, "value": value, "unit": unit, "goal": goal }).to_string() + "\n"));
}

/// From nothing to the end of a command that reads a stack file.
async fn cli_start(out: &Out) -> Result<(), CommandError> {
    let world = World::idle()?;
    let mut times = Vec::new();
    for _ in 0..SHORT_RUNS {
        times.push(RapidLaunch::new(&world, 1.0).run(&["validate", "--file", world.example()]).await?.took);
    }
    times.sort_unstable();
    figure(out, "cli_start_ms", times[SHORT_RUNS / 2].as_secs_f64() * 1000.0, "ms", "< 15");
    Ok(())
}

async fn apply_1000(out: &Out) -> Result<(), CommandError> {
    let world = World::start(10, APPLY_SPEED, 1_000).await?;
    let applied = RapidLaunch::new(&world, APPLY_SPEED)
        .run(&["apply", "--yes", "--output", "json", "--file", world.stack()])
        .await?;
    succeeded(&applied, "apply of 1,000 containers")?;
    let ideal = world.sim().ideal_creates(1_000, true);
    let calls = world.calls().await;
    figure(out, "apply_1000_s", applied.took.as_secs_f64(), "s", "see apply_1000_ratio");
    figure(out, "apply_1000_ratio", applied.took.as_secs_f64() / ideal.as_secs_f64(), "1", "<= 1.15");
    figure(out, "api_calls_per_container", calls as f64 / 1_000.0, "1", "<= 6");
    figure(out, "rss_apply_1000_mb", applied.rss_bytes as f64 / 1e6, "MB", "< 80");
    Ok(())
}

async fn plan_10000(out: &Out) -> Result<(), CommandError> {
    let world = World::start(10, FILL_SPEED, 10_000).await?;
    let applied = RapidLaunch::new(&world, FILL_SPEED)
        .run(&["apply", "--yes", "--output", "json", "--file", world.stack()])
        .await?;
    succeeded(&applied, "apply of 10,000 containers")?;
    let before = world.calls().await;
    let planned = RapidLaunch::new(&world, FILL_SPEED)
        .run(&["plan", "--exit-code", "--output", "json", "--file", world.stack()])
        .await?;
    succeeded(&planned, "plan of 10,000 unchanged containers")?;
    figure(out, "plan_noop_10000_s", planned.took.as_secs_f64(), "s", "< 1");
    figure(out, "plan_noop_10000_requests_per_site", (world.calls().await - before) as f64, "1", "< 10");
    Ok(())
}

fn succeeded(measured: &Measured, what: &str) -> Result<(), CommandError> {
    if measured.success {
        return Ok(());
    }
    Err(CommandError::failed(format!("{what} failed, so there is no figure: {}", measured.stderr.trim())))
}
