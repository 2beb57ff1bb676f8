-- Secrets: values encrypted for the installation, and which file of which guest holds which version.
create table secret (
    name       text collate "C" primary key,
    latest     bigint not null,
    generator  text collate "C",
    created_at bigint not null,
    removed_at bigint,
    removed_by text collate "C"
);

create table secret_version (
    name       text collate "C" not null,
    version    bigint not null,
    sealed     text,
    origin     text collate "C" not null,
    actor      text collate "C" not null,
    created_at bigint not null,
    wiped_at   bigint,
    primary key (name, version)
);

create table secret_recipient (
    role       text collate "C" primary key,
    recipient  text collate "C" not null,
    actor      text collate "C" not null,
    updated_at bigint not null
);

create table secret_delivery (
    guest        text collate "C" not null,
    path         text collate "C" not null,
    source       text collate "C" not null,
    version      bigint not null,
    mode         bigint not null,
    owner        text collate "C" not null,
    delivered_at bigint not null,
    primary key (guest, path)
);
create index secret_delivery_source on secret_delivery (source);
