-- Up to where history is final, and which formats the replicas write and need.

-- Up to where history is settled: one row. A window is settled when its history has been summed
-- again after the last report that could change it.
create table settlement (
    -- 1: there is one row.
    only_row integer primary key check (only_row = 1),
    -- The history of all windows that start before this is settled, in milliseconds since the Unix
    -- epoch; null before the first time.
    until_ms integer
) strict;
insert into settlement values (1, null);

-- Which releases can work with this database: one row.
create table compatibility (
    -- 1: there is one row.
    only_row integer primary key check (only_row = 1),
    -- Rises with each release that changes the schema; 1 is release 0.1.0.
    schema_level integer not null,
    -- The lowest schema level a program has to know to work with this database; it refuses to
    -- start otherwise.
    readable_from integer not null,
    -- Which formats plans and history are written in: 1 are those of release 0.1.0, 2 are those
    -- that came with schema level 2.
    write_format integer not null
) strict;
-- A database that was in use before may be opened by the release before again, which does not read
-- the newest formats. A new one is not.
insert into compatibility
select 1, 2, 1, case when exists (select 1 from configuration) then 1 else 2 end;
