//! `resources/ssrf/cases.jsonl` at the time of sending: nothing of it gets through, and nothing connects.

mod support;

use notify_connector_host::outbound::{FaultKind, Outbound, Resolve, Resolving};
use notify_connector_host::secrets::ResolvedSecrets;
use serde_json::Value;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Server, answer, attempt_time, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const DELIVERY: &str = "dlv_00000000000000000000000000000001";

/// Each look-up takes the next answer; the last one stays.
struct Resolver {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    lookups: AtomicUsize,
}

impl Resolve for Resolver {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolving<'a> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let found = match answers.get_mut(name) {
            Some(list) if list.len() > 1 => Ok(list.remove(0)),
            Some(list) => Ok(list[0].clone()),
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        let found = found.map(|ips| ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        Box::pin(async move { found })
    }
}

fn cases() -> Vec<Value> {
    let table = include_str!("../../../resources/ssrf/cases.jsonl");
    table.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'c>(case: &'c Value, name: &str) -> Option<&'c str> {
    case.get(name).and_then(Value::as_str)
}

/// `open` is what the operator allows besides the public internet.
fn outbound(answers: HashMap<String, Vec<Vec<IpAddr>>>, open: &[&str]) -> (Outbound, Arc<Resolver>) {
    let resolver = Arc::new(Resolver { answers: Mutex::new(answers), lookups: AtomicUsize::new(0) });
    (Outbound::with_resolver(support::allow(open), resolver.clone()).unwrap(), resolver)
}

#[tokio::test]
async fn no_spelling_gets_through() {
    let secrets = ResolvedSecrets::default();
    let mut refused = 0;
    for case in cases() {
        let (Some(url), Some(why)) = (text(&case, "url"), text(&case, "why")) else { continue };
        let (outbound, resolver) = outbound(HashMap::new(), &[]);
        let fault = outbound
            .execute(&post(url), &secrets, DELIVERY, attempt_time(), Duration::from_secs(5))
            .await
            .expect_err(url);
        // A URL with a control character is refused before it is parsed.
        let expected = matches!(fault.kind, FaultKind::Blocked { .. }) && fault.detail.contains(why)
            || fault.kind == FaultKind::InvalidRequest;
        assert!(expected && fault.never_sent, "{url}: {fault:?}");
        assert_eq!(resolver.lookups.load(Ordering::SeqCst), 0, "{url} was looked up");
        refused += 1;
    }
    assert!(refused > 100, "only {refused}");
}

/// Stands for the public internet, which tests do not call: an address of its own, which is allowed.
const PUBLIC: &str = "127.77.77.77";

#[tokio::test]
async fn no_name_gets_through_however_it_resolves() {
    let secrets = ResolvedSecrets::default();
    let listener = tokio::net::TcpListener::bind((PUBLIC, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            seen.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]).await;
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        }
    });
    for case in cases() {
        let Some(name) = text(&case, "name") else { continue };
        let answers: Vec<Vec<IpAddr>> = serde_json::from_value(case["answers"].clone()).unwrap();
        let guard = notify_netguard::Policy::default();
        let led =
            |ip: IpAddr| if guard.check_address(ip, port).is_ok() { PUBLIC.parse().unwrap() } else { ip };
        let answers: Vec<Vec<IpAddr>> =
            answers.into_iter().map(|ips| ips.into_iter().map(led).collect()).collect();
        let lookups = answers.len();
        let (outbound, _) = outbound(HashMap::from([(name.to_owned(), answers)]), &[PUBLIC]);
        for round in 1..=lookups {
            let before = connections.load(Ordering::SeqCst);
            let request = post(&format!("http://{name}:{port}/hook"));
            let sent =
                outbound.execute(&request, &secrets, DELIVERY, attempt_time(), Duration::from_secs(5)).await;
            match text(&case, "why").filter(|_| round == lookups) {
                Some(why) => {
                    let fault = sent.expect_err(name);
                    assert_eq!(fault.kind, FaultKind::Blocked { code: "address" }, "{name}: {fault:?}");
                    assert!(fault.never_sent && fault.detail.contains(why), "{name}: {fault:?}");
                    assert_eq!(connections.load(Ordering::SeqCst), before, "{name} was connected to");
                }
                None => assert_eq!(sent.unwrap().status, 200, "{name}, look-up {round}"),
            }
        }
    }
}

/// The operator allows one receiver; what it redirects to is not followed, whatever it is.
#[tokio::test]
async fn redirects_to_any_of_them_are_not_followed() {
    for case in cases() {
        let (Some(url), Some(_)) = (text(&case, "url"), text(&case, "why")) else { continue };
        let Ok(location) = http::HeaderValue::from_bytes(url.as_bytes()) else { continue };
        let server = Server::start(move |_| {
            let mut response = answer(307, "");
            response.headers_mut().insert("location", location.clone());
            response
        })
        .await;
        let outbound = Outbound::new(support::allow(&[&server.address.to_string()])).unwrap();
        let secrets = ResolvedSecrets::default();
        let response = outbound
            .execute(&post(&server.url()), &secrets, DELIVERY, attempt_time(), Duration::from_secs(5))
            .await
            .unwrap();
        assert_eq!((response.status, server.hits()), (307, 1), "{url}");
    }
}
