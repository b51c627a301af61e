-- More settings that all replicas share. The defaults are those of the flags: a row that is there
-- already was written before these settings were shared.

alter table fleet
    add column grace_ms bigint check (grace_ms >= 0),
    add column history_ms bigint not null default 86400000 check (history_ms > 0),
    add column retire_after_ms bigint not null default 86400000 check (retire_after_ms > 0),
    add column max_services bigint not null default 10000 check (max_services > 0),
    add column max_operations_per_service bigint not null default 2000
        check (max_operations_per_service > 0),
    add column max_operations bigint not null default 1000000 check (max_operations > 0);
comment on column fleet.grace_ms is 'How long after its end a window still waits for reports, in milliseconds; null: a sixth of the interval';
comment on column fleet.history_ms is 'How long the history of operations is kept, in milliseconds';
comment on column fleet.retire_after_ms is 'How long a name is kept that nobody reports, in milliseconds';
comment on column fleet.max_services is 'Services counted under their own name';
comment on column fleet.max_operations_per_service is 'Operations of one service counted under their own name';
comment on column fleet.max_operations is 'Operations of the fleet counted under their own name';
