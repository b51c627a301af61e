-- Tells a plan from another one that was published under the same number after the database had
-- gone back in time, as after a failover to a lagging standby or a restore.

alter table plan_head add column identity uuid not null
    default '00000000-0000-0000-0000-000000000000';
update plan_head set identity = gen_random_uuid() where number > 0;
comment on column plan_head.identity is 'Which plan the number means: random, another one with each publication; zero before the first plan';

-- A replica of the release before does not know the column: the trigger changes it then.
create function plan_head_change() returns trigger language plpgsql as $$
begin
    new.identity := gen_random_uuid();
    return new;
end
$$;
create trigger plan_head_change before update on plan_head for each row
when (old.number <> new.number and old.identity = new.identity)
execute function plan_head_change();
comment on function plan_head_change is 'Gives an identity to a plan that a release without identities publishes';
