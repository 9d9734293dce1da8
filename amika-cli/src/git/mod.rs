//! Repositories of the host: what they hold, and how it gets into a sandbox.
