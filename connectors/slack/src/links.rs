//! Actions and links: buttons first, what is no button is listed.

use crate::layout::{ALERT_URL, ALERT_URL_MOST, plain_text};
use crate::rich::URL_MOST;
use crate::text::{limited, line};
use notify_connector_sdk::Json;
use notify_connector_sdk::json::cost_of;
use notify_connector_sdk::message::Message;
use notify_markup::{cut_chars, is_link};

/// Slack takes 25; more than a few hide each other.
const BUTTONS: usize = 9;
const BUTTON_TEXT: usize = 75;
const BUTTONS_COST: usize = 2600;
/// A title in the list.
const TITLE: usize = 150;

pub(crate) struct Links {
    /// Elements of an `actions` block.
    pub(crate) buttons: Json,
    /// Title and address of what is no button.
    pub(crate) others: Vec<(String, String)>,
}

impl Links {
    pub(crate) fn of(message: &Message) -> Self {
        let mut links = Self { buttons: Json::with_capacity(512), others: Vec::new() };
        let actions = message.actions.iter().map(|one| (&one.title, &one.url, one.style.as_str()));
        let all = actions.chain(message.links.iter().map(|one| (&one.title, &one.url, "")));
        let mut count = 0;
        for (title, url, style) in all {
            let title = line(title);
            let title = if title.is_empty() { line(url) } else { title };
            let title = cut_chars(&title, TITLE).text;
            let web =
                is_link(url) && !url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
            let cost = cost_of(url) + cost_of(cut_chars(title, BUTTON_TEXT).text) + 150;
            let room = links.buttons.cost() + cost <= BUTTONS_COST;
            if web && url.len() <= URL_MOST && count < BUTTONS && room {
                links.button(count, title, url, style);
                count += 1;
            } else if !url.is_empty() || !title.is_empty() {
                links.others.push((title.to_owned(), url.clone()));
            }
        }
        links
    }

    fn button(&mut self, number: usize, title: &str, url: &str, style: &str) {
        let json = &mut self.buttons;
        json.open();
        json.pair("type", "button");
        json.pair("action_id", &format!("link-{number}"));
        json.key("text");
        plain_text(json, &limited(title, BUTTON_TEXT, &mut false));
        json.pair("url", url);
        if let Some(style) = ["primary", "danger"].into_iter().find(|known| *known == style) {
            json.pair("style", style);
        }
        json.close();
    }

    /// The block; with a button to the whole alert first when there is a title for one.
    pub(crate) fn block(self, full_alert: Option<&str>) -> Option<Json> {
        if self.buttons.is_empty() && full_alert.is_none() {
            return None;
        }
        let mut json = Json::with_capacity(1024);
        json.open();
        json.pair("type", "actions");
        json.key("elements");
        json.list();
        if let Some(title) = full_alert {
            json.open();
            json.pair("type", "button");
            json.pair("action_id", "full-alert");
            json.key("text");
            plain_text(&mut json, title);
            json.key("url");
            json.secret(ALERT_URL, ALERT_URL_MOST);
            json.pair("style", "primary");
            json.close();
        }
        json.join(self.buttons);
        json.end();
        json.close();
        Some(json)
    }
}
