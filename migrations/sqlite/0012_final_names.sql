-- The names that spans have at their end, beside the names that samplers are asked with.
--
-- The release before neither reads nor writes them. What it hears is missing.

-- The requests by final name that each replica heard of in each window, for people; rows are kept for at
-- least 15 minutes.
create table final_names (
    -- First instant of the window in which the exports arrived, in milliseconds since the Unix epoch.
    bucket_start_ms integer not null,
    -- The replica that heard them; another one after each start: 32 hexadecimal digits.
    replica text not null,
    -- The part of the services, 0 to 63: the first byte of the SHA-256 of a service's name, modulo 64.
    part integer not null,
    -- First instant after the window, in milliseconds since the Unix epoch.
    bucket_end_ms integer not null,
    -- Requests by service, name at start and final name, in the format of store/final_names_codec.rs; its
    -- first byte is the version.
    payload blob not null,
    primary key (bucket_start_ms, replica, part)
) strict;
