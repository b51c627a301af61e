-- Who last wrote each object of the configuration, and from where.
--
-- A replica of the release before writes none: the newest one before its revision goes on.

alter table configuration add column origins text;
comment on column configuration.origins is 'Who last wrote each object of the document, and which parts belong to files: a JSON document. Filled in later if a file takes over what is there; null: a replica of the release before wrote the revision';
