//! Reading an export's tar. It comes from somebody else, so nothing in it is unpacked: files are read in place. What
//! its files are called, and whether one appears twice or is a link, is judged by the verifier.

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

/// The members of a tar, in order.
#[derive(Debug)]
pub struct Tar {
    file: File,
    pub members: Vec<Member>,
}

/// One header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// Not a link, folder, device or extended header.
    pub regular: bool,
    pub size: u64,
    at: u64,
}

impl Tar {
    /// Reads all headers.
    ///
    /// # Errors
    /// [`TarFault`]
    pub fn open(path: &Path) -> Result<Self, TarFault> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut members = Vec::new();
        let mut at = 0;
        loop {
            let mut block = [0; BLOCK as usize];
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(&mut block).map_err(|_| TarFault::Form("it ends without an end mark".into()))?;
            if block.iter().all(|byte| *byte == 0) {
                check_rest(&mut file)?;
                return Ok(Self { file, members });
            }
            let mut member = header(&block)?;
            member.at = at + BLOCK;
            at = member
                .size
                .checked_next_multiple_of(BLOCK)
                .and_then(|padded| member.at.checked_add(padded))
                .filter(|next| *next <= length)
                .ok_or_else(|| TarFault::Form(format!("`{}` reaches beyond its end", member.name)))?;
            if members.len() >= MAX_FILES {
                return Err(TarFault::Form("it has too many files".into()));
            }
            members.push(member);
        }
    }

    /// A reader over one file, independent of others.
    ///
    /// # Errors
    /// When the tar cannot be read any more.
    pub fn reader(&self, member: &Member) -> io::Result<impl Read + use<>> {
        Ok(Slice { file: self.file.try_clone()?, at: member.at, left: member.size })
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

fn header(block: &[u8; BLOCK as usize]) -> Result<Member, TarFault> {
    let form = |reason: String| TarFault::Form(reason);
    let field = |at: usize, length: usize| block.get(at..at + length).unwrap_or_default();
    let text = |at: usize, length: usize| {
        let field = field(at, length);
        field.split(|byte| *byte == 0).next().unwrap_or_default()
    };
    let ours = |(i, byte): (usize, &u8)| if (148..156).contains(&i) { 32 } else { u64::from(*byte) };
    let sum: u64 = block.iter().enumerate().map(ours).sum();
    if octal(field(148, 8)) != Some(sum) {
        return Err(form("a header's checksum is wrong".into()));
    }
    let name = std::str::from_utf8(text(0, 100)).map_err(|_| form("a name is not text".into()))?;
    let name = name.escape_default().to_string();
    // POSIX splits long names; no name of an export is long.
    let prefixed = field(257, 5) == b"ustar" && !text(345, 155).is_empty();
    if prefixed || name.is_empty() {
        return Err(form(format!("`{name}` is no name of an export")));
    }
    let size = octal(field(124, 12)).ok_or_else(|| form(format!("`{name}` has no size")))?;
    let regular = matches!(block.get(156), Some(b'0' | 0));
    Ok(Member { name, regular, size, at: 0 })
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
            Ok(tar) => {
                let shown =
                    tar.members.iter().map(|m| format!("{}{}", m.name, if m.regular { "" } else { "!" }));
                shown.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert!(outcome.contains(expected), "{outcome}\nexpected: {expected}");
    }

    #[test]
    fn what_is_no_tar_is_refused_and_what_is_no_file_is_marked() {
        let end = [0; 1024];
        let good = member("checkpoint", b'0', b"abc");
        check(
            &[good.clone(), member("proofs/1.tlog-proof", b'0', &[1; 600])],
            &end,
            "checkpoint proofs/1.tlog-proof",
        );
        check(&[good.clone(), good.clone()], &end, "checkpoint checkpoint");
        for kind in [b'1', b'2', b'3', b'5', b'x', b'L', b'g'] {
            check(&[member("odd", kind, b"")], &end, "odd!");
        }
        check(&[member("", b'0', b"")], &end, "is no name of an export");
        check(&[member("a\nb", b'0', b"")], &end, "a\\nb");
        check(&[good[..512].to_vec()], &[], "reaches beyond its end");
        check(std::slice::from_ref(&good), &[], "ends without an end mark");
        check(std::slice::from_ref(&good), &[0; 512], "follows its end mark");
        check(std::slice::from_ref(&good), &[[0; 1024].as_slice(), &good].concat(), "follows its end mark");
        let mut broken = good;
        broken[0] = b'X';
        check(&[broken], &end, "checksum is wrong");
        check(&[vec![0x1f, 0x8b]], &[], "ends without an end mark");
        let mut endless = member("x", b'0', b"");
        endless[124..136].copy_from_slice(b"77777777777\0");
        endless[148..156].fill(b' ');
        let sum: u32 = endless.iter().map(|byte| u32::from(*byte)).sum();
        endless[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        check(&[endless], &end, "reaches beyond its end");
    }

    #[test]
    fn readers_do_not_disturb_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let archive = [member("a", b'0', b"first"), member("b", b'0', b"second"), vec![0; 1024]].concat();
        std::fs::write(&path, archive).unwrap();
        let tar = Tar::open(&path).unwrap();
        let readers: Vec<_> = tar.members.iter().map(|member| tar.reader(member).unwrap()).collect();
        let [mut a, mut b] = <[_; 2]>::try_from(readers).ok().unwrap();
        let mut text = String::new();
        let mut two = [0; 2];
        a.read_exact(&mut two).unwrap();
        b.read_to_string(&mut text).unwrap();
        a.read_to_string(&mut text).unwrap();
        assert_eq!((&two, text.as_str()), (b"fi", "secondrst"));
    }
}
