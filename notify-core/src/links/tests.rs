use super::*;
use proptest::prelude::*;

fn keys() -> LinkKeys {
    LinkKeys::one([7; 32])
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn delivery() -> DeliveryId {
    DeliveryId::try_from(format!("{}_{}", DeliveryId::PREFIX, "0123456789abcdef".repeat(2))).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const DAY: i64 = 86_400;

/// Links that are in people's mail already must open after an upgrade. Computed with Python's `hmac` and `base64`.
#[test]
fn golden() {
    let token = keys().alert(&tenant(), &delivery(), at(1_900_000_000));
    assert_eq!(token, GOLDEN_ALERT);
    let made = keys().ways_out(&tenant(), &ChannelId::new("mail").unwrap());
    assert_eq!(made.prefix, format!("{GOLDEN_CHANNEL}."));
    assert_eq!(hex(&*made.key), GOLDEN_KEY);
    assert_eq!(made.of("Ops@Example.org"), format!("{GOLDEN_CHANNEL}.{GOLDEN_RECIPIENT}"));
}

const GOLDEN_ALERT: &str = "AQHjMeoBI0VniavN7wEjRWeJq83vYWNtZcpv-8uzlO3B6fr4pPBkf6M";
const GOLDEN_CHANNEL: &str = "AgRhY21lbWFpbI_CDnTIwkA201ETutcK5B4";
const GOLDEN_KEY: &str = "5ce189f338c2ddfefed3186cc309048b63c642dd16c437af32ef519b39a6bb5e";
const GOLDEN_RECIPIENT: &str = "gSIls1_SIXYE6T6Xb_H21Q";

#[test]
fn an_alert_opens_until_it_ends() {
    let token = keys().alert(&tenant(), &delivery(), at(30 * DAY));
    let link = AlertLink { tenant: tenant(), delivery: delivery(), expires_at: at(30 * DAY) };
    for (now, expected) in [
        (0, Ok(link.clone())),
        (30 * DAY - 1, Ok(link)),
        (30 * DAY, Err(LinkFault::Expired)),
        (i64::from(u32::MAX), Err(LinkFault::Expired)),
    ] {
        assert_eq!(keys().open_alert(&token, at(now)), expected, "{now}");
    }
}

#[test]
fn older_keys_verify_and_the_newest_signs() {
    let old = keys();
    let text = format!("{{\"keys\": [\"{}\", \"{}\"]}}", "09".repeat(32), "07".repeat(32));
    let both = LinkKeys::parse(&text).unwrap();
    assert_eq!(LinkKeys::parse(&both.to_text()).unwrap().to_text(), both.to_text());
    let token = old.alert(&tenant(), &delivery(), at(DAY));
    assert!(both.open_alert(&token, at(0)).is_ok());
    let newer = both.alert(&tenant(), &delivery(), at(DAY));
    assert_eq!(old.open_alert(&newer, at(0)), Err(LinkFault::Unknown));
    assert_eq!(newer, LinkKeys::one([9; 32]).alert(&tenant(), &delivery(), at(DAY)));
    // A way out that the older key made is judged with the key of that time.
    let way = old.ways_out(&tenant(), &ChannelId::new("mail").unwrap()).of("a@example.org");
    assert!(both.open_way_out(&way).unwrap().is_of("a@example.org"));
}

#[test]
fn key_files() {
    let key = "ab".repeat(32);
    for bad in [
        String::new(),
        "{}".to_owned(),
        "{\"keys\": []}".to_owned(),
        format!("{{\"keys\": [\"{}\"]}}", "ab".repeat(31)),
        format!("{{\"keys\": [\"{key}\", \"{key}\"]}}"),
        format!("{{\"keys\": [\"{key}\"], \"more\": 1}}"),
        format!(
            "{{\"keys\": [{}]}}",
            (0..9).map(|n| format!("\"{}\"", format!("0{n}").repeat(32))).collect::<Vec<_>>().join(",")
        ),
    ] {
        let fault = LinkKeys::parse(&bad).err();
        assert_eq!(fault, Some(InvalidKeys), "{bad}");
        assert!(!InvalidKeys.to_string().contains("abab"));
    }
}

#[test]
fn a_way_out_is_of_one_address_of_one_channel() {
    let mail = ChannelId::new("mail").unwrap();
    let made = keys().ways_out(&tenant(), &mail);
    let way = keys().open_way_out(&made.of("Ops@Example.org")).unwrap();
    assert_eq!((way.tenant.as_str(), way.channel.as_str()), ("acme", "mail"));
    for (address, expected) in
        [("ops@example.org", true), ("OPS@EXAMPLE.ORG", true), ("dev@example.org", false), ("", false)]
    {
        assert_eq!(way.is_of(address), expected, "{address}");
    }
    let other = keys().ways_out(&tenant(), &ChannelId::new("mail-2").unwrap());
    let (recipient, channel) = (made.of("ops@example.org"), other.prefix);
    let mixed = format!("{channel}{}", recipient.rsplit_once('.').unwrap().1);
    assert!(!keys().open_way_out(&mixed).unwrap().is_of("ops@example.org"), "another channel's");
    // Neither kind opens the other's door.
    let alert = keys().alert(&tenant(), &delivery(), at(DAY));
    assert!(keys().open_way_out(&format!("{alert}.AAAAAAAAAAAAAAAAAAAAAA")).is_err());
    assert!(keys().open_alert(made.prefix.trim_end_matches('.'), at(0)).is_err());
}

#[test]
fn the_longest_links_fit() {
    let long = "a".repeat(64);
    let (tenant, channel) = (TenantId::new(long.clone()).unwrap(), ChannelId::new(long).unwrap());
    let links = Links {
        base: format!("https://{}", "h".repeat(MOST_BASE_BYTES - 8)),
        keys: keys(),
        good_for: SignedDuration::from_hours(24),
    };
    let alert = links.alert(&tenant, &delivery(), at(0));
    let way = links.ways_out(&tenant, &channel).of("a@example.org");
    assert!(alert.len() <= MOST_LINK_BYTES && way.len() <= MOST_LINK_BYTES, "{} {}", alert.len(), way.len());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._~:/?#&=%-".contains(&b);
    assert!(alert.bytes().chain(way.bytes()).all(plain));
    let token = alert.rsplit_once('/').unwrap().1;
    assert_eq!(links.keys.open_alert(token, at(0)).unwrap().tenant, tenant);
    assert!(links.keys.open_way_out(way.rsplit_once('/').unwrap().1).unwrap().is_of("a@example.org"));
}

#[test]
fn keys_are_not_shown() {
    let links = Links { base: String::new(), keys: keys(), good_for: SignedDuration::ZERO };
    let made = keys().ways_out(&tenant(), &ChannelId::new("mail").unwrap());
    let shown = format!("{links:?} {made:?} {:?}", keys().open_way_out(&made.of("a")).unwrap());
    assert!(!shown.contains("0707") && !shown.contains("7, 7"), "{shown}");
}

proptest! {
    /// One changed character of a token, or another token of the same length, opens nothing.
    #[test]
    fn what_was_changed_opens_nothing(place in 0_usize..80, with in "[A-Za-z0-9_.-]", ends in 1_i64..1_000_000) {
        let alert = keys().alert(&tenant(), &delivery(), at(ends * 60));
        let way = keys().ways_out(&tenant(), &ChannelId::new("mail").unwrap()).of("a@example.org");
        for token in [&alert, &way] {
            let at_place = place % token.len();
            let mut changed = token.clone();
            changed.replace_range(at_place..=at_place, &with);
            prop_assume!(changed != *token);
            prop_assert_eq!(keys().open_alert(&changed, at(0)), Err(LinkFault::Unknown));
            let opened = keys().open_way_out(&changed).is_ok_and(|way| way.is_of("a@example.org"));
            prop_assert!(!opened, "{}", changed);
        }
    }

    #[test]
    fn anything_is_answered(token in ".{0,300}", bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        for token in [token, URL_SAFE_NO_PAD.encode(bytes)] {
            prop_assert_eq!(keys().open_alert(&token, at(0)), Err(LinkFault::Unknown));
            prop_assert!(!keys().open_way_out(&token).is_ok_and(|way| way.is_of("a@example.org")));
        }
    }

    #[test]
    fn what_was_made_opens(tenant in "[a-z0-9]{1,64}", digits in "[0-9a-f]{32}", minutes in 1_u32..4_000_000_000) {
        let tenant = TenantId::new(tenant).unwrap();
        let delivery = DeliveryId::try_from(format!("{}_{digits}", DeliveryId::PREFIX)).unwrap();
        let expires_at = at(i64::from(minutes) * 60);
        let token = keys().alert(&tenant, &delivery, expires_at);
        prop_assert_eq!(keys().open_alert(&token, at(0)), Ok(AlertLink { tenant, delivery, expires_at }));
    }
}

#[test]
fn a_text_is_known_again_with_the_keys_only() {
    let (old, new) = (LinkKeys::one([1; 32]), LinkKeys::one([2; 32]));
    let both =
        LinkKeys::parse(&format!(r#"{{"keys": ["{}", "{}"]}}"#, "02".repeat(32), "01".repeat(32))).unwrap();
    let kept = old.print("acme", "hunter2").unwrap();
    let check = |keys: &LinkKeys, about: &str, text: &str, expected: bool| {
        assert_eq!(keys.is_print(&kept, about, text), expected, "{about} {text}");
    };
    check(&old, "acme", "hunter2", true);
    check(&both, "acme", "hunter2", true);
    check(&new, "acme", "hunter2", false);
    check(&old, "acme", "hunter3", false);
    check(&old, "acm", "ehunter2", false);
    assert_eq!((both.print("a", "b"), both.id()), (new.print("a", "b"), new.id()));
    assert_ne!(old.id(), new.id());
    assert_eq!(old.id().len(), 8);
}
