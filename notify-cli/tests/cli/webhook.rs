//! `notify webhook`: the receiver and the validation tool, against each other.

use crate::{Run, notify};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER: &str = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// A receiver that ends after this many deliveries, or with the test.
struct Listening {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Listening {
    fn start(folder: &Path, port: u16, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_notify"))
            .args(["webhook", "listen", "--port", &port.to_string()])
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let url = if arguments.contains(&"json") {
            // It prints deliveries only; a connection tells that it is there.
            let url = format!("http://127.0.0.1:{port}/hook");
            for _ in 0..500 {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    break;
                }
                #[allow(clippy::disallowed_methods)]
                // Waits for another program; there is no event to wait for.
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            url
        } else {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
            format!("{url}hook")
        };
        Self { child, out, url }
    }

    /// What it printed until it ended by itself.
    fn rest(mut self) -> String {
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        text
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn verify(folder: &Path, url: &str, arguments: &[&str]) -> Run {
    let mut all = vec!["webhook", "verify", "--url", url];
    all.extend_from_slice(arguments);
    notify(&all, &[], folder)
}

/// The word before each step.
fn verdicts(out: &str) -> Vec<(String, String)> {
    let lines = out.lines().filter(|line| !line.starts_with(' '));
    let steps = lines.filter_map(|line| {
        let (verdict, rest) = line.split_once(' ')?;
        let known = ["ok", "warn", "FAIL", "skip"].contains(&verdict);
        known.then(|| (verdict.to_owned(), rest.trim_start().get(..20).unwrap_or(rest).trim().to_owned()))
    });
    steps.collect()
}

#[track_caller]
fn check_steps(run: Run, code: i32, expected: &[(&str, &str)]) {
    let found = verdicts(&run.out);
    let found: Vec<_> = found.iter().map(|(verdict, step)| (verdict.as_str(), step.as_str())).collect();
    assert_eq!((run.code, found.as_slice()), (code, expected), "{}{}", run.out, run.err);
}

#[test]
fn a_receiver_that_does_everything_right() {
    let folder = tempfile::tempdir().unwrap();
    for (receiver, sender) in [
        (format!("{OTHER},{SECRET}"), SECRET.to_owned()),
        // Ed25519: the receiver knows the public half only.
        {
            let made = notify(&["webhook", "secret", "--scheme", "v1a"], &[], folder.path());
            let public = made.err.trim().rsplit(' ').next().unwrap().to_owned();
            assert!(public.starts_with("whpk_"), "{}", made.err);
            (public, made.ok().trim().to_owned())
        },
    ] {
        let listening = Listening::start(folder.path(), 0, &["--secret", &receiver, "--count", "5"]);
        let run = verify(folder.path(), &listening.url, &["--secret", &sender]);
        assert!(run.out.contains("only when the operator lists it in [egress] allow"), "{}", run.out);
        check_steps(
            run,
            0,
            &[
                ("warn", "url"),
                ("ok", "dns"),
                ("warn", "address"),
                ("ok", "connect"),
                ("ok", "signed delivery"),
                ("ok", "wrong signature"),
                ("ok", "no signature"),
                ("ok", "old timestamp"),
                ("ok", "repeated id"),
            ],
        );
        let printed = listening.rest();
        for said in [
            "200  verified  msg_",
            "[none] Test delivery of `notify webhook verify`",
            "401  REFUSED: no signature in webhook-signature fits any of the keys",
            "401  REFUSED: it is not signed",
            "401  REFUSED: webhook-timestamp is more than 300 seconds in the past",
            "(seen 1 times before)",
        ] {
            assert!(printed.contains(said), "{said}\n{printed}");
        }
    }
}

#[test]
fn receivers_that_do_not() {
    let folder = tempfile::tempdir().unwrap();
    // It looks at no signature.
    let careless = Listening::start(folder.path(), 0, &[]);
    let run = verify(folder.path(), &careless.url, &["--secret", SECRET]);
    let steps = verdicts(&run.out);
    let of = |step: &str| steps.iter().find(|(_, name)| name == step).map(|(verdict, _)| verdict.as_str());
    assert_eq!(
        [of("signed delivery"), of("wrong signature"), of("no signature"), of("old timestamp")],
        [Some("ok"), Some("FAIL"), Some("FAIL"), Some("FAIL")]
    );
    run.fails(1, "verify `webhook-signature` before you look at the body");
    let unsigned = verify(folder.path(), &careless.url, &[]);
    assert!(unsigned.out.contains("an unsigned delivery was taken"), "{}", unsigned.out);
    assert_eq!(unsigned.code, 0);
    // It knows another secret.
    let other = Listening::start(folder.path(), 0, &["--secret", OTHER]);
    verify(folder.path(), &other.url, &["--secret", SECRET]).fails(1, "does it know this secret");
    // It fails, or is not there at all.
    let failing = Listening::start(folder.path(), 0, &["--secret", SECRET, "--status", "500"]);
    verify(folder.path(), &failing.url, &["--secret", SECRET]).fails(1, "HTTP 500");
    let closed = format!("http://127.0.0.1:{}/", free_port());
    let run = verify(folder.path(), &closed, &["--secret", SECRET, "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, &report["ok"]), (1, &false.into()));
    assert_eq!(report["steps"].as_array().unwrap().last().unwrap()["step"], "connect");
    // It speaks no TLS.
    let tls = careless.url.replace("http:", "https:");
    verify(folder.path(), &tls, &["--secret", SECRET]).fails(1, "FAIL  tls");
}

#[test]
fn wrong_use_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| notify(arguments, &[], folder.path());
    run(&["webhook", "verify"]).fails(2, "no receiver is named");
    run(&["webhook", "verify", "ftp://x"]).fails(2, "neither with https:// nor with http://");
    run(&["webhook", "verify", "https://u:p@x"]).fails(2, "holds a user or password");
    run(&["webhook", "verify", "https://x", "--secret", "hunter2"]).fails(2, "begins with `whsec_`");
    run(&["webhook", "verify", "https://x", "--header", "x"]).fails(2, "`Name: value`");
    run(&["webhook", "listen", "--secret", "x"]).fails(2, "whsec_");
    run(&["webhook", "listen", "--status", "700"]).fails(2, "700");
    let secret = run(&["webhook", "secret"]).ok();
    assert!(secret.starts_with("whsec_") && secret.trim().len() == 50, "{secret}");
    assert_ne!(secret, run(&["webhook", "secret"]).ok());
}

#[test]
fn deliveries_as_lines_for_programs_and_errors_on_purpose() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).unwrap();
    let port = free_port();
    let arguments =
        ["-o", "json", "--secret-file", "secret", "--fail", "1", "--retry-after", "7s", "--count", "5"];
    let listening = Listening::start(folder.path(), port, &arguments);
    // The first delivery gets its error; the repeat, then, is none that was taken.
    verify(folder.path(), &listening.url, &["--secret", SECRET]).fails(1, "HTTP 503");
    let one_more = verify(folder.path(), &listening.url, &[]);
    assert_eq!(one_more.code, 0, "{}", one_more.out);
    let lines: Vec<serde_json::Value> =
        listening.rest().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<_> =
        lines.iter().map(|line| (line["verified"].as_bool(), line["answered"].as_u64())).collect();
    assert_eq!(
        said,
        [
            (Some(true), Some(503)),
            (Some(false), Some(401)),
            (Some(false), Some(401)),
            (Some(false), Some(401)),
            (Some(false), Some(401)),
        ]
    );
    assert_eq!(lines[0]["body"]["type"], "notify.test");
    assert_eq!(lines[0]["path"], "/hook");
}
