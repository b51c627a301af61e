-- What all replicas of one database have to agree on.

-- The settings that all replicas share: one row, written by the first start.
create table fleet (
    -- 1: there is one row.
    only_row integer primary key check (only_row = 1),
    -- How often a plan is computed, and the length of a bucket, in milliseconds.
    interval_ms integer not null check (interval_ms > 0),
    -- The oldest report accepted, by the start of its window, in milliseconds.
    report_age_max_ms integer not null check (report_age_max_ms > 0)
) strict;
