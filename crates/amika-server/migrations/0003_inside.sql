-- What sandboxes are given at each start, by name: values stand in `secrets` alone.

-- Variables that are secrets, each with the secret's name.
ALTER TABLE sandboxes ADD COLUMN secret_env TEXT NOT NULL DEFAULT '{}';
-- What came of the sign-ins that were asked for.
ALTER TABLE sandboxes ADD COLUMN credentials TEXT NOT NULL DEFAULT '[]';

-- A conversation with an agent in a sandbox.
CREATE TABLE agent_sessions (
    id               TEXT PRIMARY KEY,
    sandbox_id       TEXT NOT NULL,
    sandbox_name     TEXT NOT NULL,
    user_id          TEXT NOT NULL,
    agent            TEXT NOT NULL,
    -- What the agent calls it.
    agent_session_id TEXT,
    status           TEXT NOT NULL CHECK (status IN ('active', 'completed', 'failed')),
    metadata         TEXT NOT NULL,
    started_at       INTEGER NOT NULL,
    ended_at         INTEGER,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX agent_sessions_of_sandbox ON agent_sessions (sandbox_id, updated_at);
CREATE INDEX agent_sessions_of_user ON agent_sessions (user_id, updated_at);

-- A message to an agent, and what it answered.
CREATE TABLE agent_turns (
    id         TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES agent_sessions (id) ON DELETE CASCADE,
    is_new     INTEGER NOT NULL CHECK (is_new IN (0, 1)),
    -- The job of amikad that runs it, from when it was started on.
    job        TEXT,
    state      TEXT NOT NULL CHECK (state IN ('running', 'completed', 'failed')),
    message    TEXT NOT NULL,
    is_error   INTEGER CHECK (is_error IN (0, 1)),
    result     TEXT,
    cost_usd   REAL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
CREATE INDEX agent_turns_of_session ON agent_turns (session_id, created_at);
CREATE INDEX agent_turns_running ON agent_turns (state) WHERE state = 'running';
