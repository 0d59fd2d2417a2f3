//! Fields: a `FactSet` where that is safe, columns of text runs where a value could be taken for Markdown.

use crate::runs::{Runs, Style};
use crate::text::{fit_cost, fitted, is_plain_markdown, line};
use notify_connector_sdk::Json;
use notify_connector_sdk::message::Field;
use notify_markup::honest;
use std::borrow::Cow;

/// What all fields may cost, and one name and value.
const FIELDS_COST: usize = 6000;
const NAME_COST: usize = 200;
const VALUE_COST: usize = 1600;
/// Two columns around them.
const COLUMNS: usize = 900;
/// A value that is longer reads better as columns.
const FACT_COST: usize = 400;

pub(crate) fn fields(fields: &[Field], cut: &mut bool) -> Json {
    if fields.is_empty() {
        return Json::default();
    }
    let shown: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        fields.iter().map(|field| (line(&field.name), honest(&field.value))).collect();
    let is_fact = |text: &str| is_plain_markdown(text) && !fit_cost(text, FACT_COST).cut;
    if shown.iter().all(|(name, value)| is_fact(name) && is_fact(value.trim())) {
        facts(&shown, cut)
    } else {
        columns(&shown, cut)
    }
}

fn or_dash(value: &str) -> &str {
    let value = value.trim();
    if value.is_empty() { "–" } else { value }
}

fn facts(fields: &[(Cow<'_, str>, Cow<'_, str>)], cut: &mut bool) -> Json {
    let mut json = Json::with_capacity(512);
    json.open();
    json.pair("type", "FactSet");
    json.pair("spacing", "Medium");
    json.key("facts");
    json.list();
    for (name, value) in fields {
        if json.cost() + 2 * FACT_COST + 60 > FIELDS_COST {
            *cut = true;
            break;
        }
        json.open();
        json.pair("title", or_dash(name));
        json.pair("value", or_dash(value));
        json.close();
    }
    json.end();
    json.close();
    json
}

fn columns(fields: &[(Cow<'_, str>, Cow<'_, str>)], cut: &mut bool) -> Json {
    let mut runs = Runs::new(FIELDS_COST + NAME_COST + VALUE_COST + COLUMNS);
    for (at, (name, value)) in fields.iter().enumerate() {
        if runs.cut || runs.json.cost() > FIELDS_COST {
            *cut = true;
            break;
        }
        runs.json.open();
        runs.json.pair("type", "ColumnSet");
        runs.json.pair("spacing", if at == 0 { "Medium" } else { "Small" });
        runs.json.key("columns");
        runs.json.list();
        let name = fitted(or_dash(name), NAME_COST, cut);
        column(&mut runs, "130px", &name, true);
        let value = fitted(or_dash(value), VALUE_COST, cut);
        column(&mut runs, "stretch", &value, false);
        runs.json.end();
        runs.json.close();
    }
    *cut |= runs.cut;
    runs.json
}

fn column(runs: &mut Runs, width: &'static str, text: &str, bold: bool) {
    runs.json.open();
    runs.json.pair("type", "Column");
    runs.json.pair("width", width);
    runs.json.key("items");
    runs.json.list();
    runs.block("", |runs| runs.text(text, Style { bold, ..Style::default() }));
    runs.json.end();
    runs.json.close();
}
