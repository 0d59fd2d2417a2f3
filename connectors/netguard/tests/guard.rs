//! Every spelling of a forbidden place we know of, and the exceptions an operator can make.

use notify_netguard::{Blocked, Policy, Url};
use std::net::SocketAddr;

fn policy(allow: &[&str]) -> Policy {
    Policy { allow: allow.iter().map(|entry| entry.parse().unwrap()).collect(), ..Policy::default() }
}

/// `Ok(())` as "ok", a refusal as its text, an unreadable URL as "unreadable".
fn verdict(policy: &Policy, url: &str) -> String {
    match Url::parse(url) {
        Err(_) => "unreadable".to_owned(),
        Ok(url) => policy.check_url(&url).map_or_else(|blocked| blocked.to_string(), |_| "ok".to_owned()),
    }
}

#[track_caller]
fn check(policy: &Policy, url: &str, expected: &str) {
    let got = verdict(policy, url);
    let fits =
        if expected == "ok" || expected == "unreadable" { got == expected } else { got.contains(expected) };
    assert!(fits, "{url}: expected `{expected}`, got `{got}`");
}

/// `resources/ssrf/cases.jsonl`; the host's and the service's tests read the same lines. A line has a `url`, or a `name`
/// with what it resolves to at each look-up; `why` is a part of the refusal.
#[test]
fn the_table_holds() {
    let table = include_str!("../../../resources/ssrf/cases.jsonl");
    let mut lines = 0;
    for line in table.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| case.get(name).and_then(serde_json::Value::as_str);
        let expected = text("why").unwrap_or("ok");
        lines += 1;
        if let Some(url) = text("url") {
            check(&Policy::default(), url, expected);
            continue;
        }
        let name = text("name").unwrap();
        let answers: Vec<Vec<std::net::IpAddr>> = serde_json::from_value(case["answers"].clone()).unwrap();
        // The last look-up is the one that shows what the name is.
        let addresses: Vec<SocketAddr> =
            answers.last().unwrap().iter().map(|ip| SocketAddr::new(*ip, 443)).collect();
        let got = Policy::default()
            .check_resolved(name, &addresses)
            .map_or_else(|blocked| blocked.to_string(), |()| "ok".to_owned());
        assert!(if expected == "ok" { got == "ok" } else { got.contains(expected) }, "{name}: {got}");
    }
    assert!(lines > 150, "only {lines} cases");
}

#[test]
fn user_information_does_not_hide_the_host() {
    for (url, expected) in [
        ("http://example.com@127.0.0.1/", "user name"),
        ("http://127.0.0.1@example.com/", "user name"),
        ("http://user:word@example.com/", "user name"),
        ("http://:word@example.com/", "user name"),
        ("http://example.com\\@127.0.0.1/", "ok"), // the backslash ends the host: example.com is what is called
        ("http://example.com#@127.0.0.1/", "ok"),
        ("http://example.com?@127.0.0.1/", "ok"),
        ("http://@127.0.0.1/", "a loopback address"),
    ] {
        check(&Policy::default(), url, expected);
    }
    let url = Url::parse("http://example.com\\@127.0.0.1/").unwrap();
    assert_eq!(Policy::default().check_url(&url).unwrap().host.to_string(), "example.com");
}

#[test]
fn only_http_with_a_host() {
    for (url, expected) in [
        ("https://example.com/x", "ok"),
        ("http://example.com:8080/x", "ok"),
        ("ftp://example.com/", "`ftp:` is not allowed"),
        ("file:///etc/passwd", "`file:` is not allowed"),
        ("gopher://127.0.0.1:25/", "`gopher:` is not allowed"),
        ("data:text/plain,x", "`data:` is not allowed"),
        ("unix:/run/docker.sock", "`unix:` is not allowed"),
        ("http://example.com:0/", "port 0"),
        ("http://", "unreadable"),
        ("http://exa mple.com/", "unreadable"),
        ("http://1.2.3.4.5/", "unreadable"),
        ("http://256.1.1.1/", "unreadable"),
        ("http://[::1%25eth0]/", "unreadable"),
    ] {
        check(&Policy::default(), url, expected);
    }
    let strict = Policy { require_https: true, ..Policy::default() };
    check(&strict, "http://example.com/", "requires https");
    check(&strict, "https://example.com/", "ok");
}

#[test]
fn allow_entries_open_what_they_name_and_no_more() {
    for (allow, url, expected) in [
        ("127.0.0.1:9000", "http://127.0.0.1:9000/", "ok"),
        ("127.0.0.1:9000", "http://2130706433:9000/", "ok"),
        ("127.0.0.1:9000", "http://[::ffff:127.0.0.1]:9000/", "ok"),
        ("127.0.0.1:9000", "http://127.0.0.1:9001/", "a loopback address"),
        ("127.0.0.1:9000", "http://127.0.0.2:9000/", "a loopback address"),
        ("127.0.0.1:9000", "http://[::1]:9000/", "a loopback address"),
        ("[::1]:9000", "http://[::1]:9000/", "ok"),
        ("127.0.0.0/8", "http://127.9.9.9/", "ok"),
        ("10.0.0.0/8", "http://10.1.2.3/", "ok"),
        ("10.1.0.0/16", "http://10.2.0.1/", "a private address"),
        ("10.0.0.0/8", "http://192.168.0.1/", "a private address"),
        ("0.0.0.0/0", "http://127.0.0.1/", "a loopback address"),
        ("0.0.0.0/0", "http://10.0.0.1/", "a private address"),
        ("::/0", "http://[::1]/", "a loopback address"),
        ("::/0", "http://[fd00::1]/", "a unique local address"),
        ("169.254.0.0/16", "http://169.254.1.1/", "ok"),
        ("169.254.0.0/16", "http://169.254.169.254/", "metadata"),
        ("169.254.169.254:80", "http://169.254.169.254/", "ok"),
        ("fd00::/8", "http://[fd00::1]/", "ok"),
        ("fd00::/8", "http://[fd00:ec2::254]/", "metadata"),
        ("10.0.0.0/8", "http://[::10.0.0.1]/", "IPv4-compatible"),
    ] {
        check(&policy(&[allow]), url, expected);
    }
}

#[test]
fn listed_hosts_close_everything_else() {
    let sealed = Policy {
        only_hosts: Some(
            ["Hooks.Example.com", "*.slack.com", "bücher.example", "127.0.0.1"]
                .map(|p| p.parse().unwrap())
                .to_vec(),
        ),
        ..policy(&["127.0.0.1"])
    };
    for (url, expected) in [
        ("https://hooks.example.com/x", "ok"),
        ("https://HOOKS.example.com./x", "ok"),
        ("https://a.hooks.example.com/x", "not on the operator's list"),
        ("https://hooks.slack.com/x", "ok"),
        ("https://a.b.slack.com/x", "ok"),
        ("https://slack.com/x", "not on the operator's list"),
        ("https://evilslack.com/x", "not on the operator's list"),
        ("https://hooks.slack.com.evil.example/x", "not on the operator's list"),
        ("https://xn--bcher-kva.example/", "ok"),
        ("http://127.0.0.1:9/", "ok"),
        ("http://8.8.8.8/", "not on the operator's list"),
    ] {
        check(&sealed, url, expected);
    }
    for bad in ["", "*", "*.", "*.*.com", "*.127.0.0.1", "a b", "https://x"] {
        assert!(bad.parse::<notify_netguard::HostPattern>().is_err(), "{bad}");
    }
}

#[test]
fn one_forbidden_address_refuses_the_name() {
    let addresses = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
    let policy = Policy::default();
    assert_eq!(
        policy.check_resolved("a.example", &addresses(&["8.8.8.8:443", "[2606:4700::1]:443"])),
        Ok(())
    );
    let blocked =
        policy.check_resolved("a.example", &addresses(&["8.8.8.8:443", "10.0.0.1:443"])).unwrap_err();
    assert_eq!(
        blocked.to_string(),
        "a.example resolves to a forbidden address: 10.0.0.1 is a private address; the operator can allow it in \
         [egress] allow"
    );
    assert_eq!(blocked.code(), "address");
    assert!(!blocked.without_host().contains("10.0.0.1") && !blocked.without_host().contains("a.example"));
    assert!(matches!(blocked, Blocked::Resolved { .. }));
}

/// The standard library knows the old ranges too: an independent opinion on a grid over all of IPv4, in plain and in
/// both embedded forms.
#[test]
fn the_standard_library_agrees() {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    let policy = Policy::default();
    for high in 0..=u16::MAX {
        for low in [0_u16, 1, 0x00ff, 0x7f00, 0xffff] {
            let v4 = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
            let special = v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_unspecified();
            let nat64 = Ipv6Addr::from_bits(0x64_ff9b << 96 | u128::from(v4.to_bits()));
            let verdicts = [IpAddr::V4(v4), IpAddr::V6(v4.to_ipv6_mapped()), IpAddr::V6(nat64)]
                .map(|address| policy.check_address(address, 443).is_err());
            assert!(verdicts == [verdicts[0]; 3], "{v4}: one verdict for all forms, got {verdicts:?}");
            assert!(verdicts[0] || !special, "{v4} is special and not blocked");
        }
    }
}
