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

#[test]
fn every_spelling_of_loopback_is_refused() {
    for url in [
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/",
        "http://127.0.0.1./",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.255.255.254/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0x7f.1/",
        "http://0X7F.0X0.0X0.0X1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0177.0.0.01/",
        "http://00000177.0.0.1/",
        "http://127.0x0.0.1/",
        "http://\u{ff11}\u{ff12}\u{ff17}.\u{ff10}.\u{ff10}.\u{ff11}/", // full-width digits
        "http://\u{ff11}\u{ff12}\u{ff17}\u{ff0e}0\u{ff0e}0\u{ff0e}1/", // full-width full stops
        "http://127\u{3002}0\u{3002}0\u{3002}1/",                      // ideographic full stops
        "http://\u{1d7cf}\u{1d7d0}\u{1d7d5}.0.0.1/",                   // mathematical bold digits
        "http://①②⑦.⓪.⓪.①/",
        "http://①②⑦。⓪.0.1/",
        "http://%31%32%37.0.0.1/",
        "http://12\t7.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http:127.0.0.1",
        "http:///127.0.0.1/",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[0000::0001]/",
        "http://[::0.0.0.1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
    ] {
        check(&Policy::default(), url, "a loopback address");
    }
    for url in ["http://0/", "http://0.0.0.0/", "http://0x0/", "http://00/", "http://[::]/"] {
        check(&Policy::default(), url, "the unspecified address");
    }
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
fn every_range_has_its_reason() {
    for (address, expected) in [
        ("0.1.2.3", "this network"),
        ("10.0.0.1", "a private address"),
        ("100.64.0.1", "a shared address"),
        ("100.127.255.255", "a shared address"),
        ("100.128.0.0", "ok"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "metadata"),
        ("169.254.1.1", "a link-local address"),
        ("172.15.255.255", "ok"),
        ("172.16.0.1", "a private address"),
        ("172.31.255.255", "a private address"),
        ("172.32.0.0", "ok"),
        ("192.0.0.8", "protocol assignments"),
        ("192.0.0.192", "metadata"),
        ("192.0.1.0", "ok"),
        ("192.0.2.1", "a documentation address"),
        ("192.88.99.1", "6to4 relay"),
        ("192.168.1.1", "a private address"),
        ("198.17.255.255", "ok"),
        ("198.18.0.1", "a benchmarking address"),
        ("198.19.255.255", "a benchmarking address"),
        ("198.51.100.7", "a documentation address"),
        ("203.0.113.7", "a documentation address"),
        ("223.255.255.255", "ok"),
        ("224.0.0.1", "a multicast address"),
        ("239.255.255.255", "a multicast address"),
        ("240.0.0.1", "a reserved address"),
        ("255.255.255.255", "the broadcast address"),
        ("1.1.1.1", "ok"),
        ("8.8.8.8", "ok"),
        ("::2", "IPv4-compatible"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::8.8.8.8", "IPv4-compatible"),
        ("::ffff:10.1.2.3", "leads to 10.1.2.3, which is a private address"),
        ("::ffff:8.8.8.8", "ok"),
        ("::ffff:0:127.0.0.1", "IPv4-translated"),
        ("64:ff9b::169.254.169.254", "leads to 169.254.169.254, which is a cloud metadata address"),
        ("64:ff9b::8.8.8.8", "ok"),
        ("64:ff9b::1:7f00:1", "not a global unicast address"),
        ("64:ff9b:1::10.0.0.1", "local NAT64"),
        ("64:ff9b:1:ffff:ffff:ffff:8.8.8.8", "local NAT64"),
        ("100::1", "discard-only"),
        ("2001::1", "Teredo"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:2::1", "a benchmarking address"),
        ("2001:10::1", "ORCHID"),
        ("2001:20::1", "ORCHID"),
        ("2001:2f:ffff::1", "ORCHID"),
        ("2001:1::1", "protocol assignments"),
        ("2001:db8::1", "a documentation address"),
        ("2002:7f00:1::", "6to4"),
        ("2002:808:808::1", "6to4"),
        ("3ffe::1", "a reserved address"),
        ("3fff:fff::1", "a documentation address"),
        ("5f00::1", "segment routing"),
        ("4000::1", "not a global unicast address"),
        ("fc00::1", "a unique local address"),
        ("fd12:3456::1", "a unique local address"),
        ("fd00:ec2::254", "metadata"),
        ("fe80::1", "a link-local address"),
        ("febf::1", "a link-local address"),
        ("fec0::1", "a site-local address"),
        ("ff02::1", "a multicast address"),
        ("2606:4700:4700::1111", "ok"),
        ("2001:4860:4860::8888", "ok"),
        ("2a00:1450:4001::1", "ok"),
    ] {
        let url = if address.contains(':') {
            format!("https://[{address}]/")
        } else {
            format!("https://{address}/")
        };
        check(&Policy::default(), &url, expected);
    }
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
