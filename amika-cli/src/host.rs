//! This machine and its user: directories, name, and clock.

use std::path::PathBuf;

/// The user's home directory; `/` when there is none.
pub fn home_dir() -> PathBuf {
    std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .unwrap_or_else(|| "/".into())
}

/// Where docker keeps its configuration: `$DOCKER_CONFIG`, else `~/.docker`.
pub fn docker_config_dir() -> PathBuf {
    std::env::var_os("DOCKER_CONFIG")
        .filter(|value| !value.is_empty())
        .map_or_else(|| home_dir().join(".docker"), PathBuf::from)
}

/// Where Amika keeps what belongs to the user: `$XDG_DATA_HOME/amika`, else `~/.local/share/amika`.
pub fn data_dir() -> PathBuf {
    xdg("XDG_DATA_HOME", ".local/share")
}

/// Where the user's settings are: `$XDG_CONFIG_HOME/amika`, else `~/.config/amika`.
pub fn config_dir() -> PathBuf {
    xdg("XDG_CONFIG_HOME", ".config")
}

/// Where Amika keeps what one boot of the machine needs, such as locks: `$XDG_RUNTIME_DIR/amika`,
/// else the data directory.
pub fn runtime_dir() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR")
        .filter(|value| !value.is_empty())
        .map_or_else(
            || data_dir().join("run"),
            |dir| PathBuf::from(dir).join("amika"),
        )
}

fn xdg(variable: &str, fallback: &str) -> PathBuf {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute())
        .unwrap_or_else(|| home_dir().join(fallback))
        .join("amika")
}

/// Milliseconds since the Unix epoch.
pub fn now_millis() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| {
            u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
        })
}
