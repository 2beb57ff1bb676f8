-- Schedules, and what the engine looks at before it hands a job out.
create table schedule (
    name    text primary key,
    spec    text not null,
    next_at integer,
    paused  integer not null,
    state   text not null
) strict, without rowid;
create index schedule_due on schedule (next_at) where paused = 0 and next_at is not null;

alter table job_spec add column site text;
alter table job_spec add column node text;
