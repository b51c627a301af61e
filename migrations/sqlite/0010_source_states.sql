-- What is known of a source of OpenTelemetry between its exports. It is stored with the mark that makes
-- its counts add once, so that both change in one transaction.
--
-- A replica of the release before takes no such exports. It neither reads nor writes the column.

-- What was counted of each stream of the source, in the format of ingest/streams/codec.rs; its first byte
-- is the version. last_sequence counts its changes. Null: an agent, which sends counts of windows.
alter table mark add column state blob;
