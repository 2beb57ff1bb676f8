-- What a server keeps beside its stacks: who did what, answers that are given again, plans, rules for stacks, checks, webhooks.
create table audit (
    seq    bigint primary key,
    at     bigint not null,
    actor  text collate "C" not null,
    via    text collate "C" not null,
    remote text collate "C",
    action text collate "C" not null,
    path   text collate "C" not null,
    before text,
    after  text,
    prev   text collate "C" not null,
    hash   text collate "C" not null
);

create table kept_answer (
    principal text collate "C" not null,
    key       text collate "C" not null,
    request   text collate "C" not null,
    status    bigint not null,
    location  text collate "C",
    body      text not null,
    at        bigint not null,
    primary key (principal, key)
);
create index kept_answer_at on kept_answer (at);

create table plan (
    id             text collate "C" primary key,
    stack          text collate "C" not null,
    author         text collate "C" not null,
    state          text collate "C" not null,
    base_revision  bigint not null,
    destroy        bigint not null,
    vacant         bigint not null,
    blocked        bigint not null,
    needs_approval bigint not null,
    approved_by    text collate "C",
    approved_at    bigint,
    operation      text collate "C",
    document       text not null,
    created_at     bigint not null,
    expires_at     bigint not null
);
create index plan_stack on plan (stack, id);
create index plan_expires on plan (expires_at);

create table stack_policy (
    stack      text collate "C" primary key,
    protected  bigint not null,
    owner      text collate "C",
    version    bigint not null,
    updated_at bigint not null
);
create index stack_policy_owner on stack_policy (owner) where owner is not null;

create table quota (
    owner      text collate "C" primary key,
    guests     bigint,
    cores      bigint,
    memory_mib bigint,
    disk_gib   bigint,
    addresses  bigint,
    version    bigint not null,
    updated_at bigint not null
);

-- What one revision of a stack uses; made again from the revision when it is of another.
create table stack_use (
    stack      text collate "C" primary key,
    revision   bigint not null,
    guests     bigint not null,
    cores      bigint not null,
    memory_mib bigint not null,
    disk_mib   bigint not null,
    addresses  bigint not null
);

create table stack_check (
    stack    text collate "C" not null,
    kind     text collate "C" not null,
    at       bigint not null,
    ok       bigint not null,
    faults   bigint not null,
    document text not null,
    primary key (stack, kind)
);

create table webhook (
    id            text collate "C" primary key,
    url           text not null,
    secret        text not null,
    kinds         text not null,
    stacks        text not null,
    enabled       bigint not null,
    version       bigint not null,
    events_seen   bigint not null,
    audit_seen    bigint not null,
    next_n        bigint not null,
    failing_since bigint,
    created_at    bigint not null,
    updated_at    bigint not null
);

create table webhook_delivery (
    webhook    text collate "C" not null,
    n          bigint not null,
    event      text collate "C" not null,
    kind       text collate "C" not null,
    body       text not null,
    state      text collate "C" not null,
    attempts   bigint not null,
    next_at    bigint,
    claimed_by text collate "C",
    status     bigint,
    error      text,
    created_at bigint not null,
    updated_at bigint not null,
    primary key (webhook, n)
);
create index webhook_delivery_due on webhook_delivery (next_at) where state = 'pending';
