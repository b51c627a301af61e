-- The names that spans have at their end, beside the names that samplers are asked with.
--
-- A replica of the release before neither reads nor writes them. What it hears is missing.

create table final_names (
    bucket_start_ms bigint not null,
    replica uuid not null,
    part bigint not null,
    bucket_end_ms bigint not null,
    payload bytea not null,
    primary key (bucket_start_ms, replica, part)
);
comment on table final_names is 'The requests by final name that each replica heard of in each window, for people; rows are kept for at least 15 minutes';
comment on column final_names.bucket_start_ms is 'First instant of the window in which the exports arrived, in milliseconds since the Unix epoch';
comment on column final_names.replica is 'The replica that heard them; another one after each start';
comment on column final_names.part is 'The part of the services, 0 to 63: the first byte of the SHA-256 of a service''s name, modulo 64';
comment on column final_names.bucket_end_ms is 'First instant after the window, in milliseconds since the Unix epoch';
comment on column final_names.payload is 'Requests by service, name at start and final name, in the format of store/final_names_codec.rs; its first byte is the version';
