-- Who last wrote each object of the configuration, and from where.
--
-- The release before writes none: the newest one before its revision goes on.

-- Who last wrote each object of the document, and which parts belong to files: a JSON document. Filled in later
-- if a file takes over what is there; null: the release before wrote the revision.
alter table configuration add column origins text;
