//! `rapidlaunch store …`

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Subcommand;
use rl_engine::SystemClock;
use rl_store::{CheckReport, CopyError, CopyReport, Level, Place, Raw, RawRow};
use serde_json::{Value, json};

use crate::cli::args::Global;
use crate::error::{CommandError, ErrorKind};
use crate::out::Out;
use crate::render::table::table;
use crate::work::data::store_error;
use crate::work::place;

/// `store …`
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy a store to an empty place, and compare every row
    Copy {
        /// Data directory or postgres:// URL to copy; no server may work on it
        #[arg(value_name = "FROM")]
        from: String,
        /// Data directory or postgres:// URL to fill
        #[arg(value_name = "TO")]
        to: String,
    },
    /// Look for contradictions, and list the rows that cannot be read
    Check,
    /// Print one row as it is stored
    Row {
        /// The table
        #[arg(value_name = "TABLE")]
        table: String,
        /// The row's key, as `store check` prints it
        #[arg(value_name = "ROW")]
        key: String,
        /// Print the bytes of this column alone
        #[arg(long, value_name = "NAME")]
        column: Option<String>,
    },
}

/// Shortest time between two lines about the progress of a copy.
const TELL: Duration = Duration::from_secs(1);

/// Copies, checks and shows stores as they are stored.
pub(crate) async fn run(global: &Global, command: &StoreCommand, out: &Out) -> Result<(), CommandError> {
    match command {
        StoreCommand::Copy { from, to } => copy(&place::named(from)?, &place::named(to)?, out).await,
        StoreCommand::Check => check(&place::of(global)?, out).await,
        StoreCommand::Row { table, key, column } => row(&place::of(global)?, table, key, column.as_deref(), out).await,
    }
}

async fn copy(from: &Place, to: &Place, out: &Out) -> Result<(), CommandError> {
    let report = rl_store::copy(from, to, Arc::new(SystemClock::new()), teller(*out)).await.map_err(copy_error)?;
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    if out.json() {
        out.print_json(&copied(from, to, &report));
    } else {
        let rows =
            report.tables.iter().map(|table| vec![table.table.clone(), table.rows.to_string(), short(&table.checksum)]);
        out.print(&table(&["table", "rows", "checksum"], rows.collect()));
    }
    out.say(&format!("Copied {rows} rows from {from} to {to}; every one was read back and is the same."));
    out.say(&format!("Work goes on with {to}. Do not use {from} any more: both would change the same guests."));
    Ok(())
}

/// Says how far a copy is, when it takes long.
fn teller(out: Out) -> impl Fn(&str, u64) + Send + 'static {
    let last = std::cell::Cell::new(Instant::now());
    move |table, rows| {
        if last.get().elapsed() >= TELL {
            last.set(Instant::now());
            out.say(&format!("copying {table}: {rows} rows"));
        }
    }
}

fn copied(from: &Place, to: &Place, report: &CopyReport) -> Value {
    let tables = report.tables.iter();
    let tables: Vec<Value> =
        tables.map(|table| json!({ "table": table.table, "rows": table.rows, "checksum": table.checksum })).collect();
    json!({ "from": from.to_string(), "to": to.to_string(), "tables": tables })
}

/// As much of a checksum as people compare.
fn short(checksum: &str) -> String {
    checksum.chars().take(16).collect()
}

fn copy_error(error: CopyError) -> CommandError {
    match error {
        CopyError::Store(error) => store_error(error),
        CopyError::Same { .. } | CopyError::NotEmpty { .. } | CopyError::NoPlace { .. } => {
            CommandError::input(error.to_string())
        }
        CopyError::InUse { .. } | CopyError::Differs { .. } | CopyError::Stopped => {
            CommandError::failed(error.to_string())
        }
    }
}

async fn check(place: &Place, out: &Out) -> Result<(), CommandError> {
    let report = rl_store::check(place).await.map_err(store_error)?;
    if out.json() {
        out.print_json(&checked(place, &report));
    } else {
        out.print(&text(place, &report));
    }
    if report.is_sound() { Ok(()) } else { Err(CommandError::said(ErrorKind::Failed)) }
}

fn checked(place: &Place, report: &CheckReport) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|found| json!({ "level": found.level.to_string(), "table": found.table, "key": found.key, "text": found.text }))
        .collect();
    json!({
        "store": place.to_string(), "ok": report.is_sound(), "tables": report.tables, "findings": findings, "left_out": report.left_out,
    })
}

fn text(place: &Place, report: &CheckReport) -> String {
    let mut text = String::new();
    if !report.findings.is_empty() {
        let rows = report
            .findings
            .iter()
            .map(|found| vec![found.level.to_string(), found.table.clone(), found.key.clone(), found.text.clone()]);
        text.push_str(&table(&["level", "table", "row", "what"], rows.collect()));
    }
    if report.left_out > 0 {
        text.push_str(&format!("{} more findings are left out.\n", report.left_out));
    }
    let rows: u64 = report.tables.values().sum();
    let waiting = report.of(Level::Quarantined) + report.of(Level::Newer);
    let verdict = if report.is_sound() { "sound" } else { "not sound" };
    text.push_str(&format!("{place} is {verdict}: {rows} rows in {} tables", report.tables.len()));
    if waiting > 0 {
        text.push_str(&format!(
            ", {waiting} of which this release cannot read; `rapidlaunch store row TABLE ROW` shows one"
        ));
    }
    text.push_str(".\n");
    text
}

async fn row(place: &Place, table: &str, key: &str, column: Option<&str>, out: &Out) -> Result<(), CommandError> {
    let row = rl_store::raw_row(place, table, key).await.map_err(store_error)?;
    let row = row.ok_or_else(|| {
        CommandError::input(format!("table `{table}` has no row `{key}`"))
            .hinted("`rapidlaunch store check` lists tables and the keys of rows that cannot be read")
    })?;
    let Some(column) = column else {
        if out.json() {
            out.print_json(&whole(&row));
        } else {
            let rows = row.columns.iter().map(|(name, value)| vec![name.clone(), shown(value)]);
            out.print(&crate::render::table::table(&["column", "value"], rows.collect()));
        }
        return Ok(());
    };
    match row.columns.iter().find(|(name, _)| name == column) {
        Some((_, Raw::Bytes(bytes))) => out.print_bytes(bytes),
        Some((_, Raw::Int(number))) => out.print(&number.to_string()),
        Some((_, Raw::Null)) => {}
        None => return Err(CommandError::input(format!("table `{table}` has no column `{column}`"))),
    }
    Ok(())
}

fn shown(value: &Raw) -> String {
    match value {
        Raw::Null => "-".to_owned(),
        Raw::Int(number) => number.to_string(),
        Raw::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.escape_debug().to_string(),
            Err(_) => format!("bytes {}", hex(bytes)),
        },
    }
}

fn whole(row: &RawRow) -> Value {
    let value = |value: &Raw| match value {
        Raw::Null => Value::Null,
        Raw::Int(number) => json!(number),
        Raw::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!(text),
            Err(_) => json!({ "hex": hex(bytes) }),
        },
    };
    row.columns.iter().map(|(name, found)| (name.clone(), value(found))).collect::<serde_json::Map<_, _>>().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
