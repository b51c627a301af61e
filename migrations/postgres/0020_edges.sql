-- Which edges follow the plan.
--
-- A replica of the release before writes none: it serves edges no plan.

create table edge (
    edge text primary key,
    version text not null,
    plan bigint not null,
    seen_ms bigint not null default (extract(epoch from clock_timestamp()) * 1000)::bigint
) with (fillfactor = 50);
comment on table edge is 'The edges that ask for the plan, or did lately. Rows change in place, hence the room left in each page; rows are kept for an hour';
comment on column edge.edge is 'The name of the edge, as in its reports';
comment on column edge.version is 'What it calls itself, with its release; empty: it does not say';
comment on column edge.plan is 'The number of the plan that it had when it asked; 0: none, or one that is not known any more';
comment on column edge.seen_ms is 'When it last asked or waited, on the database''s clock, in milliseconds since the Unix epoch';
