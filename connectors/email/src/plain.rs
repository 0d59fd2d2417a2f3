//! The plain text before STARTTLS: greeting, EHLO, STARTTLS. It is spoken here and not by lettre, which would take what
//! somebody in between has put behind the answer to STARTTLS for an answer that came encrypted.

use crate::reply::{Fault, Stage, status_of};
use crate::stream::MAX_SAID;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// A reply of one or more lines.
struct Reply {
    code: u16,
    lines: Vec<String>,
    /// Bytes came behind it.
    surplus: bool,
}

impl Reply {
    fn fault(&self, stage: Stage) -> Fault {
        let text = crate::content::line(&self.lines.join(" "));
        let text = notify_markup::cut_chars(&text, 300).text.to_owned();
        Fault { code: Some(self.code), status: status_of(&text), ..Fault::local(stage, text) }
    }

    fn offers(&self, keyword: &str) -> bool {
        let is = |line: &String| {
            line.split(' ').next().is_some_and(|word| word.trim().eq_ignore_ascii_case(keyword))
        };
        self.lines.iter().skip(1).any(is)
    }
}

/// A whole reply at the beginning of these bytes, and how long it is.
fn parse(bytes: &[u8]) -> Result<Option<(u16, Vec<String>, usize)>, ()> {
    let (mut at, mut lines) = (0, Vec::new());
    while let Some(end) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'\n')) {
        let line = bytes.get(at..at + end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        at += end + 1;
        let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit)).ok_or(())?;
        let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        lines.push(String::from_utf8_lossy(line.get(4..).unwrap_or_default()).into_owned());
        match line.get(3) {
            Some(b'-') => {}
            None | Some(b' ') => return Ok(Some((code, lines, at))),
            Some(_) => return Err(()),
        }
    }
    Ok(None)
}

async fn read(stream: &mut (impl AsyncRead + Unpin), stage: Stage) -> Result<Reply, Fault> {
    let mut bytes = Vec::new();
    loop {
        match parse(&bytes) {
            Ok(Some((code, lines, length))) => {
                return Ok(Reply { code, lines, surplus: bytes.len() > length });
            }
            Ok(None) if bytes.len() > MAX_SAID => {
                return Err(Fault::local(stage, "the server talks without end"));
            }
            Ok(None) => {}
            Err(()) => return Err(Fault::local(stage, "this is no answer of a mail server")),
        }
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) => return Err(Fault::local(stage, "the connection ended")),
            Ok(count) => bytes.extend_from_slice(part.get(..count).unwrap_or_default()),
            Err(error) => return Err(Fault::local(stage, error.kind().to_string())),
        }
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str, stage: Stage) -> Result<(), Fault> {
    stream.write_all(line.as_bytes()).await.map_err(|error| Fault::local(stage, error.kind().to_string()))
}

/// Up to the point where TLS begins.
///
/// # Errors
/// [`Fault`]; nothing but our name was sent.
pub(crate) async fn until_tls(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    hello_name: &str,
) -> Result<(), Fault> {
    let greeting = read(stream, Stage::Hello).await?;
    if greeting.code != 220 {
        return Err(greeting.fault(Stage::Hello));
    }
    say(stream, &format!("EHLO {hello_name}\r\n"), Stage::Hello).await?;
    let hello = read(stream, Stage::Hello).await?;
    if hello.code != 250 {
        return Err(hello.fault(Stage::Hello));
    }
    if !hello.offers("STARTTLS") {
        return Err(Fault::config(
            Stage::Tls,
            "the server offers no STARTTLS; nothing was sent. Use `tls` if it speaks TLS from the start",
        ));
    }
    say(stream, "STARTTLS\r\n", Stage::Tls).await?;
    let ready = read(stream, Stage::Tls).await?;
    if ready.code != 220 {
        return Err(ready.fault(Stage::Tls));
    }
    if greeting.surplus || hello.surplus || ready.surplus {
        return Err(Fault::local(
            Stage::Tls,
            "there was more plain text behind an answer before TLS: somebody between may have put it there; \
             nothing was sent",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_to_their_last_line() {
        let check = |bytes: &str, expected: Result<Option<(u16, usize, usize)>, ()>| {
            let parsed =
                parse(bytes.as_bytes()).map(|reply| reply.map(|(code, lines, at)| (code, lines.len(), at)));
            assert_eq!(parsed, expected, "{bytes:?}");
        };
        check("220 hello\r\n", Ok(Some((220, 1, 11))));
        check("220\r\n", Ok(Some((220, 1, 5))));
        check("250-a\r\n250 b\r\nmore", Ok(Some((250, 2, 14))));
        check("250-a\n250 b\n", Ok(Some((250, 2, 12))));
        check("250-a\r\n25", Ok(None));
        check("", Ok(None));
        check("HTTP/1.1 400\r\n", Err(()));
        check("250x\r\n", Err(()));
        check("\r\n", Err(()));
    }
}
