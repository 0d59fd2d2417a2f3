//! A mail server that says exactly what a test wants.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub struct Raw {
    pub port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Raw {
    /// `answer` gets each line (`.` for the end of a message) and the recipient; without an answer the client waits.
    pub fn start(
        greeting: &'static [u8],
        answer: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, lines) = (Arc::new(answer), Arc::clone(&seen));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (answer, lines) = (Arc::clone(&answer), Arc::clone(&lines));
                std::thread::spawn(move || talk(stream, greeting, &*answer, &lines));
            }
        });
        Self { port, seen }
    }

    /// Takes everything but what `odd` has an answer for.
    pub fn odd(odd: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::start(b"220 raw\r\n", move |line, recipient| odd(line, recipient).or_else(|| Some(usual(line))))
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Recipients whose message was taken.
    pub fn taken(&self) -> Vec<String> {
        self.seen().iter().filter_map(|line| line.strip_prefix("taken ").map(str::to_owned)).collect()
    }
}

pub fn usual(line: &str) -> String {
    match line.split([' ', ':']).next().unwrap_or_default() {
        "EHLO" => "250-raw\r\n250 8BITMIME",
        "DATA" => "354 go",
        "QUIT" => "221 bye",
        _ => "250 2.0.0 fine",
    }
    .to_owned()
}

fn talk(
    stream: TcpStream,
    greeting: &[u8],
    answer: &dyn Fn(&str, &str) -> Option<String>,
    seen: &Mutex<Vec<String>>,
) {
    let mut out = stream.try_clone().unwrap();
    if out.write_all(greeting).is_err() {
        return;
    }
    let (mut recipient, mut data) = (String::new(), false);
    for line in BufReader::new(stream).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if data && line != "." {
            continue;
        }
        seen.lock().unwrap().push(line.clone());
        if let Some(to) = line.strip_prefix("RCPT TO:<") {
            recipient = to.split('@').next().unwrap_or_default().to_owned();
        }
        let Some(said) = answer(&line, &recipient) else { continue };
        data = line == "DATA" && said.starts_with("354");
        if line == "." && said.starts_with('2') {
            seen.lock().unwrap().push(format!("taken {recipient}"));
        }
        if out.write_all(format!("{said}\r\n").as_bytes()).is_err() {
            return;
        }
    }
}
