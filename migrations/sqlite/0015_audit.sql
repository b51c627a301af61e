-- Who changed what, and which replicas there are.
--
-- The release before writes neither: its changes leave no entry, and it is not listed.

-- What somebody changed. Rows are only added, and deleted when they are old; measured is filled in
-- once. 20,000 rows and 400 days at most.
create table audit (
    -- Rises with each row.
    id integer primary key autoincrement,
    -- When, on the machine's clock, in milliseconds since the Unix epoch.
    at_ms integer not null default (cast((julianday('now') - 2440587.5) * 86400000 as integer)),
    -- Who: the name of a token, local, or the subject of a person.
    by_name text not null,
    -- What kind of name that is: token, bootstrap, local, or how the person signed in.
    by_kind text not null,
    -- The role that it had; null: it needed none.
    by_role text,
    -- The address that the request came from; null: on the host.
    address text,
    -- What sent it: api, cli, file or ui.
    origin text not null,
    -- What was done, like budget.changed.
    action text not null,
    -- What it was done to: a rule, a token, a service; null: the whole configuration.
    subject text,
    -- Why, in the words of who did it; null: not said.
    reason text,
    -- The revision of the configuration before; null: the configuration was not changed.
    revision_before integer,
    -- The revision of the configuration after; null: the configuration was not changed.
    revision_after integer,
    -- What differs, a JSON document of 64 KiB at most.
    change text not null,
    -- The effect that was expected, a JSON document; null: none was computed.
    predicted text,
    -- The effect that was seen some windows later, a JSON document; null: not yet.
    measured text
) strict;
create index audit_at_ms on audit (at_ms);

-- The replicas that run, or ran until lately; rows are kept for an hour.
create table replica (
    -- The replica, 32 hexadecimal digits; another one after each start.
    replica text not null primary key,
    -- The name of its machine, and its process.
    host text not null,
    -- Its release.
    version text not null,
    -- When it started, in milliseconds since the Unix epoch.
    started_ms integer not null,
    -- When it was last there, on the machine's clock, in milliseconds since the Unix epoch.
    seen_ms integer not null default (cast((julianday('now') - 2440587.5) * 86400000 as integer)),
    -- The number of the plan that it serves; 0: none.
    plan integer not null
) strict;
