-- Zones that the built-in DNS server answers: their serial, and their record sets.
create table dns_zone (
    name   text collate "C" primary key,
    serial bigint not null
);

create table dns_set (
    zone  text collate "C" not null,
    name  text collate "C" not null,
    kind  text collate "C" not null,
    ttl   bigint not null,
    items text not null,
    primary key (zone, name, kind)
);
