//! How much of the host may be asked for by somebody whom nobody knows: a repository's file.
//!
//! Each number is far above what people write by hand, and far below what makes a machine suffer. The
//! engine starts a process and some firewall rules for each published port, one after the other, and an
//! image of a thousand ports takes minutes to start. A section of the file that asks for more does not
//! apply; a command line that does is refused.

/// Ports that all services of a file, or all `--port` of a command, publish.
pub const PORTS: usize = 100;

/// Services that a file declares.
pub const SERVICES: usize = 50;

/// Environment variables that a file, or a command line with its files, sets.
pub const VARIABLES: usize = 1_000;

/// Mounts that a command line asks for.
pub const MOUNTS: usize = 100;

/// Mounts that a file asks for.
pub const FILE_MOUNTS: usize = 20;

/// Arguments of a build.
pub const BUILD_ARGS: usize = 100;
