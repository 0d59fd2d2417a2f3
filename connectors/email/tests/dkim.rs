//! Signatures, verified by another implementation (dkimpy), and shown to break when anything of the message changes.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::{Mail, run_python};

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A private key as PEM and its DNS record.
fn key(kind: &str) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.pem").display().to_string();
    match kind {
        "ed25519" => openssl(&["genpkey", "-algorithm", "ed25519", "-out", &file]),
        "pkcs1" => openssl(&["genrsa", "-traditional", "-out", &file, "2048"]),
        _ => openssl(&["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &file]),
    };
    let public = openssl(&["pkey", "-in", &file, "-pubout", "-outform", "DER"]);
    let record = if kind == "ed25519" {
        format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(&public[public.len() - 32..]))
    } else {
        format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(&public))
    };
    (std::fs::read_to_string(&file).unwrap(), record)
}

fn signed(pem: &str) -> String {
    let mut mail = Mail::to(2525, "none", &["ops"]);
    mail.config["dkim"] = json!({"domain": "studio.test", "selector": "n2026"});
    mail.message = json!({"title": "Müller & Söhne: disk full", "summary": "Line  with   spaces \t", "body": "* a\n* b\n\n",
        "severity": "critical", "attachments": [{"name": "r.csv", "contentType": "text/csv", "content": "a;b\n"}]});
    mail.secrets = json!({
        "dkim": [pem],
        "studio-unsubscribe": [json!({"prefix": "https://n.test/u/t.", "key": "00".repeat(32)}).to_string()],
    });
    String::from_utf8(mail.bytes()).unwrap()
}

#[test]
fn another_implementation_verifies_and_every_change_breaks() {
    for kind in ["rsa", "pkcs1", "ed25519"] {
        let (pem, record) = key(kind);
        let message = signed(&pem);
        assert!(message.starts_with("DKIM-Signature: ") && !message.contains(" l="), "{kind}");
        let algorithm = if kind == "ed25519" { "a=ed25519-sha256" } else { "a=rsa-sha256" };
        assert!(message.contains(algorithm) && message.contains("c=relaxed/relaxed"), "{message}");
        let cases = [
            (message.clone(), true),
            (message.replacen("\r\nDate:", "\r\ndate:  ", 1), true),
            (message.replacen("Subject: ", "Subject: x", 1), false),
            (message.replace("r.csv", "s.csv"), false),
            (message.replacen("From: ", "From: ceo@studio.test\r\nFrom: ", 1), false),
            (message.replacen("Subject: ", "Subject: other\r\nSubject: ", 1), false),
            (message.replacen("https://n.test", "https://evil.test", 1), false),
            (message.replacen("List-Id:", "List-Unsubscribe: <https://evil.test>\r\nList-Id:", 1), false),
            (format!("{message}appended\r\n"), false),
            (format!("{message}\r\n\r\n"), true),
        ];
        let input: String = cases
            .iter()
            .map(|(eml, _)| {
                json!({"eml": STANDARD.encode(eml), "records": {"n2026._domainkey.studio.test": record}})
                    .to_string()
                    + "\n"
            })
            .collect();
        let verdicts = run_python("check_dkim.py", &[], input.as_bytes());
        let verdicts: Vec<bool> = verdicts.lines().map(|line| line == "true").collect();
        let expected: Vec<bool> = cases.iter().map(|(_, expected)| *expected).collect();
        assert_eq!(verdicts, expected, "{kind}");
    }
}

#[test]
fn keys_that_are_none() {
    for pem in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        let mut mail = Mail::to(2525, "none", &["ops"]);
        mail.config["dkim"] = json!({"domain": "studio.test", "selector": "s"});
        mail.secrets = json!({"dkim": [pem]});
        let job = mail.job(&support::options(None)).unwrap();
        let refusal = job.bytes(&notify_connector_email::dkim::Signers::default(), 0).unwrap_err();
        assert!(refusal.detail().contains("`dkim`"), "{refusal:?}");
    }
}
