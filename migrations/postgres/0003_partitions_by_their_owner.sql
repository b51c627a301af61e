-- Functions that make and drop partitions as the owner of the tables.
--
-- Attaching and dropping a partition takes the owner of its table. These functions run as whoever
-- applied this migration, so that the role of `weir serve` needs no more than to read and write
-- rows. They serve whoever may insert into the table, or delete from it: dropping a partition is no
-- more than deleting its rows.

create function weir_create_partition(
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
    if of_table not in ('delta', 'history', 'plan', 'plan_body') then
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
comment on function weir_create_partition(text, text, bigint, bigint, bigint) is
    'Makes a partition of one of Weir''s tables, if it is missing: from first_ms up to end_ms, in milliseconds since the Unix epoch';

create function weir_drop_partition(in_schema text, of_table text, number bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    parent constant regclass := format('%I.%I', in_schema, of_table)::regclass;
    partition_name constant text := of_table || '_p' || number;
    caller constant text := case current_setting('role')
        when 'none' then session_user::text else current_setting('role') end;
begin
    if of_table not in ('delta', 'history', 'plan', 'plan_body') then
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
comment on function weir_drop_partition(text, text, bigint) is
    'Drops a partition of one of Weir''s tables, if it is there';
