//! Requests per second and CPU per request of outbound HTTP against a server on 127.0.0.1.
//!
//! `cargo run --release -p notify-connector-host --example outbound_rate [-- <requests> <connections> <sign 0|1>]`
//!
//! The server is a minimal one in a process of its own, so that the CPU time shown is the client's alone.

use notify_connector_host::outbound::{EgressPolicy, Outbound};
use notify_connector_host::request::{Auth, Part, PreparedRequest};
use notify_connector_host::secrets::{ResolvedSecrets, SecretValue};
use notify_core::time::Timestamp;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if arguments.first().is_some_and(|argument| argument == "serve") {
        return runtime.block_on(serve());
    }
    let number = |index: usize, default: usize| {
        arguments.get(index).and_then(|argument| argument.parse().ok()).unwrap_or(default)
    };
    let (requests, connections, sign) = (number(0, 100_000), number(1, 32), number(2, 1) == 1);
    let mut server = Command::new(std::env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
    let mut address = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut address)?;
    let result = runtime.block_on(measure(address.trim(), requests, connections, sign));
    server.kill()?;
    server.wait()?;
    result
}

async fn measure(address: &str, requests: usize, connections: usize, sign: bool) -> Result<(), Failure> {
    let guard =
        notify_netguard::Policy { allow: vec![address.parse()?], ..notify_netguard::Policy::default() };
    let outbound =
        Arc::new(Outbound::new(EgressPolicy { guard, system_roots: false, ..EgressPolicy::default() })?);
    let mut secrets = ResolvedSecrets::default();
    secrets.insert("key", vec![SecretValue::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())]);
    let auth = if sign { Auth::StandardWebhooks { secret: "key".to_owned() } } else { Auth::None };
    let request = Arc::new(PreparedRequest {
        method: "POST".to_owned(),
        url: vec![Part::Text(format!("http://{address}/hook"))],
        headers: vec![("content-type".to_owned(), vec![Part::Text("application/json".to_owned())])],
        body: vec![Part::Text(format!("{{\"text\":\"{}\"}}", "x".repeat(600)))],
        auth,
    });
    let secrets = Arc::new(secrets);
    let left = Arc::new(AtomicUsize::new(requests));
    #[allow(clippy::disallowed_methods)] // measuring is what this program is for
    let (now, started, cpu) = (Timestamp::now(), std::time::Instant::now(), cpu_seconds()?);
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (outbound, request, secrets, left) =
            (Arc::clone(&outbound), Arc::clone(&request), Arc::clone(&secrets), Arc::clone(&left));
        tasks.push(tokio::spawn(async move {
            let claim = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok() {
                let id = "dlv_00000000000000000000000000000001";
                let response = outbound.execute(&request, &secrets, id, now, Duration::from_secs(10)).await?;
                if response.status != 204 {
                    return Err("unexpected status".into());
                }
            }
            Ok::<_, Failure>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let count = requests as f64;
    println!(
        "{requests} requests, {connections} connections, signed: {sign}: {:.0}/s, client {:.1} µs CPU each = {:.0}/s per core",
        count / wall,
        cpu / count * 1e6,
        count / cpu
    );
    Ok(())
}

/// CPU time of the main thread, which runs the whole client: first field of `/proc/self/schedstat`, nanoseconds.
fn cpu_seconds() -> Result<f64, Failure> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds: f64 = text.split_whitespace().next().ok_or("empty schedstat")?.parse()?;
    Ok(nanoseconds / 1e9)
}

/// Reads requests with a `content-length`, answers 204. Does no more than it must, so that it is not the limit.
async fn serve() -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let (mut buffer, mut used) = (vec![0_u8; 16 * 1024], 0);
            while let Ok(count @ 1..) = stream.read(&mut buffer[used..]).await {
                used += count;
                let Some(head) = buffer[..used].windows(4).position(|four| four == b"\r\n\r\n") else {
                    continue;
                };
                let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
                let length = text
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .and_then(|length| length.parse::<usize>().ok())
                    .unwrap_or(0);
                if used < head + 4 + length {
                    continue;
                }
                used = 0;
                if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                    return;
                }
            }
        });
    }
}
