-- Tells a plan from another one that was published under the same number after the database had
-- gone back in time, as after a restore. SQLite has no UUIDs: an identity is 32 hexadecimal digits.

-- Which plan the number means: random, another one with each publication; zero before the first
-- plan.
alter table plan_head add column identity text not null
    default '00000000000000000000000000000000';
update plan_head set identity = lower(hex(randomblob(16))) where number > 0;

-- A process of the release before does not know the column: the trigger changes it then.
create trigger plan_head_change after update of number on plan_head
when old.number <> new.number and old.identity = new.identity
begin
    update plan_head set identity = lower(hex(randomblob(16)));
end;
