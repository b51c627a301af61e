-- What all replicas of one database have to agree on.

create table fleet (
    only_row boolean primary key default true check (only_row),
    interval_ms bigint not null check (interval_ms > 0),
    report_age_max_ms bigint not null check (report_age_max_ms > 0)
);
comment on table fleet is 'The settings that all replicas share: one row, written by the first start';
comment on column fleet.only_row is 'True: there is one row';
comment on column fleet.interval_ms is 'How often a plan is computed, and the length of a bucket, in milliseconds';
comment on column fleet.report_age_max_ms is 'The oldest report accepted, by the start of its window, in milliseconds';
