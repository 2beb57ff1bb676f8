-- Who may do what: users, grants, API tokens and sessions (kept as digests), the link of the first set-up, failed sign-ins.
create table access_user (
    name          text primary key,
    password      text,
    password_at   integer,
    totp          text,
    totp_at       integer,
    totp_step     integer not null,
    subject       text,
    groups        text not null,
    created_at    integer not null,
    created_by    text not null,
    signed_in_at  integer,
    disabled_at   integer,
    version       integer not null
) strict, without rowid;
create unique index access_user_subject on access_user (subject) where subject is not null;

create table access_recovery (
    owner   text not null,
    digest  text not null,
    used_at integer,
    primary key (owner, digest)
) strict, without rowid;

create table access_grant (
    id         text primary key,
    grantee    text not null,
    role       text not null,
    path       text not null,
    created_at integer not null,
    created_by text not null
) strict, without rowid;
create unique index access_grant_once on access_grant (grantee, role, path);

create table access_token (
    id         text primary key,
    digest     text not null,
    owner      text not null,
    label      text not null,
    scopes     text not null,
    created_at integer not null,
    created_by text not null,
    expires_at integer,
    used_at    integer,
    revoked_at integer
) strict, without rowid;
create index access_token_owner on access_token (owner);

create table access_session (
    digest     text primary key,
    owner      text not null,
    csrf       text not null,
    way        text not null,
    remote     text not null,
    agent      text not null,
    created_at integer not null,
    seen_at    integer not null,
    expires_at integer not null
) strict, without rowid;
create index access_session_owner on access_session (owner, created_at);

create table access_setup (
    id         text primary key,
    digest     text not null,
    expires_at integer not null
) strict, without rowid;

create table access_failure (
    id         text primary key,
    count      integer not null,
    last_at    integer not null,
    until_at   integer not null
) strict, without rowid;
create index access_failure_last on access_failure (last_at);
