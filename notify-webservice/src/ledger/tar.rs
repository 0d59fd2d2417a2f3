//! Writing an uncompressed tar of plain files: POSIX.1-1988 `ustar` headers, nothing else. Two files of the same
//! content give the same bytes.

/// Blocks of a tar.
const BLOCK: usize = 512;

/// The name or the size does not fit a `ustar` header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be put into a tar: names are 1 to 100 bytes of ASCII, sizes below 8 GiB")]
pub struct Unfit(String);

/// The header of a plain file.
///
/// # Errors
/// [`Unfit`]
pub fn header(name: &str, size: u64) -> Result<[u8; BLOCK], Unfit> {
    let fits = (1..=100).contains(&name.len()) && name.is_ascii() && size < 1 << 33;
    if !fits {
        return Err(Unfit(name.to_owned()));
    }
    let mut block = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(field) = block.get_mut(at..at + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    // No time of ours belongs into evidence.
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(field) = block.get_mut(148..156) {
        field.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Ok(block)
}

/// Zeros that fill the last block of a file.
#[must_use]
pub fn padding(size: u64) -> &'static [u8] {
    static ZEROS: [u8; BLOCK] = [0; BLOCK];
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { &[] } else { ZEROS.get(over..).unwrap_or_default() }
}

/// Two empty blocks.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_names_that_do_not_fit_are_refused() {
        assert!(header("", 0).is_err() && header(&"x".repeat(101), 0).is_err() && header("ä", 0).is_err());
        assert!(header("x", 1 << 33).is_err());
        assert_eq!((padding(0).len(), padding(1).len(), padding(512).len()), (0, 511, 0));
    }

    /// The system's tar is the judge.
    #[test]
    fn the_systems_tar_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let files: [(&str, &[u8]); 3] =
            [("checkpoint", b"abc\n"), ("proofs/7.tlog-proof", &[7; 1000]), ("empty", b"")];
        let mut archive = Vec::new();
        for (name, content) in files {
            archive.extend(header(name, content.len() as u64).unwrap());
            archive.extend(content);
            archive.extend(padding(content.len() as u64));
        }
        archive.extend(END);
        std::fs::write(folder.path().join("x.tar"), archive).unwrap();
        let status =
            std::process::Command::new("tar").args(["xf", "x.tar"]).current_dir(folder.path()).status();
        assert!(status.unwrap().success());
        for (name, content) in files {
            assert_eq!(std::fs::read(folder.path().join(name)).unwrap(), content, "{name}");
        }
    }
}
