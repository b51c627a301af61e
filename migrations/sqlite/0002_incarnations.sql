-- Identities that tell a database from one that has gone back in time, as after a restore.
--
-- Triggers set them, so that a process of the release before, which does not know them, changes
-- them too. SQLite has no UUIDs: they are 32 hexadecimal digits.

-- The dictionary's state: random, another one after every addition and removal of names; zero
-- while it has never had a name.
alter table dictionary add column incarnation text not null
    default '00000000000000000000000000000000';
update dictionary set incarnation = lower(hex(randomblob(16)))
where (generation, next_operation_id) <> (1, 1);

-- The states that the dictionary has been in, the newest among them. A state that is missing here
-- lies in another past, or too far back.
create table dictionary_chain (
    -- The state, as dictionary.incarnation had it.
    incarnation text primary key,
    -- dictionary.generation in that state.
    generation integer not null,
    -- dictionary.next_operation_id in that state: with the generation, it rises along the chain.
    next_operation_id integer not null
) strict;
create index dictionary_chain_order on dictionary_chain (generation, next_operation_id);
insert into dictionary_chain select incarnation, generation, next_operation_id from dictionary;

create trigger dictionary_change after update of generation, next_operation_id on dictionary
when (old.generation, old.next_operation_id) <> (new.generation, new.next_operation_id)
begin
    update dictionary set incarnation = lower(hex(randomblob(16)));
    insert into dictionary_chain select incarnation, generation, next_operation_id from dictionary;
end;
