-- The first tables.
--
-- Instants are whole milliseconds since the Unix epoch, in columns that end in _ms. Ids are
-- unsigned 32-bit numbers.

-- What one flush of reports adds to one bucket; the counts of a bucket are the sum of its rows.
create table delta (
    -- First instant of the bucket, in milliseconds since the Unix epoch.
    bucket_start_ms integer not null,
    -- First instant after the bucket, in milliseconds since the Unix epoch.
    bucket_end_ms integer not null,
    -- Counts by operation and by agent, in the format of store/delta_codec.rs; its first byte is
    -- the version.
    payload blob not null
) strict;
create index delta_bucket_start_ms on delta (bucket_start_ms);

-- Which reports of each start of each agent have been counted, so that none counts twice.
create table mark (
    -- The agent's name.
    agent text not null,
    -- New at every start of the agent: a UUID in its hyphenated form.
    epoch text not null,
    -- The highest report sequence counted.
    last_sequence integer not null,
    -- 64 bits: bit i, counted from the lowest, says whether sequence last_sequence - i was
    -- counted.
    seen integer not null,
    -- The newest end of a counted report's buckets, in milliseconds since the Unix epoch; 0 if
    -- it had none.
    used_ms integer not null,
    primary key (agent, epoch)
) strict, without rowid;

-- The dictionary's counters: one row.
create table dictionary (
    -- 1: there is one row.
    only_row integer primary key check (only_row = 1),
    -- Rises by one whenever names are removed.
    generation integer not null,
    -- The number of the next new service.
    next_service_id integer not null,
    -- The number of the next new operation.
    next_operation_id integer not null,
    -- How many services there are, the overflow service not counted.
    services integer not null,
    -- How many operations there are, overflow entries not counted.
    operations integer not null
) strict;
insert into dictionary values (1, 1, 1, 1, 0, 0);

-- Services by number; 0 is the overflow service.
create table service (
    -- The service's number, never reused.
    service_id integer primary key,
    -- The service's name.
    name text not null unique,
    -- How many operations it has, its overflow entry not counted.
    operations integer not null
) strict;
insert into service values (0, '__other__', 0);

-- Operations by number; each service has one named __other__, its counted overflow entry.
create table operation (
    -- The operation's number, never reused.
    operation_id integer primary key,
    -- The service it belongs to.
    service_id integer not null references service (service_id),
    -- The operation's name.
    name text not null,
    unique (service_id, name)
) strict;
insert into operation values (0, 0, '__other__');

-- Who may act alone, and until when.
create table lease (
    -- What the lease is for.
    name text primary key,
    -- The replica that holds or held it, a UUID in its hyphenated form; null once given back.
    holder text,
    -- The fencing epoch: rises by one whenever the holder changes.
    epoch integer not null,
    -- When another may take it, in milliseconds since the Unix epoch on the machine's clock.
    expires_ms integer not null
) strict;

-- The current plan: one row, swapped by each publication if the parent is still current.
create table plan_head (
    -- 1: there is one row.
    only_row integer primary key check (only_row = 1),
    -- The current plan's number; 0 before the first.
    number integer not null
) strict;
insert into plan_head values (1, 0);

-- Every plan published.
create table plan (
    -- One more than the parent's; the first is 1.
    number integer primary key,
    -- The fencing epoch of the leader that computed it.
    epoch integer not null,
    -- First instant of the window it answers, in milliseconds since the Unix epoch.
    window_start_ms integer not null,
    -- First instant after that window, in milliseconds since the Unix epoch.
    window_end_ms integer not null,
    -- The configuration revision it was computed from.
    configuration_revision integer not null,
    -- When it was published, in milliseconds since the Unix epoch.
    published_ms integer not null,
    -- Its figures for the fleet, a JSON document.
    summary text not null
) strict;
create index plan_published_ms on plan (published_ms);

-- The plans whole, kept for less long than their summaries.
create table plan_body (
    -- The plan's number.
    number integer primary key,
    -- When it was published, in milliseconds since the Unix epoch.
    published_ms integer not null,
    -- The plan in the format of store/plan_codec.rs; its first byte is the version.
    body blob not null
) strict;
create index plan_body_published_ms on plan_body (published_ms);

-- Every revision of the operators' configuration.
create table configuration (
    -- Rises by one with each write; the first is 1.
    revision integer primary key,
    -- The JSON document.
    document text not null,
    -- When it was written, in milliseconds since the Unix epoch.
    written_ms integer not null
) strict;

-- What every operation offered, kept and was told, a row for each window.
create table history (
    -- First instant of the window, in milliseconds since the Unix epoch.
    window_start_ms integer primary key,
    -- First instant after the window, in milliseconds since the Unix epoch.
    window_end_ms integer not null,
    -- The operations, in the format of store/history_codec.rs; its first byte is the version.
    payload blob not null
) strict;
