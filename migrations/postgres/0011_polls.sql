-- How often SDKs asked each replica for their strategies.

create table polls (
    bucket_start_ms bigint not null,
    replica uuid not null,
    bucket_end_ms bigint not null,
    from_ms bigint not null,
    until_ms bigint not null,
    incarnation uuid not null,
    payload bytea not null,
    primary key (bucket_start_ms, replica)
);
comment on table polls is 'The polls that each replica answered in each window. A replica writes a row for every window, also when nobody polled; rows are kept for 64 windows';
comment on column polls.bucket_start_ms is 'First instant of the window, in milliseconds since the Unix epoch';
comment on column polls.replica is 'The replica that counted; another one after each start';
comment on column polls.bucket_end_ms is 'First instant after the window, in milliseconds since the Unix epoch';
comment on column polls.from_ms is 'The instant from which on the replica counted, in milliseconds since the Unix epoch; after the start of the window if it began in it';
comment on column polls.until_ms is 'The instant up to which it counted, in milliseconds since the Unix epoch; before the end of the window if the replica stopped in it';
comment on column polls.incarnation is 'The state of the dictionary in which the numbers of the services mean what was polled';
comment on column polls.payload is 'Polls by service, in the format of store/polls_codec.rs; its first byte is the version';
