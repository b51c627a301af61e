-- Which reports a delta is of, and what each agent counted of each service, in the format of
-- store/delta_codec/agents.rs. Null: the payload lists the agents. The payload keeps the format that
-- the release before reads.

alter table delta add column reports blob;
