//! Reading an export's tar: plain files only, in the few places an export has, none twice. The tar comes from
//! somebody else, so nothing in it is unpacked: files are read in place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const BLOCK: u64 = 512;
/// More files than any export has that could be verified in a day.
const MAX_FILES: usize = 10_000_000;

/// Why a tar is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TarFault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not an uncompressed tar of an export: {0}")]
    Form(String),
}

/// Names, places and sizes of the files of a tar.
#[derive(Debug)]
pub struct Tar {
    file: File,
    members: BTreeMap<String, (u64, u64)>,
}

impl Tar {
    /// Reads all headers.
    ///
    /// # Errors
    /// [`TarFault`]
    pub fn open(path: &Path) -> Result<Self, TarFault> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut members = BTreeMap::new();
        let mut at = 0;
        loop {
            let mut block = [0; BLOCK as usize];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut block).map_err(|_| TarFault::Form("it ends without an end mark".into()))?;
            if block.iter().all(|byte| *byte == 0) {
                check_rest(&mut file)?;
                return Ok(Self { file, members });
            }
            let (name, size) = header(&block)?;
            let content = at + BLOCK;
            let next = size
                .checked_next_multiple_of(BLOCK)
                .and_then(|padded| content.checked_add(padded))
                .filter(|next| *next <= length)
                .ok_or_else(|| TarFault::Form(format!("`{name}` reaches beyond its end")))?;
            if members.len() >= MAX_FILES {
                return Err(TarFault::Form("it has too many files".into()));
            }
            if members.insert(name.clone(), (content, size)).is_some() {
                return Err(TarFault::Form(format!("`{name}` appears twice")));
            }
            at = next;
        }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Bytes of a file.
    #[must_use]
    pub fn size(&self, name: &str) -> Option<u64> {
        self.members.get(name).map(|(_, size)| *size)
    }

    /// A reader over one file.
    ///
    /// # Errors
    /// When the tar cannot be read any more.
    pub fn reader(&self, name: &str) -> io::Result<Option<impl Read + use<>>> {
        let Some((at, size)) = self.members.get(name) else { return Ok(None) };
        let mut file = self.file.try_clone()?;
        // Clones share their position, so each reader reads by offset.
        file.seek(SeekFrom::Start(*at))?;
        Ok(Some(Slice { file, at: *at, left: *size }))
    }
}

/// Reads by offset, whatever other readers do.
struct Slice {
    file: File,
    at: u64,
    left: u64,
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let Some(target) = buffer.get_mut(..wanted) else { return Ok(0) };
        let read = self.file.read_at(target, self.at)?;
        if read == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Name and size of a plain file.
fn header(block: &[u8; BLOCK as usize]) -> Result<(String, u64), TarFault> {
    let form = |reason: String| TarFault::Form(reason);
    let field = |at: usize, length: usize| block.get(at..at + length).unwrap_or_default();
    let text = |at: usize, length: usize| {
        let field = field(at, length);
        field.split(|byte| *byte == 0).next().unwrap_or_default()
    };
    let name = std::str::from_utf8(text(0, 100)).map_err(|_| form("a name is not text".into()))?;
    let sum: u64 = block.iter().enumerate().map(|(i, byte)| if (148..156).contains(&i) { 32 } else { u64::from(*byte) }).sum();
    if octal(field(148, 8)) != Some(sum) {
        return Err(form("a header's checksum is wrong".into()));
    }
    match block.get(156) {
        Some(b'0' | 0) => {}
        _ => return Err(form(format!("`{}` is not a plain file", name.escape_default()))),
    }
    if field(257, 5) == b"ustar" && !text(345, 155).is_empty() {
        return Err(form(format!("`{}` has a name prefix", name.escape_default())));
    }
    if !is_export_name(name) {
        return Err(form(format!("`{}` is no name of an export", name.escape_default())));
    }
    let size = octal(field(124, 12)).ok_or_else(|| form(format!("`{name}` has no size")))?;
    Ok((name.to_owned(), size))
}

/// At top level or in `proofs/` or `payloads/`.
fn is_export_name(name: &str) -> bool {
    let file = name.strip_prefix("proofs/").or_else(|| name.strip_prefix("payloads/")).unwrap_or(name);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !file.is_empty() && !file.starts_with('.') && file.bytes().all(plain)
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() || !text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return None;
    }
    u64::from_str_radix(text, 8).ok()
}

/// After the end mark only zeros may follow: something hidden there could mean another export to another reader.
fn check_rest(file: &mut File) -> Result<(), TarFault> {
    let mut rest = Vec::new();
    file.take(1024 * 1024).read_to_end(&mut rest)?;
    if rest.len() < BLOCK as usize || rest.iter().any(|byte| *byte != 0) {
        return Err(TarFault::Form("something else than zeros follows its end mark, or too little".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut block = [0u8; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut out = block.to_vec();
        out.extend(content);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }

    fn check(members: &[Vec<u8>], end: &[u8], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        std::fs::write(&path, [members.concat(), end.to_vec()].concat()).unwrap();
        let outcome = match Tar::open(&path) {
            Ok(tar) => tar.names().collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        assert!(outcome.contains(expected), "{outcome}\nexpected: {expected}");
    }

    #[test]
    fn only_plain_files_in_known_places() {
        let end = [0; 1024];
        let good = member("checkpoint", b'0', b"abc");
        check(&[good.clone(), member("proofs/1.tlog-proof", b'0', &[1; 600])], &end, "checkpoint proofs/1.tlog-proof");
        check(&[good.clone(), good.clone()], &end, "appears twice");
        for (kind, name) in [(b'1', "hard"), (b'2', "soft"), (b'5', "proofs"), (b'x', "pax"), (b'L', "long"), (b'3', "dev")] {
            check(&[member(name, kind, b"")], &end, "is not a plain file");
        }
        for name in ["../x", "/etc/passwd", "a/b", "proofs/../x", "proofs/a/b", ".hidden", "proofs/", "", "a b", "\u{e9}"] {
            check(&[member(name, b'0', b"")], &end, "is no name of an export");
        }
        check(&[good[..512].to_vec()], &[], "reaches beyond its end");
        check(&[good.clone()], &[], "ends without an end mark");
        check(&[good.clone()], &[0; 512], "follows its end mark");
        check(&[good.clone()], &[[0; 1024].as_slice(), &good].concat(), "follows its end mark");
        let mut broken = good;
        broken[0] = b'X';
        check(&[broken], &end, "checksum is wrong");
        check(&[vec![0x1f, 0x8b]], &[], "ends without an end mark");
    }

    #[test]
    fn readers_do_not_disturb_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let archive = [member("a", b'0', b"first"), member("b", b'0', b"second"), vec![0; 1024]].concat();
        std::fs::write(&path, archive).unwrap();
        let tar = Tar::open(&path).unwrap();
        let (mut a, mut b) = (tar.reader("a").unwrap().unwrap(), tar.reader("b").unwrap().unwrap());
        let mut text = String::new();
        let mut two = [0; 2];
        a.read_exact(&mut two).unwrap();
        b.read_to_string(&mut text).unwrap();
        a.read_to_string(&mut text).unwrap();
        assert_eq!((&two, text.as_str()), (b"fi", "secondrst"));
        assert!(tar.reader("c").unwrap().is_none());
    }
}
