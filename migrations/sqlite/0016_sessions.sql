-- Sessions of browsers, beside tokens.
--
-- The release before takes a session for a token: only who holds its cookie could present it. What it creates is
-- a token.

-- token, or session: what the cookie of a browser holds, deleted once it has ended.
alter table token add column kind text not null default 'token';
