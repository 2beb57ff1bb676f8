-- Agents on nodes: whose certificate is whose, and the one-time tokens they join with (kept as digests).
create table agent (
    site             text collate "C" not null,
    node             text collate "C" not null,
    fingerprint      text collate "C" not null,
    next_fingerprint text collate "C",
    recipient        text collate "C" not null,
    release          text collate "C" not null,
    ends_at          bigint not null,
    joined_at        bigint not null,
    seen_at          bigint,
    revoked_at       bigint,
    primary key (site, node)
);

create table agent_token (
    id         text collate "C" primary key,
    digest     text collate "C" not null,
    site       text collate "C" not null,
    node       text collate "C" not null,
    actor      text collate "C" not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at    bigint
);
