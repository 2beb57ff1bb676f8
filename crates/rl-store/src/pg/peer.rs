//! What a plain queue in SQL does in the same server: the measure beside which the journal's own figure stands.
use std::time::Instant;

use tokio::task::JoinSet;

use super::connect::open;
use super::error::PgError;
use super::url::Target;
use crate::load::Measured;

/// Takes the oldest free row, passing over those that others are taking.
const CLAIM: &str = "update plain_queue set read_at = now() where id =
      (select id from plain_queue where read_at is null order by id limit 1 for update skip locked)
    returning id, message";
/// A row is done when it is gone.
const COMPLETE: &str = "delete from plain_queue where id = $1";

/// `clients` connections claim and complete `count` rows of a plain queue, one at a time, each write committed: a table with
/// `for update skip locked`, as queues in SQL are made. The table is made for it and removed after it.
pub async fn plain_claim_complete(target: &Target, clients: usize, count: usize) -> Result<Measured, PgError> {
    let doing = "measuring a plain queue";
    let failed = |error| PgError::of(doing, error);
    let first = open(target, None).await?.client;
    let fill = format!(
        "drop table if exists plain_queue;
         create table plain_queue (id bigserial primary key, read_at timestamptz, message text not null);
         create index plain_queue_free on plain_queue (id) where read_at is null;
         insert into plain_queue (message) select repeat('x', 300) from generate_series(1, {count});
         analyze plain_queue"
    );
    first.batch_execute(&fill).await.map_err(failed)?;
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(open(target, None).await?.client);
    }
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for client in connections {
        tasks.spawn(async move {
            let (claim, complete) = (client.prepare(CLAIM).await?, client.prepare(COMPLETE).await?);
            let mut times = Vec::new();
            loop {
                let since = Instant::now();
                let Some(row) = client.query_opt(&claim, &[]).await? else { return Ok(times) };
                client.execute(&complete, &[&row.try_get::<_, i64>(0)?]).await?;
                times.push(since.elapsed());
            }
        });
    }
    let mut times = Vec::with_capacity(count);
    while let Some(done) = tasks.join_next().await {
        let done: Result<Vec<_>, tokio_postgres::Error> =
            done.map_err(|source| PgError::Lost { doing, source: Box::new(source) })?;
        times.extend(done.map_err(failed)?);
    }
    let took = began.elapsed();
    first.batch_execute("drop table plain_queue").await.map_err(failed)?;
    Ok(Measured::of(times, took))
}
