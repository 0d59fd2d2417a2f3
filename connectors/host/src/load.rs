//! From a folder on disk to bytes that may be run: read once, verify those very bytes, seal them.
//!
//! A check on a path says nothing about what a later open of that path will read. So each file is opened once, without
//! following links, its bytes are read into memory and everything after works on them: the signature is checked over
//! them, the manifest is parsed from them, the library's hash is taken of them, and they are written to an anonymous file
//! that is sealed against every change. The child gets that file's descriptor, never a path.

use crate::manifest::{MANIFEST_FILE, MAX_MANIFEST, Manifest, ManifestFault, SIGNATURE_FILE};
use crate::trust::{MAX_SIGNATURE, TrustFault, TrustStore};
use notify_core::ids::hex;
use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Longest library, in bytes.
pub const MAX_LIBRARY: usize = 64 * 1024 * 1024;

/// Why a plug-in was refused before any of its code ran. For the operator.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    #[error("`{file}` cannot be read: {error}")]
    Io { file: String, error: std::io::Error },
    #[error("`{file}` is a symbolic link")]
    Symlink { file: String },
    #[error("`{file}` is not a plain file")]
    NotPlain { file: String },
    #[error("`{file}` has more than {limit} bytes")]
    TooLarge { file: String, limit: usize },
    #[error("`{file}` can be changed by others: {reason}")]
    Exposed { file: String, reason: &'static str },
    #[error(transparent)]
    Manifest(#[from] ManifestFault),
    #[error(transparent)]
    Trust(#[from] TrustFault),
    #[error("the manifest is for `{manifest}`, but the folder is named `{folder}`")]
    Name { manifest: String, folder: String },
    #[error("`{file}` has SHA-256 {actual}, but the signed manifest says {expected}")]
    Hash { file: String, expected: String, actual: String },
}

/// A plug-in whose signature and hash were verified, with its sealed library.
#[derive(Debug)]
pub struct Verified {
    pub manifest: Manifest,
    /// Whose signature it carries.
    pub key_id: String,
    pub sha256: String,
    /// Sealed anonymous file, named by the SHA-256.
    pub library: OwnedFd,
}

/// Reads and verifies the plug-in in `folder`.
///
/// # Errors
/// [`LoadFault`]; none of its code has run.
pub fn verify(folder: &Path, trust: &TrustStore) -> Result<Verified, LoadFault> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    check_owner(folder)?;
    let folder_fd = rustix::fs::open(
        folder,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| not_opened(&name, error))?;

    let manifest_bytes = read(&folder_fd, MANIFEST_FILE, MAX_MANIFEST)?;
    let signature = read(&folder_fd, SIGNATURE_FILE, MAX_SIGNATURE)?;
    // The signature first: an unsigned manifest is not even parsed.
    let key_id = trust.verify(&manifest_bytes, &signature)?;
    let manifest = Manifest::parse(&manifest_bytes)?;
    if manifest.name != name {
        return Err(LoadFault::Name { manifest: manifest.name, folder: name });
    }

    let file = manifest.file()?;
    let bytes = read(&folder_fd, &file.name, MAX_LIBRARY)?;
    let sha256 = hex(&Sha256::digest(&bytes));
    if sha256 != file.sha256 {
        return Err(LoadFault::Hash {
            file: file.name.clone(),
            expected: file.sha256.clone(),
            actual: sha256,
        });
    }
    let library = seal(&sha256, &bytes).map_err(|error| LoadFault::Io { file: file.name.clone(), error })?;
    Ok(Verified { manifest, key_id, sha256, library })
}

/// Refuses a folder that somebody else could write to. The signature protects the content anyway; this protects the
/// trust store, and notices a careless installation.
pub(crate) fn check_owner(folder: &Path) -> Result<(), LoadFault> {
    let file = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let meta =
        std::fs::symlink_metadata(folder).map_err(|error| LoadFault::Io { file: file.clone(), error })?;
    if meta.is_symlink() {
        return Err(LoadFault::Symlink { file });
    }
    let us = rustix::process::geteuid().as_raw();
    if meta.uid() != us && meta.uid() != 0 {
        return Err(LoadFault::Exposed { file, reason: "it belongs to another user" });
    }
    if meta.mode() & 0o002 != 0 {
        return Err(LoadFault::Exposed { file, reason: "everybody may write to it" });
    }
    Ok(())
}

fn not_opened(file: &str, error: rustix::io::Errno) -> LoadFault {
    let file = file.to_owned();
    // NOFOLLOW answers ELOOP for a link, and ENOTDIR for one where a folder was asked for.
    if error == rustix::io::Errno::LOOP {
        LoadFault::Symlink { file }
    } else {
        LoadFault::Io { file, error: error.into() }
    }
}

fn read(folder: &OwnedFd, name: &str, limit: usize) -> Result<Vec<u8>, LoadFault> {
    let file = || name.to_owned();
    let io = |error| LoadFault::Io { file: file(), error };
    // NONBLOCK: a FIFO in its place must not hang the host.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened =
        rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(|error| not_opened(name, error))?;
    let opened = File::from(opened);
    let meta = opened.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(LoadFault::NotPlain { file: file() });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0).min(limit));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    opened.take(most).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > limit {
        return Err(LoadFault::TooLarge { file: file(), limit });
    }
    Ok(bytes)
}

fn seal(name: &str, bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let fd = OwnedFd::from(file);
    rustix::fs::fcntl_add_seals(
        &fd,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(fd)
}
