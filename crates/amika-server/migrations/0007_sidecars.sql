-- The container that a saved service is, beside the sandbox, as JSON; none for a part of the repository's own program.
ALTER TABLE services ADD COLUMN sidecar TEXT;
