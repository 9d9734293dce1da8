-- Times are milliseconds since the Unix epoch. Ids are random. JSON stands in TEXT.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    email      TEXT,
    role       TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    disabled   INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    git_name   TEXT,
    git_email  TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,
    shown        TEXT NOT NULL,
    scopes       TEXT NOT NULL,
    last_used_at INTEGER,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX api_keys_of_user ON api_keys (user_id, created_at);

CREATE TABLE sign_in_links (
    hash       BLOB PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    cookie_hash  BLOB PRIMARY KEY,
    second_hash  BLOB NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE repositories (
    id                TEXT PRIMARY KEY,
    canonical_url     TEXT NOT NULL UNIQUE,
    repo_url          TEXT NOT NULL,
    user_id           TEXT NOT NULL,
    setup_script      TEXT,
    setup_script_text TEXT,
    start_script      TEXT,
    sandbox_preset    TEXT,
    sandbox_size      TEXT,
    default_snapshot  TEXT,
    env_vars          TEXT,
    -- Whether the definitions here count, none at all included, and not those of the file.
    services_saved    INTEGER NOT NULL DEFAULT 0 CHECK (services_saved IN (0, 1)),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
) STRICT;

CREATE TABLE services (
    id            TEXT PRIMARY KEY,
    repository_id TEXT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    ports         TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (repository_id, name)
) STRICT;

CREATE TABLE secrets (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind        TEXT NOT NULL,
    scope       TEXT NOT NULL CHECK (scope IN ('user', 'org')),
    name        TEXT NOT NULL,
    description TEXT,
    type        TEXT,
    sealed      BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX secrets_by_name
    ON secrets (kind, scope, CASE scope WHEN 'org' THEN '' ELSE user_id END, name);

-- What the engine cannot hold of a sandbox, since labels cannot change.
CREATE TABLE sandboxes (
    id                   TEXT PRIMARY KEY,
    user_id              TEXT NOT NULL REFERENCES users (id),
    name                 TEXT NOT NULL,
    request              TEXT NOT NULL,
    auto_stop_interval   INTEGER NOT NULL,
    auto_delete_interval INTEGER,
    keep_awake_until     INTEGER,
    metadata             TEXT NOT NULL,
    failure              TEXT,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL
) STRICT;
CREATE INDEX sandboxes_of_user ON sandboxes (user_id);

CREATE TABLE operations (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    sandbox_id   TEXT NOT NULL,
    sandbox_name TEXT NOT NULL,
    user_id      TEXT,
    state        TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed', 'canceled')),
    error        TEXT,
    result       TEXT,
    created_at   INTEGER NOT NULL,
    ended_at     INTEGER
) STRICT;
CREATE INDEX operations_of_sandbox ON operations (sandbox_id, created_at);
CREATE INDEX operations_running ON operations (state) WHERE state = 'running';

CREATE TABLE lifecycle_events (
    id         INTEGER PRIMARY KEY,
    sandbox_id TEXT NOT NULL,
    user_id    TEXT,
    run_kind   TEXT NOT NULL,
    step       TEXT NOT NULL,
    status     TEXT NOT NULL,
    detail     TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX lifecycle_events_of_sandbox ON lifecycle_events (sandbox_id, id);

CREATE TABLE idempotency (
    user_id     TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status      INTEGER,
    body        TEXT,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (user_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id           INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    user_id      TEXT,
    user_name    TEXT,
    key_id       TEXT,
    action       TEXT NOT NULL,
    target       TEXT,
    from_address TEXT NOT NULL,
    status       INTEGER NOT NULL,
    trace_id     TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_time ON audit (at);
