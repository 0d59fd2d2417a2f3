//! Bounces of several mail servers, and bytes that are none: the parser never panics, never loops, and invents nothing.

use notify_connector_email::bounce::{Action, Bounce, Kind, NoBounce, parse};
use proptest::prelude::*;

fn corpus(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/bounces/{name}.eml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(name: &str) -> Bounce {
    parse(&corpus(name)).unwrap_or_else(|why| panic!("{name}: {why:?}"))
}

#[test]
fn known_forms() {
    let check = |name: &str, recipient: &str, action: Action, status: Option<(u8, u16, u16)>, kind: Kind| {
        let bounce = read(name);
        let fate = &bounce.fates[0];
        assert_eq!(
            (fate.recipient.as_str(), fate.action, fate.status, fate.kind()),
            (recipient, action, status, kind),
            "{name}"
        );
        assert_eq!(bounce.delivery_id(), Some("dlv_0123456789abcdef0123456789abcdef"), "{name}");
    };
    check("postfix", "nouser@bounce.test", Action::Failed, Some((5, 1, 1)), Kind::Hard);
    check("delayed", "ops@slow.test", Action::Delayed, Some((4, 4, 1)), Kind::Pending);
    check("full", "ops@full.test", Action::Failed, Some((5, 2, 2)), Kind::Soft);
    check("delivered", "ops@ok.test", Action::Delivered, Some((2, 0, 0)), Kind::Arrived);
    let cut = read("cut");
    assert_eq!((cut.fates.len(), cut.message_id), (1, None), "a bounce that was cut off keeps what is there");
    assert_eq!(read("two").fates.len(), 2);
    assert_eq!(read("two").fates[1].original_recipient.as_deref(), Some("alias@two.test"));
    for (name, why) in [("auto-reply", NoBounce::OtherMessage), ("no-status", NoBounce::NoStatus)] {
        assert_eq!(parse(&corpus(name)), Err(why), "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn broken_bounces(name in prop::sample::select(vec!["postfix", "two", "cut"]), cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20), end in any::<prop::sample::Index>()) {
        let mut bytes = corpus(name);
        for (at, byte) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        if let Ok(bounce) = parse(&bytes) {
            prop_assert!(!bounce.fates.is_empty() && bounce.fates.len() <= 200);
            prop_assert!(bounce.fates.iter().all(|fate| fate.recipient.len() <= 1_100));
        }
    }

    #[test]
    fn as_many_parts_and_recipients_as_one_likes(parts in 0_usize..200, recipients in 0_usize..400) {
        let mut text = String::from("Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n");
        for _ in 0..parts {
            text.push_str("--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n");
            for _ in 0..recipients / parts.max(1) {
                text.push_str("Final-Recipient: rfc822; a@b.test\nAction: failed\nStatus: 5.1.1\n\n");
            }
        }
        text.push_str("--b--\n");
        if let Ok(bounce) = parse(text.as_bytes()) {
            prop_assert!(bounce.fates.len() <= 200);
        }
    }
}
