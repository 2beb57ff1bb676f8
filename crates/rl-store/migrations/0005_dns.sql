-- Zones that the built-in DNS server answers: their serial, and their record sets.
create table dns_zone (
    name   text primary key,
    serial integer not null
) strict, without rowid;

create table dns_set (
    zone  text not null,
    name  text not null,
    kind  text not null,
    ttl   integer not null,
    items text not null,
    primary key (zone, name, kind)
) strict, without rowid;
