-- Secrets: values encrypted for the installation, and which file of which guest holds which version.
create table secret (
    name       text primary key,
    latest     integer not null,
    generator  text,
    created_at integer not null,
    removed_at integer,
    removed_by text
) strict, without rowid;

create table secret_version (
    name       text not null,
    version    integer not null,
    sealed     text,
    origin     text not null,
    actor      text not null,
    created_at integer not null,
    wiped_at   integer,
    primary key (name, version)
) strict, without rowid;

create table secret_recipient (
    role       text primary key,
    recipient  text not null,
    actor      text not null,
    updated_at integer not null
) strict, without rowid;

create table secret_delivery (
    guest        text not null,
    path         text not null,
    source       text not null,
    version      integer not null,
    mode         integer not null,
    owner        text not null,
    delivered_at integer not null,
    primary key (guest, path)
) strict, without rowid;
create index secret_delivery_source on secret_delivery (source);
