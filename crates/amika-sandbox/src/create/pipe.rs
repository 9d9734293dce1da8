//! A named pipe into a container that runs on this machine's own kernel.
//!
//! What goes through it passes neither the engine nor its API. A container elsewhere, on another machine
//! or in a virtual machine on this one, sees a pipe too, but not this one: amikad tells by the kernel's
//! boot id.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use amika_engine::MountSpec;
use amika_host::machine::Machine;
use amika_host::scratch::Scratch;

/// Where the pipe's directory is mounted in the container.
const MOUNTED: &str = "/run/amikad-fill";
const NAME: &str = "pipe";
/// The id that one boot of one kernel has in all of its containers, see random(4).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A pipe in a temporary directory; both go when it is dropped.
pub(super) struct Pipe {
    scratch: Scratch,
    /// This kernel's boot.
    pub boot_id: String,
}

impl Pipe {
    /// Makes one; `None` where a container cannot share it.
    pub(super) fn make(machine: &Machine) -> Option<Self> {
        let boot_id = std::fs::read_to_string(BOOT_ID).ok()?.trim().to_owned();
        let pipe = Self {
            scratch: machine.scratches().make(machine.temporary()).ok()?,
            boot_id,
        };
        pipe.make_node().ok()?;
        Some(pipe)
    }

    #[cfg(target_os = "linux")]
    fn make_node(&self) -> io::Result<()> {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        Ok(mknodat(
            CWD,
            self.path(),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )?)
    }

    #[cfg(not(target_os = "linux"))]
    fn make_node(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join(NAME)
    }

    /// The mount that a container needs; read-only, so that it can leave nothing on the host.
    pub(super) fn mount(&self) -> MountSpec {
        MountSpec::Bind {
            source: self.scratch.path().to_string_lossy().into_owned(),
            target: MOUNTED.into(),
            read_only: true,
        }
    }

    /// The pipe's path in the container.
    pub(super) fn mounted() -> String {
        format!("{MOUNTED}/{NAME}")
    }

    /// The writing end, once somebody has opened the reading end. Writing to it waits.
    ///
    /// # Errors
    /// When it cannot be opened for another reason than that nobody reads.
    pub(super) fn writer(&self) -> io::Result<Option<File>> {
        use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match open(self.path(), flags, Mode::empty()) {
            Ok(opened) => {
                fcntl_setfl(&opened, OFlags::empty())?;
                Ok(Some(opened.into()))
            }
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}
