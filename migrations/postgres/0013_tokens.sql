-- Who may do what, and who wrote a revision of the configuration.
--
-- A replica of the release before knows no tokens: it goes on answering everybody. What it writes of the
-- configuration says nobody's name.

create table token (
    id uuid primary key,
    digest bytea not null unique,
    name text not null,
    role text not null,
    services text not null,
    created_ms bigint not null,
    created_by text not null,
    expires_ms bigint,
    revoked_ms bigint
);
comment on table token is 'The tokens that people and programs present; those that were revoked or ran out are kept for 30 days';
comment on column token.id is 'What a token is revoked by; not secret';
comment on column token.digest is 'SHA-256 of the whole token; the token itself is stored nowhere';
comment on column token.name is 'What its owner called it; not unique';
comment on column token.role is 'viewer, operator, admin or agent';
comment on column token.services is 'The services that it is limited to, as a list in JSON; an empty list: all services';
comment on column token.created_ms is 'When it was created, in milliseconds since the Unix epoch';
comment on column token.created_by is 'Who created it: the name of a token, or local';
comment on column token.expires_ms is 'From when on it is refused, in milliseconds since the Unix epoch; null: never';
comment on column token.revoked_ms is 'When it was revoked, in milliseconds since the Unix epoch; null: it was not';

alter table configuration add column written_by text;
comment on column configuration.written_by is 'Who wrote it: the name of a token, or local; null: the first start, or the release before';
