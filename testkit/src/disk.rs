//! Disks that fail: syncs that return an error, a history of writes from which any power cut can be made, and a file
//! system that is soon full.
//!
//! The first two need a small library (`shim.c`) that is preloaded into the process under test. SQLite and Rust's
//! standard library both reach the disk through libc, where it stands.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Only files whose path begins with this are watched.
pub const WATCH: &str = "NOTIFY_DISK_WATCH";
/// Where the history goes.
pub const TRACE: &str = "NOTIFY_DISK_TRACE";
/// While this file exists, syncs of watched files fail with `EIO`; each adds a byte to it.
pub const FAIL: &str = "NOTIFY_DISK_FAIL";

/// Compiles the library into a folder; its path goes into `LD_PRELOAD`.
///
/// # Panics
/// When there is no C compiler, or it does not take the source.
#[must_use]
pub fn shim(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    fs::write(&source, include_str!("disk/shim.c")).expect("the folder can be written");
    let output = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o"])
        .args([&library, &source])
        .output()
        .expect("a C compiler is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// What a watched process did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Write {
        file: String,
        at: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        length: u64,
    },
    /// The file is gone, and with it what was not synced. (Names are taken to be durable at once.)
    Remove {
        file: String,
    },
    /// All earlier steps on this file are on the disk.
    Sync {
        file: String,
    },
    /// Written to standard output.
    Said(Vec<u8>),
}

/// Reads a history. A last step that is not whole is left out: the process was killed in the middle.
///
/// # Errors
/// When the file cannot be read.
///
/// # Panics
/// When it is no history.
pub fn history(file: &Path) -> io::Result<Vec<Step>> {
    let bytes = fs::read(file)?;
    let mut rest = bytes.as_slice();
    let mut steps = Vec::new();
    while let Some(step) = step(&mut rest) {
        steps.push(step);
    }
    Ok(steps)
}

fn step(rest: &mut &[u8]) -> Option<Step> {
    let mut take = |count: usize| {
        let (part, left) = rest.split_at_checked(count)?;
        *rest = left;
        Some(part)
    };
    let kind = take(1)?[0];
    let length = u16::from_le_bytes(take(2)?.try_into().ok()?);
    let file = String::from_utf8(take(length.into())?.to_vec()).expect("paths of tests are text");
    let offset = u64::from_le_bytes(take(8)?.try_into().ok()?);
    let count = u32::from_le_bytes(take(4)?.try_into().ok()?);
    let bytes = take(count as usize)?.to_vec();
    Some(match kind {
        b'W' => Step::Write { file, at: offset, bytes },
        b'T' => Step::Truncate { file, length: offset },
        b'U' => Step::Remove { file },
        b'S' => Step::Sync { file },
        b'A' => Step::Said(bytes),
        other => panic!("{other} is no kind of step"),
    })
}

/// A disk with a cache, driven by a history.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    files: BTreeMap<String, Cached>,
}

#[derive(Debug, Clone, Default)]
struct Cached {
    durable: Vec<u8>,
    /// Since the last sync.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    Truncate { length: u64 },
}

const SECTOR: usize = 512;

impl Disk {
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Write { file, at, bytes } => {
                let change = Change::Write { at: *at, bytes: bytes.clone() };
                self.files.entry(file.clone()).or_default().pending.push(change);
            }
            Step::Truncate { file, length } => {
                self.files
                    .entry(file.clone())
                    .or_default()
                    .pending
                    .push(Change::Truncate { length: *length });
            }
            Step::Remove { file } => drop(self.files.remove(file)),
            Step::Sync { file } => {
                let file = self.files.entry(file.clone()).or_default();
                for change in std::mem::take(&mut file.pending) {
                    change.apply(&mut file.durable, |_| true);
                }
            }
            Step::Said(_) => {}
        }
    }

    /// What is found after the power went: all that was synced, and of the rest what `survives` says, sector by
    /// sector, in any combination. Files that end in `-shm` are memory, not disk.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn after_power_cut(&self, folder: &Path, mut survives: impl FnMut() -> bool) -> io::Result<()> {
        for (path, file) in self.files.iter().filter(|(path, _)| !path.ends_with("-shm")) {
            let mut content = file.durable.clone();
            for change in &file.pending {
                change.apply(&mut content, |_| survives());
            }
            let name = Path::new(path).file_name().unwrap_or_default();
            fs::write(folder.join(name), content)?;
        }
        Ok(())
    }

    /// Steps that no sync has covered yet.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.files.values().map(|file| file.pending.len()).sum()
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>, mut keeps: impl FnMut(usize) -> bool) {
        match self {
            Self::Truncate { length } => {
                if keeps(0) {
                    content.resize(usize::try_from(*length).unwrap_or(usize::MAX), 0);
                }
            }
            Self::Write { at, bytes } => {
                let mut at = usize::try_from(*at).unwrap_or(usize::MAX);
                for sector in bytes.chunks(SECTOR) {
                    if keeps(at) {
                        let end = at + sector.len();
                        content.resize(content.len().max(end), 0);
                        content[at..end].copy_from_slice(sector);
                    }
                    at += sector.len();
                }
            }
        }
    }
}

/// A file system of a few megabytes; dropping it unmounts it.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts one at an empty folder; `None` when this process may not mount, which only root may.
    #[must_use]
    pub fn mount(folder: &Path, mebibytes: u32) -> Option<Self> {
        let size = format!("size={mebibytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder).output();
        mount.is_ok_and(|done| done.status.success()).then(|| Self { folder: folder.to_owned() })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a killed process may still be on its way out.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: u64, bytes: &[u8]) -> Step {
        Step::Write { file: "f".into(), at, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_power_cut_takes_only_what_was_not_synced() {
        let folder = std::env::temp_dir().join(format!("notify-disk-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let steps = [
            write(0, b"hello"),
            Step::Sync { file: "f".into() },
            write(3, &[b'x'; 1030]),
            Step::Truncate { file: "f".into(), length: 4 },
        ];
        let mut disk = Disk::default();
        steps.iter().for_each(|step| disk.apply(step));
        assert_eq!(disk.unsynced(), 2);
        let check = |fates: &[bool], expected: &[u8]| {
            let mut fates = fates.iter();
            disk.after_power_cut(&folder, || *fates.next().unwrap()).unwrap();
            assert_eq!(fs::read(folder.join("f")).unwrap(), expected);
        };
        check(&[false, false, false, false], b"hello");
        check(&[true, true, true, true], b"helx");
        check(&[false, false, false, true], b"hell");
        let torn: Vec<u8> = [b"hello".to_vec(), vec![0; 510], vec![b'x'; 512]].concat();
        check(&[false, true, false, false], &torn);
        fs::remove_dir_all(folder).unwrap();
    }
}
