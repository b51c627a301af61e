-- What replicas see beside the counts that plans are made from.
--
-- A replica of the release before neither reads nor writes it. What it sees is missing.

create table observation (
    bucket_start_ms bigint not null,
    replica uuid not null,
    kind text not null,
    bucket_end_ms bigint not null,
    payload bytea not null,
    primary key (bucket_start_ms, replica, kind)
);
comment on table observation is 'Who polled, whose reports were refused, and how many spans were sampled, as each replica saw it in each window; rows are kept for an hour, and for 64 windows at least';
comment on column observation.bucket_start_ms is 'First instant of the window, in milliseconds since the Unix epoch';
comment on column observation.replica is 'The replica that saw it; another one after each start';
comment on column observation.kind is 'pollers, refused or spans';
comment on column observation.bucket_end_ms is 'First instant after the window, in milliseconds since the Unix epoch';
comment on column observation.payload is 'What was seen, in the format of store/observations_codec.rs; its first byte is the version';
