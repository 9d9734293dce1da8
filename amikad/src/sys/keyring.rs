//! Whether the kernel's keyrings may be used.

use nix::libc;

/// Whether a filter keeps the calls for keyrings back, as engines' own profiles do. A kernel without keyrings keeps
/// nothing back: who finds none goes on without.
pub(crate) fn keyrings_are_filtered() -> bool {
    // SAFETY: asks for a number; takes three integers, and reads or writes no memory of ours.
    let found = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_GET_KEYRING_ID,
            libc::KEY_SPEC_SESSION_KEYRING,
            0,
        )
    };
    let error = std::io::Error::last_os_error();
    // ENOKEY would be one that is not there, ENOSYS a kernel without.
    found == -1 && error.raw_os_error() == Some(libc::EPERM)
}
