-- What the fleet, its groups and its services did, for weeks and months: sums of what history says of each window.
--
-- A replica of the release before neither reads nor writes them. While it leads, nothing is summed; what it counts is
-- summed afterwards, as far back as history is stored.

create table series_window (
    start_ms bigint not null,
    part bigint not null,
    end_ms bigint not null,
    payload bytea not null,
    primary key (start_ms, part)
) partition by range (start_ms);
-- Already dense.
alter table series_window alter column payload set storage external;
comment on table series_window is 'What the fleet, its groups and its services did in each window. Partitioned by the day.';
comment on column series_window.start_ms is 'First instant of the window, in milliseconds since the Unix epoch';
comment on column series_window.part is '0 for the fleet and its groups; others for services: see store/tables/series.rs';
comment on column series_window.end_ms is 'First instant after the window, in milliseconds since the Unix epoch';
comment on column series_window.payload is 'Sums by number of the service, in the format of store/series_codec.rs; its first byte is the version';

create table series (
    step_ms bigint not null,
    start_ms bigint not null,
    part bigint not null,
    end_ms bigint not null,
    payload bytea not null,
    primary key (step_ms, start_ms, part)
);
alter table series alter column payload set storage external;
comment on table series is 'The same in coarser steps, several steps in a row. A row is written once, when all its windows are settled';
comment on column series.step_ms is 'The length of a step, in milliseconds';
comment on column series.start_ms is 'First instant of the first step, in milliseconds since the Unix epoch';
comment on column series.part is '0 for the fleet and its groups; others for services: see store/tables/series.rs';
comment on column series.end_ms is 'First instant after the last step, in milliseconds since the Unix epoch';
comment on column series.payload is 'Sums by name, in the format of store/series_codec.rs; its first byte is the version';

create table series_mark (
    only_row boolean primary key default true check (only_row),
    until_ms bigint
);
insert into series_mark (until_ms) values (null);
comment on table series_mark is 'Up to where history is summed into steps: one row';
comment on column series_mark.only_row is 'True: there is one row';
comment on column series_mark.until_ms is 'All windows that start before this are in the steps, in milliseconds since the Unix epoch; null before the first time';

alter table fleet
    add column history_10m_ms bigint not null default 1209600000 check (history_10m_ms > 0),
    add column history_1h_ms bigint not null default 34560000000 check (history_1h_ms > 0),
    add column history_1d_ms bigint not null default 34560000000 check (history_1d_ms > 0);
comment on column fleet.history_10m_ms is 'How long steps of ten minutes are kept, in milliseconds';
comment on column fleet.history_1h_ms is 'How long steps of an hour are kept, in milliseconds';
comment on column fleet.history_1d_ms is 'How long steps of a day are kept, in milliseconds';

create index plan_window_start_ms on plan (window_start_ms);

-- The functions of migration 3 with one more table. Partitions are made as they were.

create or replace function weir_create_partition(
    in_schema text, of_table text, number bigint, first_ms bigint, end_ms bigint
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    parent constant regclass := format('%I.%I', in_schema, of_table)::regclass;
    partition_name constant text := of_table || '_p' || number;
    caller constant text := case current_setting('role')
        when 'none' then session_user::text else current_setting('role') end;
begin
    if of_table not in ('delta', 'history', 'plan', 'plan_body', 'series_window') then
        raise exception 'table % has no partitions of Weir', of_table using errcode = '22023';
    end if;
    if not has_table_privilege(caller, parent, 'INSERT') then
        raise exception 'role % may not insert into table %', caller, of_table
            using errcode = '42501';
    end if;
    -- One at a time; «weirpart» in ASCII, as earlier releases lock, too.
    perform pg_advisory_xact_lock(8603398603393823348);
    if exists (
        select from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = parent and relname = partition_name
    ) then
        return false;
    end if;
    -- Attaching a finished table, unlike creating one in place, lets reads and writes of the parent
    -- go on.
    execute format(
        'create table %1$I.%2$I (like %1$I.%3$I including all)',
        in_schema, partition_name, of_table
    );
    -- A restore adds keys and indexes last. A partition made before would never have them. The
    -- parent is locked by now: what is seen here stays until the end of the transaction.
    if not exists (select from pg_index where indrelid = parent and indisvalid) then
        raise exception 'table % has no valid index', of_table using errcode = '42P10';
    end if;
    execute format(
        'alter table %1$I.%3$I attach partition %1$I.%2$I for values from (%4$s) to (%5$s)',
        in_schema, partition_name, of_table, first_ms, end_ms
    );
    return true;
end
$$;

create or replace function weir_drop_partition(in_schema text, of_table text, number bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    parent constant regclass := format('%I.%I', in_schema, of_table)::regclass;
    partition_name constant text := of_table || '_p' || number;
    caller constant text := case current_setting('role')
        when 'none' then session_user::text else current_setting('role') end;
begin
    if of_table not in ('delta', 'history', 'plan', 'plan_body', 'series_window') then
        raise exception 'table % has no partitions of Weir', of_table using errcode = '22023';
    end if;
    if not has_table_privilege(caller, parent, 'DELETE') then
        raise exception 'role % may not delete from table %', caller, of_table
            using errcode = '42501';
    end if;
    if not exists (
        select from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = parent and relname = partition_name
            and relnamespace = (select relnamespace from pg_class where oid = parent)
    ) then
        return false;
    end if;
    execute format('drop table %1$I.%2$I', in_schema, partition_name);
    return true;
end
$$;
