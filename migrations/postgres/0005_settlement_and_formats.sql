-- Up to where history is final, and which formats the replicas write and need.

create table settlement (
    only_row boolean primary key default true check (only_row),
    until_ms bigint
);
insert into settlement (until_ms) values (null);
comment on table settlement is 'Up to where history is settled: one row. A window is settled when its history has been summed again after the last report that could change it';
comment on column settlement.only_row is 'True: there is one row';
comment on column settlement.until_ms is 'The history of all windows that start before this is settled, in milliseconds since the Unix epoch; null before the first time';

create table compatibility (
    only_row boolean primary key default true check (only_row),
    schema_level bigint not null,
    readable_from bigint not null,
    write_format bigint not null
);
-- A database that was in use before may have replicas of the release before, which do not read the
-- newest formats. A new one has none.
insert into compatibility (schema_level, readable_from, write_format)
select 2, 1, case when exists (select from configuration) then 1 else 2 end;
comment on table compatibility is 'Which releases can work with this database: one row';
comment on column compatibility.only_row is 'True: there is one row';
comment on column compatibility.schema_level is 'Rises with each release that changes the schema; 1 is release 0.1.0';
comment on column compatibility.readable_from is 'The lowest schema level a program has to know to work with this database; it refuses to start otherwise';
comment on column compatibility.write_format is 'Which formats plans and history are written in: 1 are those of release 0.1.0, 2 are those that came with schema level 2';
