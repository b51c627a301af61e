-- What replicas see beside the counts that plans are made from.
--
-- The release before neither reads nor writes it. What it sees is missing.

-- Who polled, whose reports were refused, and how many spans were sampled, as each replica saw it in each window;
-- rows are kept for an hour, and for 64 windows at least.
create table observation (
    -- First instant of the window, in milliseconds since the Unix epoch.
    bucket_start_ms integer not null,
    -- The replica that saw it; another one after each start: 32 hexadecimal digits.
    replica text not null,
    -- pollers, refused or spans.
    kind text not null,
    -- First instant after the window, in milliseconds since the Unix epoch.
    bucket_end_ms integer not null,
    -- What was seen, in the format of store/observations_codec.rs; its first byte is the version.
    payload blob not null,
    primary key (bucket_start_ms, replica, kind)
) strict;
