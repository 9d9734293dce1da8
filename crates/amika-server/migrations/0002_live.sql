-- Whose the sandbox was when the operation began: who may follow it also after the sandbox is gone.
ALTER TABLE operations ADD COLUMN owner_id TEXT;
-- What was asked for besides its kind, so that whoever takes it up after a kill does what was meant.
ALTER TABLE operations ADD COLUMN detail TEXT;

ALTER TABLE lifecycle_events ADD COLUMN operation_id TEXT;
CREATE INDEX lifecycle_events_of_operation ON lifecycle_events (operation_id, id);

-- What is older than 90 days goes, of idempotency keys what is older than a day.
CREATE INDEX operations_by_time ON operations (created_at);
CREATE INDEX lifecycle_events_by_time ON lifecycle_events (created_at);
CREATE INDEX idempotency_by_time ON idempotency (created_at);

-- Quotas of a user's own; where there is none the configuration's holds. Memory in bytes.
ALTER TABLE users ADD COLUMN max_sandboxes INTEGER;
ALTER TABLE users ADD COLUMN max_cpus INTEGER;
ALTER TABLE users ADD COLUMN max_memory INTEGER;

-- What a sandbox counts for, memory in bytes: none where it may use all that the engine gives to one.
ALTER TABLE sandboxes ADD COLUMN cpus INTEGER;
ALTER TABLE sandboxes ADD COLUMN memory INTEGER;
