//! Pages for people with a link: what a browser makes of them, and of what strangers wrote.

use crate::harness::{Answered, LINK_KEY, PER_MINUTE, Service, service};
use crate::inbox::{delivered, message};
use html5ever::tendril::TendrilSink as _;
use http::Method;
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use notify_core::ids::{ChannelId, DeliveryId, TenantId};
use notify_core::links::{LinkKeys, WayOutMaker};
use notify_core::message::{Action, Attachment, EventReference, Field, Link, Message};
use notify_core::severity::Severity;
use notify_core::time::{Clock, Timestamp};
use notify_store::model::Page;
use serde_json::json;

const DAY: i64 = 86_400;
const ONE_CLICK: &[u8] = b"List-Unsubscribe=One-Click";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn token_until(delivery: &DeliveryId, ends: Timestamp) -> String {
    LinkKeys::one(LINK_KEY).alert(&acme(), delivery, ends)
}

fn in_days(service: &Service, days: i64) -> Timestamp {
    Timestamp::from_second(service.clock.now().as_second() + days * DAY).unwrap()
}

async fn get(service: &Service, path: &str) -> Answered {
    service.send(Method::GET, path, &[], b"").await
}

/// What every page promises, and its elements as a browser reads them.
fn page(answered: &Answered) -> Seen {
    assert_eq!(answered.header("content-type"), "text/html; charset=utf-8");
    let policy = answered.header("content-security-policy");
    for part in ["default-src 'none'", "style-src 'sha256-", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("script") && !policy.contains("unsafe"), "{policy}");
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(answered.header(name), value, "{name}");
    }
    assert!(answered.header("x-robots-tag").contains("noindex"));
    assert!(answered.headers.get("set-cookie").is_none());
    let html = String::from_utf8(answered.bytes.clone()).unwrap();
    let seen = Seen::of(&html);
    assert_eq!(seen.count("h1"), 1, "{html}");
    assert_eq!(seen.count("main"), 1, "{html}");
    seen
}

/// Elements with their attributes, and all text.
#[derive(Default)]
struct Seen {
    elements: Vec<(String, Vec<(String, String)>)>,
    text: String,
}

impl Seen {
    fn of(html: &str) -> Self {
        let dom = html5ever::parse_document(RcDom::default(), Default::default()).one(html);
        assert!(dom.errors.borrow().is_empty(), "{:?}: {html}", dom.errors.borrow());
        let mut seen = Self::default();
        seen.walk(&dom.document, "");
        seen
    }

    fn walk(&mut self, node: &Handle, parent: &str) {
        let mut name = parent.to_owned();
        match &node.data {
            NodeData::Element { name: tag, attrs, .. } => {
                name = tag.local.to_string();
                let attributes = attrs.borrow();
                let attributes =
                    attributes.iter().map(|a| (a.name.local.to_string(), a.value.to_string())).collect();
                self.elements.push((name.clone(), attributes));
            }
            NodeData::Text { contents } if name != "style" => self.text.push_str(&contents.borrow()),
            NodeData::Comment { contents } => panic!("a comment: {contents}"),
            _ => {}
        }
        for child in node.children.borrow().iter() {
            self.walk(child, &name);
        }
    }

    fn count(&self, name: &str) -> usize {
        self.elements.iter().filter(|(element, _)| element == name).count()
    }

    fn links(&self) -> Vec<&str> {
        let attributes = self.elements.iter().filter(|(name, _)| name == "a").flat_map(|(_, all)| all);
        attributes.filter(|(name, _)| name == "href").map(|(_, value)| value.as_str()).collect()
    }

    /// Only what this page is made of: nothing that loads, runs, or sends.
    fn is_harmless(&self) {
        const ELEMENTS: &[&str] = &[
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "main",
            "header",
            "section",
            "footer",
            "h1",
            "h2",
            "h3",
            "p",
            "ul",
            "ol",
            "li",
            "a",
            "span",
            "dl",
            "div",
            "dt",
            "dd",
            "details",
            "summary",
            "pre",
            "code",
            "strong",
            "em",
            "del",
            "blockquote",
            "br",
            "hr",
            "form",
            "input",
            "button",
        ];
        const ATTRIBUTES: &[&str] = &[
            "lang", "class", "charset", "name", "content", "href", "rel", "start", "method", "type", "value",
        ];
        for (element, attributes) in &self.elements {
            assert!(ELEMENTS.contains(&element.as_str()), "<{element}>");
            for (name, value) in attributes {
                assert!(ATTRIBUTES.contains(&name.as_str()), "<{element} {name}=\"{value}\">");
                assert!(
                    name != "href" || value.starts_with("https://") || value.starts_with("mailto:"),
                    "{value}"
                );
            }
            assert!(element != "meta" || !attributes.iter().any(|(name, _)| name == "http-equiv"));
        }
    }
}

/// What a stranger could write into any field of an event.
const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></style></main><h1>owned</h1>",
    "<!-- --><svg/onload=alert(1)>",
    "[click](javascript:alert(1))",
    "![](https://evil.example/track.png)",
    "<a href=\"https://evil.example\">login</a>",
    "<meta http-equiv=refresh content=0;url=https://evil.example>",
    "<form action=https://evil.example><input name=password>",
    "&lt;b&gt; &#60;script&#62;",
    "{{constructor.constructor('alert(1)')()}}",
    "\u{202e}gnp.exe\u{202c}\u{2066}",
    "a\0b\u{1b}[31m\u{7}",
    "<base href=https://evil.example><iframe srcdoc=x>",
    "]]><![CDATA[<script>",
    "<style>*{display:none}</style><link rel=stylesheet href=//evil.example>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
];

fn hostile(text: &str) -> Message {
    Message {
        title: text.to_owned(),
        summary: text.to_owned(),
        severity: Severity::Critical,
        body: format!("{text}\n\n- {text}\n\n> {text}\n\n```\n{text}\n```\n"),
        fields: vec![Field { name: text.to_owned(), value: text.to_owned(), short: true }],
        links: vec![
            Link { title: text.to_owned(), url: text.to_owned() },
            Link { title: text.to_owned(), url: "https://good.example/r?a=1&b=\u{27}2".to_owned() },
        ],
        actions: vec![Action {
            id: text.to_owned(),
            title: text.to_owned(),
            url: text.to_owned(),
            style: text.to_owned(),
        }],
        footer: text.to_owned(),
        attachments: vec![Attachment {
            name: text.to_owned(),
            content_type: text.to_owned(),
            content: text.to_owned(),
        }],
        locale: text.to_owned(),
        event: Some(EventReference {
            id: text.to_owned(),
            source: text.to_owned(),
            r#type: text.to_owned(),
            subject: Some(text.to_owned()),
            time: Some(text.to_owned()),
        }),
        ..Message::default()
    }
}

#[tokio::test]
async fn what_strangers_wrote_is_text() {
    let service = service().await;
    for (number, text) in HOSTILE.iter().enumerate() {
        let id = delivered(&service, &format!("hostile-{number}"), "inbox", &hostile(text)).await;
        let answered = get(&service, &format!("/a/{}", token_until(&id, in_days(&service, 1)))).await;
        assert_eq!(answered.status.as_u16(), 200, "{text}");
        let seen = page(&answered);
        seen.is_harmless();
        assert_eq!(seen.count("form") + seen.count("input") + seen.count("button"), 0, "{text}");
        let evil: Vec<_> =
            seen.links().into_iter().filter(|url| !url.starts_with("https://good.example/")).collect();
        // Markdown of a title or a field is no link; the body may have links that it shows in full.
        assert!(evil.iter().all(|url| url.starts_with("https://evil.example")), "{text}: {evil:?}");
        assert!(!seen.text.chars().any(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')));
        assert!(!seen.text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
        let shown: String = text
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
            .collect();
        assert!(seen.text.matches(&shown).count() >= 6, "{text} is shown as it is: {}", seen.text);
        service.later(60);
    }
}

#[tokio::test]
async fn an_alert_is_shown_in_full_and_in_its_language() {
    let service = service().await;
    let message = Message {
        body: "**Five** criticals in [the report](https://scanner.example/r/1).\n\n- `CVE-2026-1`\n- `CVE-2026-2`".to_owned(),
        fields: vec![
            Field { name: "Image".into(), value: "ghcr.io/acme/shop:1.4".into(), short: true },
            Field { name: "Digest".into(), value: "sha256:ab".into(), short: false },
        ],
        links: vec![Link { title: "Report".into(), url: "https://scanner.example/r/1".into() }],
        actions: vec![Action { id: "fix".into(), title: "Open a ticket".into(), url: "https://tickets.example/new".into(), style: String::new() }],
        attachments: vec![Attachment { name: "scan.txt".into(), content_type: "text/plain".into(), content: "line 1\nline 2".into() }],
        footer: "Scanner 4.2".into(),
        locale: "de-AT".into(),
        ..message("Kritische Lücken", Severity::Critical)
    };
    let id = delivered(&service, "full", "inbox", &message).await;
    let path = format!("/a/{}", token_until(&id, in_days(&service, 30)));
    let answered = get(&service, &path).await;
    let seen = page(&answered);
    seen.is_harmless();
    assert_eq!(answered.header("content-language"), "de");
    assert_eq!(
        seen.elements[0].1,
        [("lang".to_owned(), "de".to_owned()), ("class".to_owned(), "critical".to_owned())]
    );
    for text in [
        "Kritisch",
        "Kritische Lücken",
        "about Kritische Lücken",
        "Five",
        "CVE-2026-2",
        "Einzelheiten",
        "ghcr.io/acme/shop:1.4",
        "Was Sie tun können",
        "Open a ticket",
        "tickets.example",
        "scan.txt",
        "line 2",
        "Scanner 4.2",
        id.as_str(),
    ] {
        assert!(seen.text.contains(text), "{text}: {}", seen.text);
    }
    let links = ["https://scanner.example/r/1", "https://scanner.example/r/1", "https://tickets.example/new"];
    assert_eq!(seen.links(), links);
    let head = service.send(Method::HEAD, &path, &[], b"").await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    assert_eq!(head.header("cache-control"), "no-store");
    assert_eq!(service.send(Method::POST, &path, &[], b"").await.status.as_u16(), 405);
}

#[tokio::test]
async fn links_end_and_cannot_be_made_up() {
    let service = service().await;
    let id = delivered(&service, "one", "inbox", &message("secret-title", Severity::Low)).await;
    let token = token_until(&id, in_days(&service, 1));
    let check = async |path: String, status: u16, heading: &str| {
        let german = [("accept-language", "de-DE,de;q=0.9")];
        let answered = service.send(Method::GET, &path, &german, b"").await;
        assert_eq!(answered.status.as_u16(), status, "{path}");
        let seen = page(&answered);
        seen.is_harmless();
        assert!(seen.text.contains(heading), "{path}: {}", seen.text);
        assert!(status == 200 || !seen.text.contains("secret-title"));
    };
    let unknown = "Dieser Link funktioniert nicht";
    check(format!("/a/{token}"), 200, "secret-title").await;
    check(format!("/a/{}", &token[..token.len() - 1]), 404, unknown).await;
    check(format!("/a/{token}A"), 404, unknown).await;
    check("/a/x".to_owned(), 404, unknown).await;
    check(format!("/a/{}", "A".repeat(400)), 404, unknown).await;
    check(format!("/a/{}", LinkKeys::one([6; 32]).alert(&acme(), &id, in_days(&service, 1))), 404, unknown)
        .await;
    // Ours, but what it is about is gone, or another tenant's.
    let absent = token_until(&DeliveryId::derive(["absent"]), in_days(&service, 1));
    check(format!("/a/{absent}"), 410, "nicht mehr aufbewahrt").await;
    let other = LinkKeys::one(LINK_KEY).alert(&TenantId::new("other").unwrap(), &id, in_days(&service, 1));
    check(format!("/a/{other}"), 410, "nicht mehr aufbewahrt").await;
    check("/u/x".to_owned(), 404, unknown).await;
    service.later(DAY + 60);
    check(format!("/a/{token}"), 410, "abgelaufen").await;
}

#[tokio::test]
async fn one_client_looks_so_often_in_a_minute() {
    let service = service().await;
    for number in 0..PER_MINUTE {
        assert_eq!(get(&service, "/a/x").await.status.as_u16(), 404, "{number}");
    }
    let refused = get(&service, "/u/x").await;
    page(&refused);
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "60"));
    service.later(60);
    assert_eq!(get(&service, "/a/x").await.status.as_u16(), 404);
}

/// A mail channel, and what makes the ways out of it.
async fn mail(service: &Service) -> WayOutMaker {
    let channel = json!({
        "schema": "notify-channel@1", "id": "mail", "name": "Mail", "type": "email",
        "config": { "to": ["Ops <Ops@Example.org>", "dev@example.org"] },
    });
    let headers = [("content-type", "application/json")];
    let made = service.admin(Method::POST, "/api/v1/notify/channels", &headers, &channel.to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    LinkKeys::one(LINK_KEY).ways_out(&acme(), &ChannelId::new("mail").unwrap())
}

async fn out(service: &Service) -> Vec<String> {
    let page = Page { limit: 10, after: None };
    let found = service.store.opt_outs(&acme(), &ChannelId::new("mail").unwrap(), &page).await.unwrap();
    found.items.into_iter().map(|out| out.address).collect()
}

async fn entries(service: &Service) -> u64 {
    service.store.ledger_head(&acme()).await.unwrap().unwrap().size
}

#[tokio::test]
async fn a_recipient_leaves_with_one_click_and_comes_back() {
    let service = service().await;
    let path = format!("/u/{}", mail(&service).await.of("ops@example.org"));
    let before = entries(&service).await;
    for _ in 0..2 {
        let asked = get(&service, &path).await;
        let seen = page(&asked);
        seen.is_harmless();
        assert!(asked.header("content-security-policy").contains("form-action 'self'"));
        assert_eq!((seen.count("form"), seen.count("button")), (1, 1));
    }
    assert_eq!((out(&service).await, entries(&service).await), (vec![], before), "a GET changes nothing");
    for _ in 0..3 {
        let done = service.send(Method::POST, &path, &[FORM], ONE_CLICK).await;
        assert_eq!(done.status.as_u16(), 200);
        assert!(page(&done).text.contains("unsubscribed"));
    }
    assert_eq!(out(&service).await, ["ops@example.org"]);
    assert_eq!(entries(&service).await, before + 1, "once is enough, and on record");
    let recorded = service.store.ledger_entries_about(&acme(), "opt-out/mail").await.unwrap();
    let payload = recorded[0].payload.clone().unwrap();
    assert!(payload.contains("recipient-opted-out") && !payload.contains("example.org"), "{payload}");

    // What is saved anew does not write to them again.
    let channel = json!({
        "schema": "notify-channel@1", "id": "mail", "name": "Mail 2", "type": "email",
        "config": { "to": ["ops@example.org"] },
    });
    let headers = [("content-type", "application/json"), ("if-match", "*")];
    let put =
        service.admin(Method::PUT, "/api/v1/notify/channels/mail", &headers, &channel.to_string()).await;
    assert_eq!((put.status.as_u16(), out(&service).await.len()), (200, 1));

    let boundary = "multipart/form-data; boundary=x";
    let back = b"--x\r\nContent-Disposition: form-data; name=\"action\"\r\n\r\nresubscribe\r\n--x--\r\n";
    let done = service.send(Method::POST, &path, &[("content-type", boundary)], back).await;
    assert!(page(&done).text.contains("subscribed again"));
    assert_eq!(out(&service).await, [""; 0]);
    let click =
        b"--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
    let done = service.send(Method::POST, &path, &[("content-type", boundary)], click).await;
    assert_eq!((done.status.as_u16(), out(&service).await.len()), (200, 1));
    assert_eq!(entries(&service).await, before + 4);
}

#[tokio::test]
async fn what_is_no_form_of_ours_changes_nothing() {
    let service = service().await;
    let made = mail(&service).await;
    let path = format!("/u/{}", made.of("dev@example.org"));
    for (headers, body) in [
        (vec![], ONE_CLICK),
        (vec![FORM], b"".as_slice()),
        (vec![FORM], b"List-Unsubscribe=Two-Clicks"),
        (vec![("content-type", "application/json")], b"{\"List-Unsubscribe\":\"One-Click\"}"),
        (vec![("content-type", "multipart/form-data; boundary=x")], b"--x\r\nname=\"List-Unsubscribe\""),
    ] {
        let refused = service.send(Method::POST, &path, &headers, body).await;
        assert_eq!(refused.status.as_u16(), 400, "{body:?}");
        page(&refused).is_harmless();
    }
    let stranger = format!("/u/{}", made.of("stranger@example.org"));
    let told = service.send(Method::POST, &stranger, &[FORM], ONE_CLICK).await;
    assert_eq!(told.status.as_u16(), 200);
    assert!(page(&told).text.contains("not on the list"));
    let forged =
        LinkKeys::one([6; 32]).ways_out(&acme(), &ChannelId::new("mail").unwrap()).of("dev@example.org");
    assert_eq!(
        service.send(Method::POST, &format!("/u/{forged}"), &[FORM], ONE_CLICK).await.status.as_u16(),
        404
    );
    assert_eq!(out(&service).await, [""; 0]);
}

#[tokio::test]
async fn an_admin_sees_and_ends_opt_outs() {
    let service = service().await;
    let path = format!("/u/{}", mail(&service).await.of("ops@example.org"));
    service.send(Method::POST, &path, &[FORM], ONE_CLICK).await;
    let place = "/api/v1/notify/channels/mail/opt-outs";
    let listed = service.admin(Method::GET, place, &[], "").await;
    assert_eq!(listed.text("/items/0/address"), "ops@example.org");
    let one = format!("{place}/OPS%40example.org");
    let before = entries(&service).await;
    assert_eq!(service.admin(Method::DELETE, &one, &[], "").await.status.as_u16(), 204);
    assert_eq!(service.admin(Method::DELETE, &one, &[], "").await.status.as_u16(), 404);
    assert_eq!((out(&service).await, entries(&service).await), (vec![], before + 1));
    let absent = service.admin(Method::GET, "/api/v1/notify/channels/absent/opt-outs", &[], "").await;
    assert_eq!(absent.status.as_u16(), 404);
}

#[tokio::test]
async fn opt_outs_outlive_their_channel() {
    let service = service().await;
    let path = format!("/u/{}", mail(&service).await.of("ops@example.org"));
    service.send(Method::POST, &path, &[FORM], ONE_CLICK).await;
    let gone = service.admin(Method::DELETE, "/api/v1/notify/channels/mail", &[("if-match", "*")], "").await;
    assert_eq!(gone.status.as_u16(), 204);
    let place = "/api/v1/notify/channels/mail/opt-outs";
    let listed = service.admin(Method::GET, place, &[], "").await;
    assert_eq!((listed.status.as_u16(), listed.text("/items/0/address")), (200, "ops@example.org"));
    let one = format!("{place}/ops@example.org");
    assert_eq!(service.admin(Method::DELETE, &one, &[], "").await.status.as_u16(), 204);
    assert_eq!(out(&service).await, [""; 0]);
}

/// Mail programs post for all their users from few addresses.
#[tokio::test]
async fn one_click_needs_no_place_of_its_address() {
    let service = service().await;
    let made = mail(&service).await;
    let post = async |token: &str| {
        let path = format!("/u/{token}");
        service.send(Method::POST, &path, &[FORM], ONE_CLICK).await.status.as_u16()
    };
    for _ in 0..PER_MINUTE {
        assert_eq!(post("x").await, 404);
    }
    assert_eq!(post("x").await, 429);
    assert_eq!(post(&made.of("stranger@example.org")).await, 429, "ours, but of nobody");
    assert_eq!(post(&made.of("ops@example.org")).await, 200);
    assert_eq!(post(&made.of("dev@example.org")).await, 200);
    assert_eq!(out(&service).await.len(), 2);
    for _ in 1..PER_MINUTE {
        assert_eq!(post(&made.of("dev@example.org")).await, 200);
    }
    assert_eq!(post(&made.of("dev@example.org")).await, 429);
}

#[tokio::test]
async fn a_form_is_small() {
    let service = service().await;
    let path = format!("/u/{}", mail(&service).await.of("ops@example.org"));
    let form = |bytes: usize| {
        let mut body = ONE_CLICK.to_vec();
        body.extend(b"&x=");
        body.resize(bytes, b'x');
        body
    };
    let refused = service.send(Method::POST, &path, &[FORM], &form(4_097)).await;
    assert_eq!(refused.status.as_u16(), 413);
    assert_eq!(service.send(Method::POST, &path, &[FORM], &form(4_096)).await.status.as_u16(), 200);
}

/// Each change is an entry of the ledger for good.
#[tokio::test]
async fn a_recipient_changes_so_often_in_a_day() {
    let service = service().await;
    let path = format!("/u/{}", mail(&service).await.of("ops@example.org"));
    let before = entries(&service).await;
    let post = async |body: &[u8]| {
        service.later(60);
        service.send(Method::POST, &path, &[FORM], body).await
    };
    for number in 0..5 {
        assert_eq!(post(ONE_CLICK).await.status.as_u16(), 200, "{number}");
        assert_eq!(post(b"action=resubscribe").await.status.as_u16(), 200, "{number}");
    }
    assert_eq!(post(ONE_CLICK).await.status.as_u16(), 200);
    let refused = post(b"action=resubscribe").await;
    assert_eq!(refused.status.as_u16(), 429);
    assert!(page(&refused).text.contains("tomorrow"));
    assert_eq!((out(&service).await.len(), entries(&service).await), (1, before + 11));
    service.later(DAY);
    assert_eq!(post(b"action=resubscribe").await.status.as_u16(), 200);
}
