-- What the fleet, its groups and its services did, for weeks and months: sums of what history says of each window.
--
-- The release before neither reads nor writes them. While it leads, nothing is summed; what it counts is summed
-- afterwards, as far back as history is stored.

-- The sums of one window.
create table series_window (
    -- First instant of the window, in milliseconds since the Unix epoch.
    start_ms integer not null,
    -- 0 for the fleet and its groups; others for services: see store/tables/series.rs.
    part integer not null,
    -- First instant after the window, in milliseconds since the Unix epoch.
    end_ms integer not null,
    -- Sums by number of the service, in the format of store/series_codec.rs; its first byte is the version.
    payload blob not null,
    primary key (start_ms, part)
) strict;

-- The sums of coarser steps, several steps in a row. A row is written once, when all its windows are settled.
create table series (
    -- The length of a step, in milliseconds.
    step_ms integer not null,
    -- First instant of the first step, in milliseconds since the Unix epoch.
    start_ms integer not null,
    -- 0 for the fleet and its groups; others for services: see store/tables/series.rs.
    part integer not null,
    -- First instant after the last step, in milliseconds since the Unix epoch.
    end_ms integer not null,
    -- Sums by name, in the format of store/series_codec.rs; its first byte is the version.
    payload blob not null,
    primary key (step_ms, start_ms, part)
) strict;

-- Up to where history is summed into steps: one row.
create table series_mark (
    -- 1: there is one row.
    only_row integer primary key check (only_row = 1),
    -- All windows that start before this are in the steps, in milliseconds since the Unix epoch; null before
    -- the first time.
    until_ms integer
) strict;
insert into series_mark values (1, null);

-- How long the steps of ten minutes, hours and days are kept, in milliseconds.
alter table fleet add column history_10m_ms integer not null default 1209600000 check (history_10m_ms > 0);
alter table fleet add column history_1h_ms integer not null default 34560000000 check (history_1h_ms > 0);
alter table fleet add column history_1d_ms integer not null default 34560000000 check (history_1d_ms > 0);

-- The plans of a range of windows.
create index plan_window_start_ms on plan (window_start_ms);
