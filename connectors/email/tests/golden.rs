//! What the shipped templates look like as mail: text, HTML and headers of every default template with its sample events,
//! in both languages. The messages are those that notify-core's own golden files hold. `UPDATE_GOLDEN=1` writes them.

mod support;

use notify_connector_email::content::Content;
use serde_json::{Value, json};
use std::path::PathBuf;
use support::{Mail, root};

fn messages() -> Vec<(String, Value)> {
    let folder = root().join("notify-core/tests/golden");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".snap") else { continue };
        let parts: Vec<&str> = stem.split('.').collect();
        let ours = stem.ends_with(".en") || stem.ends_with(".de");
        let digest = parts.first() == Some(&"digest");
        if !ours || digest && !stem.starts_with("digest.throttle.template") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, json) = text.split_once("\n---\n").unwrap();
        found.push((stem.to_owned(), serde_json::from_str(json).unwrap()));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() >= 32, "{}", found.len());
    found
}

fn compare(name: &str, got: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        support::write(&path, got.as_bytes());
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(got == expected, "{name} differs; UPDATE_GOLDEN=1 writes it");
}

#[test]
fn default_templates_as_mail() {
    let unsubscribe = "https://notify.example/u/channel.recipient";
    for (name, message) in messages() {
        let message = serde_json::from_value(message).unwrap();
        let content = Content::new(&message, Some("https://notify.example/a/token"));
        compare(&format!("{name}.html"), &notify_connector_email::html::html(&content, Some(unsubscribe)));
        compare(&format!("{name}.txt"), &notify_connector_email::text::text(&content, Some(unsubscribe)));
    }
}

#[test]
fn a_whole_message() {
    let (_, message) = messages()
        .into_iter()
        .find(|(name, _)| name == "finding-summary.01-scanner-report-critical.de")
        .unwrap();
    let mut mail = Mail::to(587, "starttls", &["ops"]);
    mail.message = message;
    mail.config["subjectPrefix"] = json!("[prod]");
    mail.config["replyTo"] = json!("Bereitschaft Süd <sec@studio.test>");
    mail.phase = notify_connector_sdk::Phase::Update;
    mail.reference = Some(
        r#"{"d":"dlv_00000000000000000000000000000001","t":"dlv_00000000000000000000000000000000"}"#.into(),
    );
    mail.secrets = json!({
        "studio-alert-url": ["https://notify.example/a/token"],
        "studio-unsubscribe": [json!({"prefix": "https://notify.example/u/channel.", "key": "00".repeat(32)}).to_string()],
    });
    let bytes = mail.bytes();
    assert_eq!(bytes, mail.bytes(), "the same bytes each time");
    compare("whole.eml", &String::from_utf8(bytes).unwrap());
}

#[test]
fn what_is_over_looks_over() {
    for (locale, word) in [("en", "Resolved"), ("de", "Behoben")] {
        let mut mail = Mail::to(587, "starttls", &["ops"]);
        mail.config["subjectPrefix"] = json!("[prod]");
        mail.message = json!({"title": "Disk full", "severity": "critical", "locale": locale});
        let show = |mail: &Mail| {
            let text = String::from_utf8(mail.bytes()).unwrap().replace("=\r\n", "");
            let subject = text.lines().find(|line| line.starts_with("Subject: ")).unwrap().to_owned();
            (subject, text)
        };
        let (subject, bad) = show(&mail);
        assert_eq!(subject, "Subject: [prod] Disk full");
        assert!(bad.contains("#b91c1c") && !bad.contains("#15803d") && !bad.contains(word), "{bad}");
        mail.phase = notify_connector_sdk::Phase::Resolve;
        let (subject, over) = show(&mail);
        assert_eq!(subject, format!("Subject: [prod] [{word}] Disk full"));
        assert!(over.contains("#15803d") && !over.contains("#b91c1c"), "{over}");
        assert!(
            over.contains(&format!("[{word}] Disk full\r\n")) && over.contains(&format!(">{word}<")),
            "{over}"
        );
        assert!(!over.contains("Critical") && !over.contains("Kritisch"), "{over}");
    }
}
