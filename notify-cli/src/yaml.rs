//! JSON values as YAML 1.2 that our own strict parser reads back: block style, strings quoted unless plainly safe.

use serde_json::Value;

/// Ends with a line feed.
#[must_use]
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(members) if !members.is_empty() => block(value, 0, &mut out),
        Value::Array(items) if !items.is_empty() => block(value, 0, &mut out),
        scalar => {
            out.push_str(&inline(scalar));
            out.push('\n');
        }
    }
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                out.push_str(&pad);
                out.push_str(&text(key));
                out.push(':');
                nested(member, indent, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                if is_block(item) {
                    block(item, indent + 2, &mut inner);
                    // The first line of the item stands beside its dash.
                    out.push_str(&pad);
                    out.push_str("- ");
                    out.push_str(inner.get(indent + 2..).unwrap_or_default());
                } else {
                    out.push_str(&format!("{pad}- {}\n", inline(item)));
                }
            }
        }
        _ => {}
    }
}

fn nested(value: &Value, indent: usize, out: &mut String) {
    if is_block(value) {
        out.push('\n');
        block(value, indent + 2, out);
    } else if let Some(literal) = literal(value, indent + 2) {
        out.push_str(&literal);
    } else {
        out.push_str(&format!(" {}\n", inline(value)));
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

/// Text of several lines as a literal block, where that loses nothing.
fn literal(value: &Value, indent: usize) -> Option<String> {
    let content = value.as_str()?;
    let plain = |line: &str| line.chars().all(|c| !c.is_control() && c != '\u{2028}' && c != '\u{2029}' && c != '\u{feff}');
    let body = content.strip_suffix('\n').unwrap_or(content);
    let fits = body.contains('\n')
        && body.lines().all(plain)
        && !body.contains('\r')
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n');
    if !fits {
        return None;
    }
    let mut out = if content.ends_with('\n') { " |\n".to_owned() } else { " |-\n".to_owned() };
    for line in body.split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
    Some(out)
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(content) => text(content),
        other => other.to_string(),
    }
}

/// Plain where nothing in YAML could read it as something else, else in double quotes as in JSON.
fn text(content: &str) -> String {
    let begins = content.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '/');
    let within = |c: char| c.is_ascii_alphanumeric() || " _-./@".contains(c);
    let reserved = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = begins
        && content.chars().all(within)
        && !content.ends_with(' ')
        && !reserved.contains(&content.to_ascii_lowercase().as_str());
    if plain { content.to_owned() } else { Value::String(content.to_owned()).to_string() }
}

#[cfg(test)]
mod tests;
