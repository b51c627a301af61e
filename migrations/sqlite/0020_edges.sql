-- Which edges follow the plan.
--
-- The release before writes none: it serves edges no plan.

-- The edges that ask for the plan, or did lately; rows are kept for an hour.
create table edge (
    -- The name of the edge, as in its reports.
    edge text not null primary key,
    -- What it calls itself, with its release; empty: it does not say.
    version text not null,
    -- The number of the plan that it had when it asked; 0: none, or one that is not known any more.
    plan integer not null,
    -- When it last asked or waited, on the machine's clock, in milliseconds since the Unix epoch.
    seen_ms integer not null default (cast((julianday('now') - 2440587.5) * 86400000 as integer))
) strict;
