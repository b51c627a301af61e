//! Statements for `plan_head`, `plan` and `plan_body`.

pub(super) const SWAP_HEAD: &str = "\
-- plans: swap head
update plan_head set number = $3, identity = $4 where number = $1 and identity = $2";

pub(super) const INSERT_PLAN: &str = "\
-- plans: insert plan
insert into plan (number, epoch, window_start_ms, window_end_ms, configuration_revision,
    published_ms, summary)
values ($1, $2, $3, $4, $5, $6, $7)";

pub(super) const INSERT_BODY: &str = "\
-- plans: insert body
insert into plan_body (number, published_ms, body) values ($1, $2, $3)";

pub(super) const READ_CURRENT: &str = "\
-- plans: read current
select head.number, head.identity, plan.epoch as term, plan.window_start_ms, plan.window_end_ms,
    plan.configuration_revision, plan.published_ms, plan.summary, plan_body.body,
    (select incarnation from dictionary) as names
from plan_head as head
left join plan on plan.number = head.number
left join plan_body on plan_body.number = head.number
where head.number > 0";

pub(super) const READ_READABLE: &str = "\
-- plans: read readable
select plan.number, null as identity, plan.epoch as term, plan.window_start_ms, plan.window_end_ms,
    plan.configuration_revision, plan.published_ms, plan.summary, plan_body.body,
    (select incarnation from dictionary) as names
from plan_body
join plan using (number)
where plan_body.number < $1 and substr(plan_body.body, 1, 1) between $2 and $3
order by plan_body.number desc
limit 1";
