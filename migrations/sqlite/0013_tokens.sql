-- Who may do what, and who wrote a revision of the configuration.
--
-- The release before knows no tokens: it goes on answering everybody. What it writes of the configuration
-- says nobody's name.

-- The tokens that people and programs present; those that were revoked or ran out are kept for 30 days.
create table token (
    -- What a token is revoked by; not secret: 32 hexadecimal digits.
    id text not null primary key,
    -- SHA-256 of the whole token; the token itself is stored nowhere.
    digest blob not null unique,
    -- What its owner called it; not unique.
    name text not null,
    -- viewer, operator, admin or agent.
    role text not null,
    -- The services that it is limited to, as a list in JSON; an empty list: all services.
    services text not null,
    -- When it was created, in milliseconds since the Unix epoch.
    created_ms integer not null,
    -- Who created it: the name of a token, or local.
    created_by text not null,
    -- From when on it is refused, in milliseconds since the Unix epoch; null: never.
    expires_ms integer,
    -- When it was revoked, in milliseconds since the Unix epoch; null: it was not.
    revoked_ms integer
) strict;

-- Who wrote it: the name of a token, or local; null: the first start, or the release before.
alter table configuration add column written_by text;
