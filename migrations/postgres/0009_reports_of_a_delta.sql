-- Which reports a delta is of, and what each agent counted of each service. The payload keeps the
-- format that the release before reads.

alter table delta add column reports bytea;
alter table delta alter column reports set storage external;
comment on column delta.reports is 'The reports and the counts by agent and service, in the format of store/delta_codec/agents.rs; its first byte is the version; null: the payload lists the agents';
