-- The first tables.
--
-- Instants are whole milliseconds since the Unix epoch, in columns that end in _ms; only the
-- lease, which lives on the database's own clock, uses timestamptz. Ids are unsigned 32-bit
-- numbers of ours, kept as bigint so that their whole range fits.

create table delta (
    bucket_start_ms bigint not null,
    bucket_end_ms bigint not null,
    payload bytea not null
) partition by range (bucket_start_ms);
-- Already dense: compressing it again would cost most of the time of a commit.
alter table delta alter column payload set storage external;
create index delta_bucket_start_ms on delta (bucket_start_ms);
comment on table delta is 'What one flush of reports adds to one bucket; the counts of a bucket are the sum of its rows. Partitioned by the hour.';
comment on column delta.bucket_start_ms is 'First instant of the bucket, in milliseconds since the Unix epoch';
comment on column delta.bucket_end_ms is 'First instant after the bucket, in milliseconds since the Unix epoch';
comment on column delta.payload is 'Counts by operation and by agent, in the format of store/delta_codec.rs; its first byte is the version';

create table mark (
    agent text collate "C" not null,
    epoch uuid not null,
    last_sequence bigint not null,
    seen bigint not null,
    used_ms bigint not null,
    primary key (agent, epoch)
) with (fillfactor = 70);
comment on table mark is 'Which reports of each start of each agent have been counted, so that none counts twice. Rows change in place, hence the room left in each page.';
comment on column mark.agent is 'The agent''s name';
comment on column mark.epoch is 'New at every start of the agent';
comment on column mark.last_sequence is 'The highest report sequence counted';
comment on column mark.seen is '64 bits: bit i, counted from the lowest, says whether sequence last_sequence - i was counted';
comment on column mark.used_ms is 'The newest end of a counted report''s buckets, in milliseconds since the Unix epoch; 0 if it had none';

create table dictionary (
    only_row boolean primary key default true check (only_row),
    generation bigint not null,
    next_service_id bigint not null,
    next_operation_id bigint not null,
    services bigint not null,
    operations bigint not null
);
insert into dictionary (generation, next_service_id, next_operation_id, services, operations)
values (1, 1, 1, 0, 0);
comment on table dictionary is 'The dictionary''s counters: one row, locked by whoever adds or removes names, so that numbers become visible in rising order';
comment on column dictionary.only_row is 'True: there is one row';
comment on column dictionary.generation is 'Rises by one whenever names are removed';
comment on column dictionary.next_service_id is 'The number of the next new service';
comment on column dictionary.next_operation_id is 'The number of the next new operation';
comment on column dictionary.services is 'How many services there are, the overflow service not counted';
comment on column dictionary.operations is 'How many operations there are, overflow entries not counted';

create table service (
    service_id bigint primary key,
    name text collate "C" not null unique,
    operations bigint not null
);
insert into service (service_id, name, operations) values (0, '__other__', 0);
comment on table service is 'Services by number; 0 is the overflow service';
comment on column service.service_id is 'The service''s number, never reused';
comment on column service.name is 'The service''s name';
comment on column service.operations is 'How many operations it has, its overflow entry not counted';

create table operation (
    operation_id bigint primary key,
    service_id bigint not null references service,
    name text collate "C" not null,
    unique (service_id, name)
);
insert into operation (operation_id, service_id, name) values (0, 0, '__other__');
comment on table operation is 'Operations by number; each service has one named __other__, its counted overflow entry';
comment on column operation.operation_id is 'The operation''s number, never reused';
comment on column operation.service_id is 'The service it belongs to';
comment on column operation.name is 'The operation''s name';

create table lease (
    name text collate "C" primary key,
    holder uuid,
    epoch bigint not null,
    expires_at timestamptz not null
);
comment on table lease is 'Who may act alone, and until when';
comment on column lease.name is 'What the lease is for';
comment on column lease.holder is 'The replica that holds or held it; null once given back';
comment on column lease.epoch is 'The fencing epoch: rises by one whenever the holder changes';
comment on column lease.expires_at is 'When another may take it, on the database''s clock';

create table plan_head (
    only_row boolean primary key default true check (only_row),
    number bigint not null,
    published_ms bigint not null
);
insert into plan_head (number, published_ms) values (0, 0);
comment on table plan_head is 'The current plan: one row, swapped by each publication if the parent is still current';
comment on column plan_head.only_row is 'True: there is one row';
comment on column plan_head.number is 'The current plan''s number; 0 before the first';
comment on column plan_head.published_ms is 'When the current plan was published, in milliseconds since the Unix epoch; leads to its partitions';

create table plan (
    number bigint not null,
    epoch bigint not null,
    window_start_ms bigint not null,
    window_end_ms bigint not null,
    configuration_revision bigint not null,
    published_ms bigint not null,
    summary text not null,
    primary key (number, published_ms)
) partition by range (published_ms);
comment on table plan is 'Every plan published; numbers are unique because plan_head is. Partitioned by the day.';
comment on column plan.number is 'One more than the parent''s; the first is 1';
comment on column plan.epoch is 'The fencing epoch of the leader that computed it';
comment on column plan.window_start_ms is 'First instant of the window it answers, in milliseconds since the Unix epoch';
comment on column plan.window_end_ms is 'First instant after that window, in milliseconds since the Unix epoch';
comment on column plan.configuration_revision is 'The configuration revision it was computed from';
comment on column plan.published_ms is 'When it was published, in milliseconds since the Unix epoch';
comment on column plan.summary is 'Its figures for the fleet, a JSON document';

create table plan_body (
    number bigint not null,
    published_ms bigint not null,
    body bytea not null,
    primary key (number, published_ms)
) partition by range (published_ms);
alter table plan_body alter column body set storage external;
comment on table plan_body is 'The plans whole, kept for less long than their summaries. Partitioned by the hour.';
comment on column plan_body.number is 'The plan''s number';
comment on column plan_body.published_ms is 'When it was published, in milliseconds since the Unix epoch';
comment on column plan_body.body is 'The plan in the format of store/plan_codec.rs; its first byte is the version';

create table configuration (
    revision bigint primary key,
    document text not null,
    written_ms bigint not null
);
comment on table configuration is 'Every revision of the operators'' configuration';
comment on column configuration.revision is 'Rises by one with each write; the first is 1';
comment on column configuration.document is 'The JSON document';
comment on column configuration.written_ms is 'When it was written, in milliseconds since the Unix epoch';

create table history (
    window_start_ms bigint primary key,
    window_end_ms bigint not null,
    payload bytea not null
) partition by range (window_start_ms);
alter table history alter column payload set storage external;
comment on table history is 'What every operation offered, kept and was told, a row for each window. Partitioned by the day.';
comment on column history.window_start_ms is 'First instant of the window, in milliseconds since the Unix epoch';
comment on column history.window_end_ms is 'First instant after the window, in milliseconds since the Unix epoch';
comment on column history.payload is 'The operations, in the format of store/history_codec.rs; its first byte is the version';
