//! Strings that try to become something else, in every field of the message, judged by Python's own parsers: no header
//! more, no element more, no link more, and the text there to read.

mod support;

use base64::Engine as _;
use notify_markup::honest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::{Mail, root, run_python};

/// Each place that data of an event can reach, with how to put a text there.
const FIELDS: [&str; 14] = [
    "title",
    "summary",
    "footer",
    "field-name",
    "field-value",
    "link-title",
    "link-url",
    "action-title",
    "action-url",
    "action-style",
    "attachment-name",
    "attachment-type",
    "attachment-content",
    "locale",
];

fn message(field: &str, text: &str) -> Value {
    let put = |at: &str, usual: &str| if at == field { text.to_owned() } else { usual.to_owned() };
    json!({
        "title": put("title", "Usual title"),
        "summary": put("summary", "Usual summary"),
        "severity": "high",
        "body": "Usual **body**",
        "footer": put("footer", "Usual footer"),
        "fields": [{"name": put("field-name", "Usual name"), "value": put("field-value", "Usual value")}],
        "links": [{"title": put("link-title", "Usual link"), "url": put("link-url", "https://usual.test/link")}],
        "actions": [{"id": "a", "title": put("action-title", "Usual action"),
            "url": put("action-url", "https://usual.test/action"), "style": put("action-style", "")}],
        "attachments": [{"name": put("attachment-name", "usual.txt"),
            "contentType": put("attachment-type", "text/plain"), "content": put("attachment-content", "usual")}],
        "locale": put("locale", "en"),
    })
}

fn mail(field: &str, text: &str) -> Mail {
    let mut mail = Mail::to(2525, "none", &["ops"]);
    mail.message = message(field, text);
    mail.secrets = json!({
        "studio-alert-url": ["https://n.test/a/token"],
        "studio-unsubscribe": [json!({"prefix": "https://n.test/u/t.", "key": "00".repeat(32)}).to_string()],
    });
    mail
}

fn strings() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("resources/hostile/strings.jsonl")).unwrap();
    let strings: Vec<(String, String)> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            (line["id"].as_str().unwrap().to_owned(), line["text"].as_str().unwrap().to_owned())
        })
        .collect();
    assert!(strings.len() >= 20, "{}", strings.len());
    strings
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn parse(mails: impl Iterator<Item = (String, Vec<u8>)>) -> BTreeMap<String, Value> {
    let input: String = mails
        .map(|(id, eml)| {
            let eml = base64::engine::general_purpose::STANDARD.encode(eml);
            json!({"id": id, "eml": eml}).to_string() + "\n"
        })
        .collect();
    let output = run_python("check_mail.py", &[], input.as_bytes());
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        (value["id"].as_str().unwrap().to_owned(), value)
    };
    output.lines().map(read).collect()
}

fn without_breaks(tags: &Value) -> Vec<&str> {
    tags.as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).filter(|tag| *tag != "br").collect()
}

#[test]
fn hostile_strings_stay_text_in_every_field() {
    let strings = strings();
    let mut mails = vec![("usual".to_owned(), mail("", "").bytes())];
    for (id, text) in &strings {
        for field in FIELDS {
            mails.push((format!("{field}/{id}"), mail(field, text).bytes()));
        }
    }
    let parsed = parse(mails.into_iter());
    let usual = &parsed["usual"];
    for (id, text) in &strings {
        for field in FIELDS {
            let case = format!("{field}/{id}");
            let one = &parsed[&case];
            assert_eq!(one["defects"], json!([]), "{case}");
            assert_eq!(one["headers"], usual["headers"], "{case}: a header was added");
            assert_eq!(
                one["parts"].as_array().unwrap().len(),
                usual["parts"].as_array().unwrap().len(),
                "{case}"
            );
            assert_eq!((&one["from"], &one["to"]), (&usual["from"], &usual["to"]), "{case}");
            assert!(one["longest"].as_u64().unwrap() <= 998 && one["bare"] == 0, "{case}");
            assert_eq!(one["eight_bit"], false, "{case}: 7-bit safe");
            let is_url = field.ends_with("-url");
            let linked = is_url && notify_markup::is_link(text) && text.len() <= 2048;
            let (tags, expected) =
                (without_breaks(&one["html"]["tags"]), without_breaks(&usual["html"]["tags"]));
            if is_url && !linked && text.chars().count() < 150 {
                assert!(tags.len() <= expected.len(), "{case}: {tags:?}");
            } else if field != "summary" && field != "footer" && field != "action-style"
                || !squeezed(&honest(text)).is_empty()
            {
                let note = one["html"]["tags"].as_array().unwrap().len()
                    > usual["html"]["tags"].as_array().unwrap().len() + 40;
                assert!(!note, "{case}");
                let known = [
                    "html",
                    "head",
                    "meta",
                    "title",
                    "style",
                    "body",
                    "table",
                    "tr",
                    "td",
                    "div",
                    "span",
                    "h1",
                    "p",
                    "a",
                    "strong",
                    "!DOCTYPE html",
                ];
                assert!(tags.iter().all(|tag| known.contains(tag)), "{case}: {tags:?}");
                if text.chars().count() < 150 {
                    assert_eq!(tags, expected, "{case}: an element was added");
                }
            }
            for link in one["html"]["links"].as_array().unwrap() {
                let known = usual["html"]["links"].as_array().unwrap().contains(link);
                assert!(known || linked && link.as_str() == Some(text), "{case}: {link}");
            }
            let attributes = one["html"]["attributes"].as_array().unwrap();
            assert!(attributes.iter().all(|name| !name.as_str().unwrap().starts_with("on")), "{case}");

            let visible = squeezed(&honest(text));
            if visible.chars().count() > 150 || visible.is_empty() {
                continue;
            }
            let (html, plain) =
                (one["html"]["text"].as_str().unwrap(), squeezed(one["text"].as_str().unwrap()));
            match field {
                "title" => {
                    assert_eq!(one["subject"].as_str().unwrap(), visible, "{case}");
                    assert!(html.contains(&visible) && plain.contains(&visible), "{case}: {html}");
                }
                "attachment-content" => {
                    let found = one["attachments"][0]["text"].as_str().unwrap();
                    assert_eq!(squeezed(found), squeezed(text), "{case}");
                }
                "attachment-name" => {
                    let name = one["attachments"][0]["name"].as_str().unwrap();
                    assert!(
                        !name.contains(['/', '\\', '\r', '\n', '"']) && !name.starts_with('.'),
                        "{case}: {name:?}"
                    );
                }
                "attachment-type" => {
                    let kind = one["attachments"][0]["type"].as_str().unwrap();
                    assert!(!kind.starts_with("multipart/") && kind != "text/html", "{case}: {kind}");
                }
                "locale" | "action-style" => {}
                "link-url" | "action-url" if linked => {}
                _ => assert!(
                    html.contains(&visible) && plain.contains(&visible),
                    "{case}: {visible:?} in {html}"
                ),
            }
        }
    }
}

#[test]
fn hostile_markdown_makes_no_element_that_is_not_ours() {
    let mails = strings().into_iter().map(|(id, text)| {
        let mut mail = mail("", "");
        mail.message["body"] = json!(text);
        (id, mail.bytes())
    });
    let known = [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "table",
        "tr",
        "td",
        "div",
        "span",
        "h1",
        "p",
        "a",
        "br",
        "ul",
        "ol",
        "li",
        "blockquote",
        "pre",
        "code",
        "strong",
        "em",
        "del",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "!DOCTYPE html",
    ];
    for (id, one) in parse(mails) {
        let tags = one["html"]["tags"].as_array().unwrap();
        assert!(tags.iter().all(|tag| known.contains(&tag.as_str().unwrap())), "{id}: {tags:?}");
        for link in one["html"]["links"].as_array().unwrap() {
            let link = link.as_str().unwrap().to_ascii_lowercase();
            assert!(
                ["http://", "https://", "mailto:"].iter().any(|start| link.starts_with(start)),
                "{id}: {link}"
            );
        }
        let attributes = one["html"]["attributes"].as_array().unwrap();
        assert!(attributes.iter().all(|name| !name.as_str().unwrap().starts_with("on")), "{id}");
    }
}
