//! Statements for `plan_head`, `plan` and `plan_body`.
//!
//! The head says when the current plan was published, which leads to its partitions.

pub(super) const SWAP_HEAD: &str = "\
-- plans: swap head
update plan_head set number = $3, identity = $4, published_ms = $5
where number = $1 and identity = $2";

/// Names the key, as every insert does, so a missing key is an error.
pub(super) const INSERT_PLAN: &str = "\
-- plans: insert plan
insert into plan (number, epoch, window_start_ms, window_end_ms, configuration_revision,
    published_ms, summary)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (number, published_ms) do nothing";

pub(super) const INSERT_BODY: &str = "\
-- plans: insert body
insert into plan_body (number, published_ms, body) values ($1, $2, $3)
on conflict (number, published_ms) do nothing";

pub(super) const READ_CURRENT: &str = "\
-- plans: read current
select head.number, head.identity, plan.epoch as term, plan.window_start_ms, plan.window_end_ms,
    plan.configuration_revision, head.published_ms, plan.summary, plan_body.body,
    (select incarnation from dictionary) as names
from plan_head as head
left join plan on plan.number = head.number and plan.published_ms = head.published_ms
left join plan_body on plan_body.number = head.number
    and plan_body.published_ms = head.published_ms
where head.number > 0";

/// Of a body that is not needed, only the first byte is read: bodies are stored uncompressed.
pub(super) const READ_READABLE: &str = "\
-- plans: read readable
select plan.number, null::uuid as identity, plan.epoch as term, plan.window_start_ms,
    plan.window_end_ms, plan.configuration_revision, plan.published_ms, plan.summary, plan_body.body,
    (select incarnation from dictionary) as names
from plan_body
join plan using (number, published_ms)
where plan_body.number < $1 and substring(plan_body.body from 1 for 1) between $2 and $3
order by plan_body.number desc
limit 1";
