-- More settings that all replicas share. The defaults are those of the flags: a row that is there
-- already was written before these settings were shared.

-- How long after its end a window still waits for reports, in milliseconds; null: a sixth of the
-- interval.
alter table fleet add column grace_ms integer check (grace_ms >= 0);
-- How long the history of operations is kept, in milliseconds.
alter table fleet add column history_ms integer not null default 86400000 check (history_ms > 0);
-- How long a name is kept that nobody reports, in milliseconds.
alter table fleet add column retire_after_ms integer not null default 86400000
    check (retire_after_ms > 0);
-- Services counted under their own name.
alter table fleet add column max_services integer not null default 10000 check (max_services > 0);
-- Operations of one service counted under their own name.
alter table fleet add column max_operations_per_service integer not null default 2000
    check (max_operations_per_service > 0);
-- Operations of the fleet counted under their own name.
alter table fleet add column max_operations integer not null default 1000000
    check (max_operations > 0);
