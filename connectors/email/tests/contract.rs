//! The suite that any connector must pass, towards a real server.

mod support;

use notify_connector_conformance::{Options, run_library};
use serde_json::json;
use support::Server;

#[test]
fn the_email_connector_conforms() {
    let server = Server::start(&[]);
    let library = std::env::current_exe().unwrap().parent().unwrap().join("libnotify_connector_email.so");
    let config = json!({"to": ["ops@rcpt.test"], "from": "alerts@studio.test",
        "server": {"host": "127.0.0.1", "port": server.port, "tls": "none"}});
    let options = Options { config_json: config.to_string().into_bytes(), ..Options::default() };
    let report = run_library(&library, &options).unwrap();
    assert!(report.passed(), "{report:#?}");
    assert!(report.checks.len() >= 7, "{report:#?}");
    assert!(server.taken().is_empty(), "without the operator's word, nothing goes to loopback");
}
