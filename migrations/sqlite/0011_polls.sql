-- How often SDKs asked each replica for their strategies.

-- The polls that each replica answered in each window. A replica writes a row for every window, also
-- when nobody polled; rows are kept for 64 windows.
create table polls (
    -- First instant of the window, in milliseconds since the Unix epoch.
    bucket_start_ms integer not null,
    -- The replica that counted; another one after each start: 32 hexadecimal digits.
    replica text not null,
    -- First instant after the window, in milliseconds since the Unix epoch.
    bucket_end_ms integer not null,
    -- The instant from which on the replica counted, in milliseconds since the Unix epoch; after the
    -- start of the window if it began in it.
    from_ms integer not null,
    -- The instant up to which it counted, in milliseconds since the Unix epoch; before the end of the
    -- window if the replica stopped in it.
    until_ms integer not null,
    -- The state of the dictionary in which the numbers of the services mean what was polled: 32
    -- hexadecimal digits.
    incarnation text not null,
    -- Polls by service, in the format of store/polls_codec.rs; its first byte is the version.
    payload blob not null,
    primary key (bucket_start_ms, replica)
) strict;
