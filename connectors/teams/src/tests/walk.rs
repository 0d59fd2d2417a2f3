//! The rules of Teams and of Adaptive Cards 1.2, on a request's body. Written from the documentation, not from our code.

use serde_json::Value;

/// What a reader gets.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) texts: Vec<String>,
    /// Addresses, in order.
    pub(crate) links: Vec<String>,
    /// Runs with a look of their own.
    pub(crate) styled: usize,
    /// Types of elements, in order.
    pub(crate) kinds: Vec<String>,
    /// Bytes of the body as .NET writes it.
    pub(crate) cost: usize,
}

impl Seen {
    pub(crate) fn shown(&self) -> String {
        notify_connector_testing::tidy(&self.texts.concat())
    }

    fn text(&mut self, value: &Value) {
        let text = value.as_str().unwrap_or_else(|| panic!("no text: {value}"));
        assert!(!text.is_empty());
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
        for function in ["{{DATE(", "{{TIME("] {
            assert!(!text.contains(function), "a card makes something of {text:?}");
        }
        self.texts.push(text.to_owned());
    }

    fn url(&mut self, value: &Value) {
        let url = value.as_str().expect("an address");
        assert!(notify_markup::is_link(url), "{url}");
        self.links.push(url.to_owned());
    }

    fn open_url(&mut self, action: &Value, keys: &[&str]) {
        only(action, keys);
        assert_eq!(action["type"], "Action.OpenUrl", "the only action: {action}");
        self.url(&action["url"]);
    }

    fn run(&mut self, run: &Value) {
        only(
            run,
            &[
                "type",
                "text",
                "size",
                "weight",
                "fontType",
                "italic",
                "strikethrough",
                "isSubtle",
                "color",
                "selectAction",
            ],
        );
        assert_eq!(run["type"], "TextRun");
        let one_of = |key: &str, known: &[&str]| {
            assert!(
                run.get(key).is_none_or(|value| known.contains(&value.as_str().unwrap_or_default())),
                "{run}"
            );
        };
        one_of("size", &["Small", "Medium", "Large"]);
        one_of("weight", &["Bolder"]);
        one_of("fontType", &["Monospace"]);
        one_of("color", &["Accent"]);
        self.styled += usize::from(run.as_object().expect("an object").len() > 2);
        self.text(&run["text"]);
        if let Some(action) = run.get("selectAction") {
            self.open_url(action, &["type", "url"]);
        }
    }

    /// What does Markdown must have none.
    fn fact(&mut self, value: &Value) {
        let text = value.as_str().expect("a text");
        for sign in
            ["*", "`", "[", "]", "<", ">", "~", "\\", "|", "://", "www.", "@", "{{", "\n", "&#", "mailto:"]
        {
            assert!(!text.contains(sign), "Markdown in a fact: {text}");
        }
        assert!(!text.starts_with(['#', '-', '+', '=']), "{text}");
        let events: Vec<_> = notify_markup::parse(text);
        let plain = notify_markup::Block::Paragraph(vec![notify_markup::Inline::Text(text.to_owned())]);
        assert_eq!(events, [plain], "CommonMark sees something in a fact");
        self.text(value);
        self.texts.push(" ".to_owned());
    }

    fn element(&mut self, element: &Value) {
        let kind = element["type"].as_str().expect("a type");
        self.kinds.push(kind.to_owned());
        let list = |key: &str| {
            let list = element[key].as_array().unwrap_or_else(|| panic!("{key}: {element}"));
            assert!(!list.is_empty(), "{element}");
            list
        };
        match kind {
            "Container" => {
                only(element, &["type", "style", "bleed", "items"]);
                let styles = ["default", "emphasis", "good", "attention", "warning", "accent"];
                assert!(styles.contains(&element["style"].as_str().expect("a style")));
                list("items").iter().for_each(|item| self.element(item));
            }
            "RichTextBlock" => {
                only(element, &["type", "spacing", "separator", "inlines"]);
                list("inlines").iter().for_each(|run| self.run(run));
                self.texts.push(" ".to_owned());
            }
            "FactSet" => {
                only(element, &["type", "spacing", "facts"]);
                for fact in list("facts") {
                    only(fact, &["title", "value"]);
                    self.fact(&fact["title"]);
                    self.fact(&fact["value"]);
                }
            }
            "ColumnSet" => {
                only(element, &["type", "spacing", "columns"]);
                for column in list("columns") {
                    only(column, &["type", "width", "items"]);
                    assert_eq!(column["type"], "Column");
                    column["items"].as_array().expect("items").iter().for_each(|item| self.element(item));
                }
            }
            other => panic!("{other} is not an element that we use"),
        }
    }
}

fn only(object: &Value, keys: &[&str]) {
    for key in object.as_object().unwrap_or_else(|| panic!("no object: {object}")).keys() {
        assert!(keys.contains(&key.as_str()), "unknown: {key} in {object}");
    }
}

/// Bytes of a text as `System.Text.Json` writes it: nothing but ASCII, and what HTML knows as `\uXXXX`.
fn dotnet(text: &str) -> usize {
    text.chars()
        .map(|c| match c {
            '<' | '>' | '&' | '\'' | '+' | '`' | '\u{7f}' => 6,
            c if c.is_ascii() => 1,
            c => 6 * c.len_utf16(),
        })
        .sum()
}

pub(crate) fn walk(body: &str) -> Seen {
    let mut seen = Seen { cost: dotnet(body), ..Seen::default() };
    assert!(seen.cost <= 24_000, "{} bytes, 24000 are safe", seen.cost);
    assert!(body.len() <= 24_000, "{}", body.len());
    let message: Value = serde_json::from_str(body).expect("JSON");
    only(&message, &["type", "attachments"]);
    assert_eq!(message["type"], "message");
    let attachments = message["attachments"].as_array().expect("attachments");
    assert_eq!(attachments.len(), 1);
    only(&attachments[0], &["contentType", "content"]);
    assert_eq!(attachments[0]["contentType"], "application/vnd.microsoft.card.adaptive");
    let card = &attachments[0]["content"];
    only(card, &["$schema", "type", "version", "msteams", "body", "actions"]);
    assert_eq!((&card["type"], &card["version"]), (&"AdaptiveCard".into(), &"1.2".into()));
    card["body"].as_array().expect("a body").iter().for_each(|element| seen.element(element));
    let none = Vec::new();
    let actions = card.get("actions").map_or(&none, |actions| actions.as_array().expect("actions"));
    assert!(actions.len() <= 6, "{} actions", actions.len());
    for action in actions {
        seen.open_url(action, &["type", "title", "url", "style"]);
        let style = action.get("style").map(|style| style.as_str().expect("a style"));
        assert!(style.is_none_or(|style| ["positive", "destructive"].contains(&style)));
        // Functions are for texts of elements: no renderer looks for them in titles.
        let title = action["title"].as_str().expect("a title");
        assert!(!title.is_empty());
        seen.texts.push(format!("{title} "));
    }
    seen
}
