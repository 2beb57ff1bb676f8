-- What a server keeps beside its stacks: who did what, answers that are given again, plans, rules for stacks, checks, webhooks.
create table audit (
    seq    integer primary key,
    at     integer not null,
    actor  text not null,
    via    text not null,
    remote text,
    action text not null,
    path   text not null,
    before text,
    after  text,
    prev   text not null,
    hash   text not null
) strict;

create table kept_answer (
    principal text not null,
    key       text not null,
    request   text not null,
    status    integer not null,
    location  text,
    body      text not null,
    at        integer not null,
    primary key (principal, key)
) strict;
create index kept_answer_at on kept_answer (at);

create table plan (
    id             text primary key,
    stack          text not null,
    author         text not null,
    state          text not null,
    base_revision  integer not null,
    destroy        integer not null,
    vacant         integer not null,
    blocked        integer not null,
    needs_approval integer not null,
    approved_by    text,
    approved_at    integer,
    operation      text,
    document       text not null,
    created_at     integer not null,
    expires_at     integer not null
) strict;
create index plan_stack on plan (stack, id);
create index plan_expires on plan (expires_at);

create table stack_policy (
    stack      text primary key,
    protected  integer not null,
    owner      text,
    version    integer not null,
    updated_at integer not null
) strict, without rowid;
create index stack_policy_owner on stack_policy (owner) where owner is not null;

create table quota (
    owner      text primary key,
    guests     integer,
    cores      integer,
    memory_mib integer,
    disk_gib   integer,
    addresses  integer,
    version    integer not null,
    updated_at integer not null
) strict, without rowid;

-- What one revision of a stack uses; made again from the revision when it is of another.
create table stack_use (
    stack      text primary key,
    revision   integer not null,
    guests     integer not null,
    cores      integer not null,
    memory_mib integer not null,
    disk_mib   integer not null,
    addresses  integer not null
) strict, without rowid;

create table stack_check (
    stack    text not null,
    kind     text not null,
    at       integer not null,
    ok       integer not null,
    faults   integer not null,
    document text not null,
    primary key (stack, kind)
) strict;

create table webhook (
    id            text primary key,
    url           text not null,
    secret        text not null,
    kinds         text not null,
    stacks        text not null,
    enabled       integer not null,
    version       integer not null,
    events_seen   integer not null,
    audit_seen    integer not null,
    next_n        integer not null,
    failing_since integer,
    created_at    integer not null,
    updated_at    integer not null
) strict;

create table webhook_delivery (
    webhook    text not null,
    n          integer not null,
    event      text not null,
    kind       text not null,
    body       text not null,
    state      text not null,
    attempts   integer not null,
    next_at    integer,
    claimed_by text,
    status     integer,
    error      text,
    created_at integer not null,
    updated_at integer not null,
    primary key (webhook, n)
) strict;
create index webhook_delivery_due on webhook_delivery (next_at) where state = 'pending';
