//! Single texts: without what lies about them, escaped for HTML, and links that may be links.

use std::borrow::Cow;

/// Without control characters (line breaks and tabs stay) and without the marks that turn the direction of writing: they
/// show a reader something else than what a program reads. `\r\n` and `\r` are line breaks.
#[must_use]
pub fn honest(text: &str) -> Cow<'_, str> {
    let bad = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    // Most texts are plain ASCII, and every text of a message comes here.
    let plain = |b: u8| matches!(b, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().all(plain) || !text.chars().any(bad) {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    Cow::Owned(text.chars().filter(|c| !bad(*c)).collect())
}

/// For text and for values of quoted attributes.
#[must_use]
pub fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text);
    out
}

pub(crate) fn push_escaped(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

/// `http` or `https` with a host, or `mailto`, without anything that would end or hide it.
#[must_use]
pub fn is_link(url: &str) -> bool {
    let scheme = |name: &str| url.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let rest = |name: &str| url.get(name.len()..).filter(|_| scheme(name));
    let plausible = match (rest("https://").or_else(|| rest("http://")), rest("mailto:")) {
        (Some(rest), _) => has_host(rest),
        (None, Some(rest)) => !rest.is_empty(),
        (None, None) => false,
    };
    let clean = |c: char| !c.is_whitespace() && !matches!(c, '<' | '>' | '"' | '`' | '|' | '\\');
    plausible && matches!(honest(url), Cow::Borrowed(_)) && url.chars().all(clean)
}

/// Whether an address could lead anywhere: services refuse a whole message for one button that cannot. A name before
/// `@` is refused, because it is there to be taken for the host.
fn has_host(rest: &str) -> bool {
    let authority = rest.find(['/', '?', '#']).and_then(|end| rest.get(..end)).unwrap_or(rest);
    let (host, port) = if let Some(inside) = authority.strip_prefix('[') {
        match inside.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port),
            _ => return false,
        }
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    let (mut letters, mut last) = (0_usize, '.');
    for c in host.chars() {
        match c {
            '.' if last == '.' => return false,
            '.' | '-' | '_' => {}
            c if c.is_alphanumeric() => letters += 1,
            _ => return false,
        }
        last = c;
    }
    letters > 0 && (port.is_empty() || port.strip_prefix(':').is_some_and(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_what_lies() {
        let check = |text: &str, expected: &str| assert_eq!(honest(text), expected, "{text:?}");
        check("plain ümläut 🙂 \t\n", "plain ümläut 🙂 \t\n");
        check("a\r\nb\rc\0d\u{7}", "a\nb\ncd");
        check("exe.\u{202E}gpj\u{202C}", "exe.gpj");
        check("\u{2066}a\u{2069}\u{200F}", "a");
        // Joiners of emoji stay.
        check("👩\u{200D}🚒", "👩\u{200D}🚒");
    }

    #[test]
    fn links() {
        for good in [
            "https://a.example",
            "HTTP://a.example/x?y=1#z",
            "mailto:ops@example.org",
            "https://ä.example/ö",
            "https://münchen.example:8443",
            "https://a_b.example.:65535?x",
            "http://localhost:8080/%%/%zz?a=%#%",
            "http://[::1]:80/x",
            "http://[2001:db8::7]",
            "http://192.0.2.7/a@b:c",
            "https://a.example?u=https://b.example/@",
        ] {
            assert!(is_link(good), "{good}");
        }
        for bad in [
            "",
            "https://",
            "https://?x",
            "https://#x",
            "https:///x",
            "https://:80",
            "https://a.example:",
            "https://a.example:65536",
            "https://a.example:+80",
            "https://a.example:80:80",
            "https://a.example:http",
            "http://[",
            "http://[]",
            "http://[::1",
            "http://[::1]x",
            "http://[::1]:",
            "http://[a.example]",
            "http://::1/",
            "https://%%",
            "https://%61.example",
            "https://.",
            "https://-",
            "https://.a.example",
            "https://a..example",
            "https://a.example@evil.example/",
            "https://user:pass@a.example",
            "https://@a.example",
            "https://a!.example",
            "https://a\u{ff0f}.example",
            "https://a,b",
            "javascript:alert(1)",
            "data:text/html,x",
            " https://a.example",
            "https://a.example/ b",
            "https://a.example/\nx",
            "https://a.example/\"x",
            "//a.example",
            "/x",
            "ftp://a.example",
            "java\nscript:x",
            "https://a.example/|x",
            "https://a.example/>",
            "https://a\u{202E}.example",
            "mailto:",
            "vbscript:x",
        ] {
            assert!(!is_link(bad), "{bad:?}");
        }
    }

    #[test]
    fn html_is_escaped() {
        assert_eq!(
            escape_html(r#"<a href="x" id='y'>&"#),
            "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;"
        );
    }
}
