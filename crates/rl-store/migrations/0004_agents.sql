-- Agents on nodes: whose certificate is whose, and the one-time tokens they join with (kept as digests).
create table agent (
    site             text not null,
    node             text not null,
    fingerprint      text not null,
    next_fingerprint text,
    recipient        text not null,
    release          text not null,
    ends_at          integer not null,
    joined_at        integer not null,
    seen_at          integer,
    revoked_at       integer,
    primary key (site, node)
) strict, without rowid;

create table agent_token (
    id         text primary key,
    digest     text not null,
    site       text not null,
    node       text not null,
    actor      text not null,
    created_at integer not null,
    expires_at integer not null,
    used_at    integer
) strict, without rowid;
