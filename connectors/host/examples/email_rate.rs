//! Messages per second through the email plug-in's child process to an SMTP server in this process:
//! `email_rate LIBRARY HOST_BINARY [CALLERS] [SECONDS]`. Prints one JSON line. Counts what the server took.

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use notify_connector_host::outbound::EgressPolicy;
use notify_connector_host::stage::stage_plugin;
use notify_connector_host::{ConnectorHost, HostConfig, Phase, PrepareInput};
use notify_core::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

async fn serve(stream: TcpStream, taken: Arc<AtomicU64>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (input, mut out) = stream.into_split();
    let mut input = BufReader::new(input);
    out.write_all(b"220 sink\r\n").await?;
    let (mut line, mut in_data) = (Vec::new(), false);
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match (in_data, line.as_slice()) {
            (true, b".\r\n") => {
                in_data = false;
                taken.fetch_add(1, Ordering::Relaxed);
                b"250 2.0.0 taken\r\n"
            }
            (true, _) => continue,
            (false, b"DATA\r\n") => {
                in_data = true;
                b"354 go\r\n"
            }
            _ => b"250 ok\r\n",
        };
        out.write_all(answer).await?;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|n| n.parse().ok()).unwrap_or(default);
    let (Some(library), Some(binary)) = (arguments.get(1), arguments.get(2)) else {
        return Err("usage: email_rate LIBRARY HOST_BINARY [CALLERS] [SECONDS]".into());
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let taken = Arc::new(AtomicU64::new(0));
    tokio::spawn({
        let taken = Arc::clone(&taken);
        async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&taken)));
            }
        }
    });
    let home = std::env::temp_dir().join(format!("email-rate-{}", std::process::id()));
    let (plugins, trust) = (home.join("plugins"), home.join("trust"));
    std::fs::create_dir_all(&trust)?;
    let key = SigningKey::from_bytes(&[1; 32]);
    std::fs::write(trust.join("key.pem"), key.verifying_key().to_public_key_pem(LineEnding::LF)?)?;
    stage_plugin(library.as_ref(), include_bytes!("../../email/notify-plugin.json"), &key, &plugins)?;
    let mut egress = EgressPolicy { system_roots: false, ..EgressPolicy::default() };
    egress.guard.allow.push("127.0.0.0/8".parse()?);
    let host = Arc::new(ConnectorHost::open(HostConfig::new(&plugins, &trust, binary, egress))?);
    host.health("email").await?;
    let config = format!(
        r#"{{"to":["ops@rcpt.test"],"from":"alerts@studio.test","server":{{"host":"127.0.0.1","port":{port},"tls":"none"}}}}"#
    );
    let stop = Arc::new(AtomicBool::new(false));
    let message =
        format!(r#"{{"title":"Disk full on db-1","severity":"high","body":"{}"}}"#, "word ".repeat(60));
    let callers: Vec<_> = (0..number(3, 64))
        .map(|_| {
            let (host, stop, config, message) =
                (Arc::clone(&host), Arc::clone(&stop), config.clone(), message.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let input = PrepareInput {
                        config_json: config.as_bytes(),
                        message_json: message.as_bytes(),
                        delivery_id: "dlv_0123456789abcdef0123456789abcdef",
                        delivery_time: Timestamp::UNIX_EPOCH,
                        attempt: 1,
                        attempt_time: Timestamp::UNIX_EPOCH,
                        deadline: Timestamp::MAX,
                        phase: Phase::None,
                        provider_reference: None,
                        secret_names: &[],
                        check: false,
                    };
                    let sent = host.send("email", input, b"{}", Duration::from_secs(30)).await;
                    if let Err(fault) = sent {
                        eprintln!("{fault}");
                        return;
                    }
                }
            })
        })
        .collect();
    let mut timer = tokio::time::interval(Duration::from_secs(number(4, 5)));
    timer.tick().await;
    let (begun, before) = (tokio::time::Instant::now(), taken.load(Ordering::Relaxed));
    timer.tick().await;
    let rate = (taken.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await?;
    }
    println!("{{\"scenario\":\"connectors\",\"connector\":\"email\",\"per_s\":{rate:.0}}}");
    host.shutdown(Duration::from_secs(2)).await;
    std::fs::remove_dir_all(home)?;
    Ok(())
}
