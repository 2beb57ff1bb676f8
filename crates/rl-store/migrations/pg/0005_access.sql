-- Who may do what: users, grants, API tokens and sessions (kept as digests), the link of the first set-up, failed sign-ins.
create table access_user (
    name          text collate "C" primary key,
    password      text collate "C",
    password_at   bigint,
    totp          text collate "C",
    totp_at       bigint,
    totp_step     bigint not null,
    subject       text collate "C",
    groups        text collate "C" not null,
    created_at    bigint not null,
    created_by    text collate "C" not null,
    signed_in_at  bigint,
    disabled_at   bigint,
    version       bigint not null
);
create unique index access_user_subject on access_user (subject) where subject is not null;

create table access_recovery (
    owner   text collate "C" not null,
    digest  text collate "C" not null,
    used_at bigint,
    primary key (owner, digest)
);

create table access_grant (
    id         text collate "C" primary key,
    grantee    text collate "C" not null,
    role       text collate "C" not null,
    path       text collate "C" not null,
    created_at bigint not null,
    created_by text collate "C" not null
);
create unique index access_grant_once on access_grant (grantee, role, path);

create table access_token (
    id         text collate "C" primary key,
    digest     text collate "C" not null,
    owner      text collate "C" not null,
    label      text collate "C" not null,
    scopes     text collate "C" not null,
    created_at bigint not null,
    created_by text collate "C" not null,
    expires_at bigint,
    used_at    bigint,
    revoked_at bigint
);
create index access_token_owner on access_token (owner);

create table access_session (
    digest     text collate "C" primary key,
    owner      text collate "C" not null,
    csrf       text collate "C" not null,
    way        text collate "C" not null,
    remote     text collate "C" not null,
    agent      text collate "C" not null,
    created_at bigint not null,
    seen_at    bigint not null,
    expires_at bigint not null
);
create index access_session_owner on access_session (owner, created_at);

create table access_setup (
    id         text collate "C" primary key,
    digest     text collate "C" not null,
    expires_at bigint not null
);

create table access_failure (
    id         text collate "C" primary key,
    count      bigint not null,
    last_at    bigint not null,
    until_at   bigint not null
);
create index access_failure_last on access_failure (last_at);
