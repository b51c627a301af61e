-- Identities that tell a database from one that has gone back in time, as after a failover to a
-- lagging standby or a restore.
--
-- Triggers set them, so that a replica of the release before, which does not know them, changes
-- them too.

alter table dictionary add column incarnation uuid not null
    default '00000000-0000-0000-0000-000000000000';
update dictionary set incarnation = gen_random_uuid() where (generation, next_operation_id) <> (1, 1);
comment on column dictionary.incarnation is 'The dictionary''s state: random, another one after every addition and removal of names; zero while it has never had a name';

create table dictionary_chain (
    incarnation uuid primary key,
    generation bigint not null,
    next_operation_id bigint not null
);
create index dictionary_chain_order on dictionary_chain (generation, next_operation_id);
insert into dictionary_chain select incarnation, generation, next_operation_id from dictionary;
comment on table dictionary_chain is 'The states that the dictionary has been in, the newest among them. A state that is missing here lies in another past, or too far back.';
comment on column dictionary_chain.incarnation is 'The state, as dictionary.incarnation had it';
comment on column dictionary_chain.generation is 'dictionary.generation in that state';
comment on column dictionary_chain.next_operation_id is 'dictionary.next_operation_id in that state: with the generation, it rises along the chain';

create function dictionary_change() returns trigger language plpgsql as $$
begin
    new.incarnation := gen_random_uuid();
    -- The tables need not be on the search path of whoever changes them.
    execute format(
        'insert into %I.dictionary_chain (incarnation, generation, next_operation_id) values ($1, $2, $3)',
        tg_table_schema
    ) using new.incarnation, new.generation, new.next_operation_id;
    return new;
end
$$;
create trigger dictionary_change before update on dictionary for each row
when ((old.generation, old.next_operation_id) <> (new.generation, new.next_operation_id))
execute function dictionary_change();
comment on function dictionary_change is 'Gives the dictionary another incarnation with every addition and removal of names';
