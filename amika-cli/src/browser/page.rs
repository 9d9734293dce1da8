//! The page that leads a browser to its address. A command line is everybody's to read, a file is not.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use amika_core::hex::hex;
use amika_host::machine::Machine;

/// A page in a directory of our own; both are removed when it is dropped.
pub(crate) struct Page {
    directory: tempfile::TempDir,
}

const NAME: &str = "open.html";

impl Page {
    /// Writes a page that leads to `url`, for this user's eyes only.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn write(url: &str, machine: &Machine) -> std::io::Result<Self> {
        Self::write_in(place(machine), url)
    }

    fn write_in(place: &Path, url: &str) -> std::io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("amika-open-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(place)?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.path().join(NAME))?;
        file.write_all(html(url).as_bytes())?;
        Ok(Self { directory })
    }

    /// Its address, in which there is no secret.
    pub(crate) fn url(&self) -> String {
        file_url(&self.directory.path().join(NAME))
    }
}

/// The directory of this session, which ends with it, else that of temporary files.
fn place(machine: &Machine) -> &Path {
    let own = rustix::process::geteuid().as_raw();
    machine
        .variable("XDG_RUNTIME_DIR")
        .map(Path::new)
        .filter(|place| place.is_absolute())
        .filter(|place| {
            place
                .metadata()
                .is_ok_and(|data| data.is_dir() && data.uid() == own)
        })
        .unwrap_or_else(|| machine.temporary())
}

/// `url` is ours: hexadecimal digits and a host name.
fn html(url: &str) -> String {
    format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>OpenCode</title>\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta http-equiv=\"refresh\" content=\"0; url={url}\"></head>\n\
         <body><a rel=\"noreferrer\" href=\"{url}\">OpenCode</a></body></html>\n"
    )
}

fn file_url(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.push('%');
            url.push_str(&hex(&[*byte]).to_ascii_uppercase());
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_users_own_and_goes_with_its_value() {
        let place = tempfile::tempdir().expect("a temp dir");
        let page = Page::write_in(place.path(), "http://127.0.0.1:1/amika/k").expect("written");
        let url = page.url();
        assert!(!url.contains("amika/k"), "{url}");
        let file = Path::new(url.strip_prefix("file://").expect("a file"));
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(file), 0o600);
        assert_eq!(mode(file.parent().expect("a directory")), 0o700);
        let text = std::fs::read_to_string(file).expect("read");
        assert!(
            text.contains("content=\"0; url=http://127.0.0.1:1/amika/k\""),
            "{text}"
        );
        drop(page);
        assert_eq!(std::fs::read_dir(place.path()).expect("the dir").count(), 0);
    }

    #[test]
    fn odd_paths_are_addresses_too() {
        assert_eq!(
            file_url(Path::new("/tmp/ä b#%/x")),
            "file:///tmp/%C3%A4%20b%23%25/x"
        );
    }
}
