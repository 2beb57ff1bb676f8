-- The journal of the engine. Tables and columns are those of the embedded database, with types that every database knows;
-- texts sort by their bytes. Rows that change often keep room on their page, so that a change need not touch an index.

-- One row: every write of every server locks it first, which puts all writes into one order.
create table head (
    id         bigint primary key,
    version    bigint not null,
    epoch      bigint not null,
    last_event bigint not null,
    unfinished bigint not null,
    cancels    bigint not null,
    schedules  bigint not null,
    writer     text collate "C" not null,
    batch      bigint not null
) with (fillfactor = 10);
insert into head (id, version, epoch, last_event, unfinished, cancels, schedules, writer, batch)
    values (1, 1, 1, 0, 0, 0, 0, '', 0);

-- What each version changed, for the servers that did not write it; old rows are removed.
create table change (
    version    bigint primary key,
    writer     text collate "C" not null,
    batch      bigint not null,
    at         bigint not null,
    jobs       text not null,
    operations text not null
);

create table meta (
    key   text collate "C" primary key,
    value text not null
);

create table operation (
    id          text collate "C" primary key,
    subject     text collate "C" not null,
    state       text collate "C" not null,
    counts      text not null,
    cancel_by   text,
    cancel_at   bigint,
    updated_at  bigint not null,
    finished_at bigint
) with (fillfactor = 70);
create index operation_open on operation (subject, id) where finished_at is null;
create index operation_finished on operation (finished_at, id) where finished_at is not null;
create index operation_subject on operation (subject, id);

create table operation_info (
    id              text collate "C" primary key,
    idempotency_key text collate "C",
    info            text not null
);
create unique index operation_info_key on operation_info (idempotency_key) where idempotency_key is not null;

create table job (
    id          text collate "C" primary key,
    operation   text collate "C" not null,
    seq         bigint not null,
    priority    bigint not null,
    state       text collate "C" not null,
    waiting_for bigint not null,
    failures    bigint not null,
    crashes     bigint not null,
    fence       bigint not null,
    owner       text collate "C",
    not_before  bigint,
    holds_locks bigint not null,
    unwind      text collate "C",
    cancel      bigint not null,
    traces      bigint not null,
    open_step   bigint not null,
    reason      text,
    hint        text,
    started_at  bigint,
    deadline_at bigint,
    finished_at bigint
) with (fillfactor = 60);
create index job_open on job (operation, seq) where finished_at is null;

create table job_spec (
    id        text collate "C" primary key,
    operation text collate "C" not null,
    seq       bigint not null,
    kind      text collate "C" not null,
    version   bigint not null,
    locks     text not null,
    spec      text not null,
    site      text collate "C",
    node      text collate "C"
);
create unique index job_spec_order on job_spec (operation, seq);

create table job_after (
    before text collate "C" not null,
    id     text collate "C" not null,
    primary key (before, id)
);

create table step (
    job       text collate "C" not null,
    direction text collate "C" not null,
    name      text collate "C" not null,
    position  bigint not null,
    state     text collate "C" not null,
    attempt   bigint not null,
    intent    text,
    ext_ref   text,
    receipt   text,
    at        bigint not null,
    primary key (job, direction, name)
) with (fillfactor = 60);

create table event (
    seq       bigint primary key,
    operation text collate "C" not null,
    job       text collate "C",
    kind      text collate "C" not null,
    body      text not null,
    at        bigint not null
);
create index event_operation on event (operation, seq);

create table owner (
    id          text collate "C" primary key,
    lease_until bigint not null
) with (fillfactor = 50);

create table schedule (
    name    text collate "C" primary key,
    spec    text not null,
    next_at bigint,
    paused  bigint not null,
    state   text not null
);
create index schedule_due on schedule (next_at) where paused = 0 and next_at is not null;

-- Sites, stacks, guests and what they hold.
create table site (
    name       text collate "C" primary key,
    document   text not null,
    updated_at bigint not null
);

create table stack (
    name             text collate "C" primary key,
    revision         bigint not null,
    manifest         text not null,
    state            text collate "C" not null,
    applied_revision bigint,
    resolved         text,
    updated_at       bigint not null,
    applied_at       bigint
);

create table stack_revision (
    stack      text collate "C" not null,
    revision   bigint not null,
    manifest   text not null,
    resolved   text not null,
    operation  text collate "C" not null,
    actor      text not null,
    created_at bigint not null,
    primary key (stack, revision)
);

create table guest (
    id         text collate "C" primary key,
    stack      text collate "C" not null,
    name       text collate "C" not null,
    site       text collate "C" not null,
    node       text collate "C" not null,
    vmid       bigint not null,
    state      text collate "C" not null,
    resolved   text,
    created_at bigint not null,
    removed_at bigint
);
create unique index guest_name on guest (stack, name) where removed_at is null;

-- A value is held by one guest of a site at a time; the primary key is what makes a second reservation fail.
create table lease (
    site  text collate "C" not null,
    kind  text collate "C" not null,
    value text collate "C" not null,
    guest text collate "C" not null,
    nic   text collate "C",
    state text collate "C" not null,
    until bigint,
    primary key (site, kind, value)
);
create index lease_guest on lease (guest);
create index lease_quarantined on lease (until) where state = 'quarantined';
