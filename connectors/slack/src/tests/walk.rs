//! Slack's rules, as far as they are known, on a message's JSON. Written from the documentation, not from our code.

use notify_connector_sdk::json::cost_of;
use serde_json::Value;

/// What a reader gets.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) texts: Vec<String>,
    /// Addresses, in order.
    pub(crate) links: Vec<String>,
    /// Styled runs.
    pub(crate) styled: usize,
    /// Types of blocks and elements, in order.
    pub(crate) kinds: Vec<String>,
    /// JSON length of all blocks in the longest spelling.
    pub(crate) cost: usize,
}

impl Seen {
    pub(crate) fn shown(&self) -> String {
        notify_connector_testing::tidy(&self.texts.join(" "))
    }

    /// One text of ours as Slack shows it.
    fn text(&mut self, value: &Value, most: usize) {
        let text = value.as_str().unwrap_or_else(|| panic!("no text: {value}"));
        assert!(!text.is_empty(), "Slack refuses empty texts");
        let length = text.encode_utf16().count();
        assert!(length <= most, "{length} characters, {most} are allowed");
        assert!(!text.contains(['<', '>']), "markup of Slack: {text}");
        for part in text.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;"].iter().any(|known| part.starts_with(known)), "a bare &: {text}");
        }
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
        self.texts.push(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"));
    }

    fn url(&mut self, value: &Value) {
        let url = value.as_str().expect("an address");
        assert!(url.len() <= 3000 && notify_markup::is_link(url), "{url}");
        self.links.push(url.to_owned());
    }

    fn plain(&mut self, object: &Value, most: usize) {
        assert_eq!(object["type"], "plain_text", "{object}");
        assert_eq!(object["emoji"], false, "{object}");
        only(object, &["type", "text", "emoji"]);
        self.text(&object["text"], most);
    }

    fn field(&mut self, object: &Value) {
        if object["type"] == "plain_text" {
            return self.plain(object, 2000);
        }
        assert_eq!((&object["type"], &object["verbatim"]), (&"mrkdwn".into(), &true.into()), "{object}");
        only(object, &["type", "text", "verbatim"]);
        let text = object["text"].as_str().expect("a text");
        let (name, value) = text
            .strip_prefix('*')
            .and_then(|rest| rest.split_once("*\n"))
            .unwrap_or_else(|| panic!("{text}"));
        for part in [name, value] {
            assert!(!part.contains(['*', '~', '`', '\n']), "formatting: {text}");
            let around = |at: usize| {
                let alnum = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
                alnum(part[..at].chars().last()) && alnum(part[at + 1..].chars().next())
            };
            assert!(part.match_indices('_').all(|(at, _)| around(at)), "formatting: {text}");
            assert!(!part.starts_with("&gt;"), "a quote: {text}");
            let mut words = part.split(':').skip(1).collect::<Vec<_>>();
            words.pop();
            // Whatever the name: +1 and 100 are some, too. Two digits are a time's.
            let emoji = |word: &&str| {
                let in_name = |c: char| c.is_ascii_alphanumeric() || "_+-'".contains(c) || !c.is_ascii();
                let minutes = word.len() == 2 && word.bytes().all(|b| b.is_ascii_digit());
                !word.is_empty() && word.chars().all(in_name) && !minutes
            };
            assert!(!words.iter().any(emoji), "an emoji: {text}");
        }
        self.text(&format!("{name} {value}").into(), 2000);
    }

    fn rich(&mut self, element: &Value) {
        let kind = element["type"].as_str().expect("a type");
        self.kinds.push(kind.to_owned());
        let children = element["elements"].as_array().expect("elements");
        assert!(!children.is_empty(), "{element}");
        match kind {
            "rich_text_list" => {
                only(element, &["type", "style", "indent", "offset", "elements"]);
                assert!(["bullet", "ordered"].contains(&element["style"].as_str().expect("a style")));
                assert!(element.get("indent").is_none_or(|indent| indent.as_u64().is_some_and(|n| n <= 8)));
                for child in children {
                    assert_eq!(child["type"], "rich_text_section");
                    self.rich(child);
                }
            }
            "rich_text_section" | "rich_text_quote" | "rich_text_preformatted" => {
                only(element, &["type", "elements"]);
                children.iter().for_each(|child| self.inline(child, kind == "rich_text_preformatted"));
            }
            other => panic!("{other} is no element of rich text"),
        }
    }

    fn inline(&mut self, element: &Value, preformatted: bool) {
        match element["type"].as_str().expect("a type") {
            "text" => only(element, &["type", "text", "style"]),
            "link" => {
                only(element, &["type", "url", "text", "style"]);
                self.url(&element["url"]);
            }
            other => panic!("{other} is not ours"),
        }
        if let Some(style) = element.get("style") {
            assert!(!preformatted);
            only(style, &["bold", "italic", "strike", "code"]);
            self.styled += 1;
        }
        self.text(&element["text"], 12_000);
    }

    fn block(&mut self, block: &Value) {
        let kind = block["type"].as_str().expect("a type");
        self.kinds.push(kind.to_owned());
        let list = |key: &str, most: usize| {
            let list = block[key].as_array().unwrap_or_else(|| panic!("{key}: {block}"));
            assert!((1..=most).contains(&list.len()), "{} of {key}", list.len());
            list
        };
        match kind {
            "header" => {
                only(block, &["type", "text"]);
                self.plain(&block["text"], 150);
            }
            "section" if block.get("fields").is_some() => {
                only(block, &["type", "fields"]);
                list("fields", 10).iter().for_each(|field| self.field(field));
            }
            "section" => {
                only(block, &["type", "text"]);
                self.plain(&block["text"], 3000);
            }
            "context" => {
                only(block, &["type", "elements"]);
                list("elements", 10).iter().for_each(|one| self.plain(one, 2000));
            }
            "actions" => {
                only(block, &["type", "elements"]);
                let mut ids = std::collections::BTreeSet::new();
                for button in list("elements", 25) {
                    only(button, &["type", "action_id", "text", "url", "style"]);
                    assert_eq!(button["type"], "button");
                    self.plain(&button["text"], 75);
                    let id = button["action_id"].as_str().expect("an id");
                    assert!(id.len() <= 255 && ids.insert(id.to_owned()), "{id}");
                    let style = button.get("style").map(|style| style.as_str().expect("a style"));
                    assert!(style.is_none_or(|style| ["primary", "danger"].contains(&style)));
                    self.url(&button["url"]);
                }
            }
            "rich_text" => {
                only(block, &["type", "elements"]);
                list("elements", 1000).iter().for_each(|element| self.rich(element));
            }
            other => panic!("{other} is no block that Slack documents for messages"),
        }
    }
}

fn only(object: &Value, keys: &[&str]) {
    for key in object.as_object().unwrap_or_else(|| panic!("no object: {object}")).keys() {
        assert!(keys.contains(&key.as_str()), "unknown: {key} in {object}");
    }
}

/// JSON in its longest usual spelling.
fn cost(value: &Value) -> usize {
    let text = value.to_string();
    text.chars()
        .map(
            |c| if c.is_ascii() { if "<>&'+`".contains(c) { 6 } else { 1 } } else { cost_of(&c.to_string()) },
        )
        .sum()
}

pub(crate) fn walk(message: &Value) -> Seen {
    let mut seen = Seen::default();
    only(
        message,
        &[
            "text",
            "blocks",
            "attachments",
            "mrkdwn",
            "unfurl_links",
            "unfurl_media",
            "link_names",
            "parse",
            "channel",
            "username",
            "icon_emoji",
            "thread_ts",
            "ts",
            "reply_broadcast",
        ],
    );
    assert_eq!((&message["mrkdwn"], &message["link_names"]), (&false.into(), &false.into()));
    assert_eq!(message["parse"], "none");
    seen.text(&message["text"], 4000);
    seen.texts.clear();
    let attachments = message["attachments"].as_array().expect("attachments");
    assert!(attachments.len() <= 1);
    let mut count = 0;
    let mut blocks = |seen: &mut Seen, list: &Value| {
        seen.cost += cost(list);
        for block in list.as_array().expect("blocks") {
            count += 1;
            seen.block(block);
        }
    };
    blocks(&mut seen, &message["blocks"]);
    for attachment in attachments {
        only(attachment, &["color", "blocks"]);
        let color = attachment["color"].as_str().expect("a colour");
        assert!(color.len() == 7 && color.starts_with('#'), "{color}");
        blocks(&mut seen, &attachment["blocks"]);
    }
    assert!((1..=50).contains(&count), "{count} blocks");
    assert!(seen.cost <= 12_100, "{} characters of JSON in all", seen.cost);
    seen
}
