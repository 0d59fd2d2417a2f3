//! Secret files: opened beneath the tenant's folder by the kernel's own path walk, cached by the file's identity.

use super::{MAX_BYTES, SecretReason, SecretValue, checked_text};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// The cache is a convenience, not a store: when it is full it starts anew.
const MAX_CACHED: usize = 4_096;

pub(super) struct FileSecrets {
    directory: PathBuf,
    cache: Mutex<HashMap<PathBuf, (Identity, SecretValue)>>,
}

/// Changes whenever the file is replaced or written. The change time is included because `cp -p` and editors can
/// restore the modification time, but nobody can restore the change time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion)] // field widths differ between architectures
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }
}

impl FileSecrets {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, cache: Mutex::new(HashMap::new()) }
    }

    /// The fast path compares the identity of whatever the path leads to now with the file that was opened safely
    /// before. A link that has since been turned elsewhere has another identity and goes through the safe open.
    pub(super) fn read(&self, tenant: &str, path: &str) -> Result<SecretValue, SecretReason> {
        let full = self.directory.join(tenant).join(path);
        let now = rustix::fs::stat(&full).map_err(reason)?;
        let identity = Identity::of(&now);
        if let Some((known, value)) = self.lock().get(&full)
            && *known == identity
        {
            return Ok(value.clone());
        }
        let (identity, value) = self.open_and_read(tenant, path)?;
        let mut cache = self.lock();
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(full, (identity, value.clone()));
        Ok(value)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Identity, SecretValue)>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_and_read(&self, tenant: &str, path: &str) -> Result<(Identity, SecretValue), SecretReason> {
        let folder_flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::PATH;
        let root: OwnedFd =
            rustix::fs::openat(CWD, &self.directory, folder_flags, Mode::empty()).map_err(reason)?;
        // The tenant's folder itself may not be a link: it could be one to another tenant's.
        let folder = rustix::fs::openat(&root, tenant, folder_flags | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| match errno {
                Errno::LOOP | Errno::NOTDIR => SecretReason::Outside,
                other => reason(other),
            })?;
        // Links that stay inside are allowed: Kubernetes mounts secrets as `NAME -> ..data/NAME`. NONBLOCK keeps a
        // FIFO from hanging the attempt.
        let descriptor = rustix::fs::openat2(
            &folder,
            path,
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        )
        .map_err(reason)?;
        let stat = rustix::fs::fstat(&descriptor).map_err(reason)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(SecretReason::NotAFile);
        }
        let identity = Identity::of(&stat);
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 3));
        File::from(descriptor)
            .take(MAX_BYTES + 3)
            .read_to_end(&mut bytes)
            .map_err(|error| SecretReason::Unreadable(error.kind()))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            if bytes.len() as u64 > MAX_BYTES { SecretReason::TooLarge } else { SecretReason::NotText }
        })?;
        Ok((identity, checked_text(text)?))
    }
}

fn reason(errno: Errno) -> SecretReason {
    match errno {
        Errno::NOENT | Errno::NOTDIR => SecretReason::FileMissing,
        Errno::XDEV | Errno::LOOP => SecretReason::Outside,
        other => SecretReason::Unreadable(std::io::Error::from(other).kind()),
    }
}
