-- The journal of the engine. Hot rows (operation, job) are kept small: what never changes lies beside them.
create table meta (
    key   text primary key,
    value text not null
) strict, without rowid;

create table operation (
    id          text primary key,
    subject     text not null,
    state       text not null,
    counts      text not null,
    cancel_by   text,
    cancel_at   integer,
    updated_at  integer not null,
    finished_at integer
) strict, without rowid;
create index operation_open on operation (subject, id) where finished_at is null;
create index operation_finished on operation (finished_at, id) where finished_at is not null;
create index operation_subject on operation (subject, id);

create table operation_info (
    id              text primary key,
    idempotency_key text unique,
    info            text not null
) strict;

create table job (
    id          text primary key,
    operation   text not null,
    seq         integer not null,
    priority    integer not null,
    state       text not null,
    waiting_for integer not null,
    failures    integer not null,
    crashes     integer not null,
    fence       integer not null,
    owner       text,
    not_before  integer,
    holds_locks integer not null,
    unwind      text,
    cancel      integer not null,
    traces      integer not null,
    open_step   integer not null,
    reason      text,
    hint        text,
    started_at  integer,
    deadline_at integer,
    finished_at integer
) strict, without rowid;
create index job_open on job (operation, seq) where finished_at is null;
create index job_parked on job (state) where state = 'parked';

create table job_spec (
    id        text primary key,
    operation text not null,
    seq       integer not null,
    kind      text not null,
    version   integer not null,
    locks     text not null,
    spec      text not null
) strict;
create unique index job_spec_order on job_spec (operation, seq);

create table job_after (
    before text not null,
    id     text not null,
    primary key (before, id)
) strict, without rowid;

create table step (
    job       text not null,
    direction text not null,
    name      text not null,
    position  integer not null,
    state     text not null,
    attempt   integer not null,
    intent    text,
    ext_ref   text,
    receipt   text,
    at        integer not null,
    primary key (job, direction, name)
) strict, without rowid;

create table event (
    seq       integer primary key autoincrement,
    operation text not null,
    job       text,
    kind      text not null,
    body      text not null,
    at        integer not null
) strict;
create index event_operation on event (operation, seq);

create table owner (
    id          text primary key,
    lease_until integer not null
) strict, without rowid;

-- Sites, stacks, guests and what they hold.
create table site (
    name       text primary key,
    document   text not null,
    updated_at integer not null
) strict, without rowid;

create table stack (
    name             text primary key,
    revision         integer not null,
    manifest         text not null,
    state            text not null,
    applied_revision integer,
    resolved         text,
    updated_at       integer not null,
    applied_at       integer
) strict;

create table stack_revision (
    stack      text not null,
    revision   integer not null,
    manifest   text not null,
    resolved   text not null,
    operation  text not null,
    actor      text not null,
    created_at integer not null,
    primary key (stack, revision)
) strict;

create table guest (
    id         text primary key,
    stack      text not null,
    name       text not null,
    site       text not null,
    node       text not null,
    vmid       integer not null,
    state      text not null,
    resolved   text,
    created_at integer not null,
    removed_at integer
) strict;
create unique index guest_name on guest (stack, name) where removed_at is null;

-- A value is held by one guest of a site at a time; the primary key is what makes a second reservation fail.
create table lease (
    site  text not null,
    kind  text not null,
    value text not null,
    guest text not null,
    nic   text,
    state text not null,
    until integer,
    primary key (site, kind, value)
) strict, without rowid;
create index lease_guest on lease (guest);
create index lease_quarantined on lease (until) where state = 'quarantined';
