//! Standard Webhooks: published vectors, the reference implementation in both directions, and what must be refused.

use notify_connector_host::signing::{
    InvalidKey, SigningKey, VerifyFault, VerifyingKey, WebhookHeaders, signature_header, verify,
};
use notify_core::time::Timestamp;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;

/// From the libraries' own tests: Standard Webhooks for `v1`, the Svix server (`test_asymmetric_key_signing`) and the
/// example in the specification for `v1a`.
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const WHSK_PAIR: &str =
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
const WHSK_SEED: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";
const WHPK: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const V1A: &str =
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

fn signing(text: &str) -> SigningKey {
    SigningKey::parse(text).unwrap()
}

fn verifying(text: &str) -> VerifyingKey {
    VerifyingKey::parse(text).unwrap()
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

#[test]
fn published_vectors() {
    for (key, expected) in [(WHSEC, V1), (WHSK_PAIR, V1A), (WHSK_SEED, V1A)] {
        assert_eq!(signing(key).sign(ID, AT, BODY), expected, "{key}");
    }
    assert_eq!(signing(WHSK_SEED).public_text().as_deref(), Some(WHPK));
    assert_eq!(signing(WHSEC).public_text(), None);
}

/// Changes to a request that verifies.
struct Case<'a> {
    name: &'a str,
    keys: &'a [&'a str],
    id: &'a str,
    timestamp: &'a str,
    signature: &'a str,
    body: &'a [u8],
    /// Receiver's clock minus time of the attempt, seconds.
    skew: i64,
    expected: Result<(), VerifyFault>,
}

#[test]
fn verification() {
    use VerifyFault::{Id, NoMatch, TooNew, TooOld};
    let both = format!("{V1A} {V1}");
    let swapped = V1.replace("v1,", "v1a,");
    let late = format!("{}{V1}", "v1,AA== ".repeat(16));
    let good = || Case {
        name: "good",
        keys: &[WHSEC],
        id: ID,
        timestamp: "1614265330",
        signature: V1,
        body: BODY,
        skew: 0,
        expected: Ok(()),
    };
    let bad_time =
        |timestamp| Case { name: timestamp, timestamp, expected: Err(VerifyFault::Timestamp), ..good() };
    let bad_signature = |name, signature| Case { name, signature, expected: Err(NoMatch), ..good() };
    for case in [
        good(),
        Case { name: "v1a", keys: &[WHPK], signature: V1A, ..good() },
        Case { name: "new key first", signature: &both, ..good() },
        Case { name: "receiver with two keys", keys: &[WHPK, WHSEC], ..good() },
        Case { name: "oldest accepted", skew: 300, ..good() },
        Case { name: "newest accepted", skew: -300, ..good() },
        Case { name: "too old", skew: 301, expected: Err(TooOld), ..good() },
        Case { name: "too new", skew: -301, expected: Err(TooNew), ..good() },
        Case { name: "other body", body: b"{}", expected: Err(NoMatch), ..good() },
        Case { name: "other id", id: "msg_2", expected: Err(NoMatch), ..good() },
        Case { name: "other time", timestamp: "1614265331", expected: Err(NoMatch), ..good() },
        Case { name: "other kind of key", keys: &[WHPK], expected: Err(NoMatch), ..good() },
        Case { name: "no keys", keys: &[], expected: Err(NoMatch), ..good() },
        bad_signature("version swapped", &swapped),
        bad_signature("wrong", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        bad_signature("truncated", "v1,g0hM9SsE"),
        bad_signature("empty", ""),
        bad_signature("no version", &V1[3..]),
        bad_signature("seventeenth", &late),
        bad_time("+1614265330"),
        bad_time("01614265330"),
        bad_time("1614265330.0"),
        bad_time("-1"),
        bad_time(""),
        bad_time("99999999999999999999"),
        Case { name: "largest number", timestamp: "9223372036854775807", expected: Err(TooNew), ..good() },
        Case { name: "id with a dot", id: "msg.1", expected: Err(Id), ..good() },
        Case { name: "no id", id: "", expected: Err(Id), ..good() },
    ] {
        let keys: Vec<_> = case.keys.iter().map(|key| verifying(key)).collect();
        let headers = WebhookHeaders { id: case.id, timestamp: case.timestamp, signature: case.signature };
        assert_eq!(verify(&keys, headers, case.body, time(AT + case.skew)), case.expected, "{}", case.name);
    }
}

#[test]
fn keys_that_are_refused() {
    for (text, expected) in [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", InvalidKey::UnknownSecret),
        (WHPK, InvalidKey::UnknownSecret),
        ("whsec_%", InvalidKey::NotBase64),
        ("whsec_", InvalidKey::HmacLength),
        ("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", InvalidKey::HmacLength),
        (&format!("whsec_{}", "A".repeat(88)), InvalidKey::HmacLength),
        ("whsk_AAAA", InvalidKey::SeedLength),
        (
            "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlaaaaaaaaaaAJ6p9lMicMFs6Kvg==",
            InvalidKey::Keypair,
        ),
    ] {
        assert_eq!(SigningKey::parse(text).unwrap_err(), expected, "{text}");
    }
    for (text, expected) in [
        (WHSK_SEED, InvalidKey::UnknownPublic),
        ("whpk_AAAA", InvalidKey::PublicKey),
        ("", InvalidKey::UnknownPublic),
    ] {
        assert_eq!(VerifyingKey::parse(text).unwrap_err(), expected, "{text}");
    }
    assert_eq!(format!("{:?} {:?}", signing(WHSEC), verifying(WHSEC)), "SigningKey(v1) VerifyingKey(v1)");
}

/// The reference crate reads the system clock itself, so these requests have to be from now.
#[test]
fn the_reference_implementation_agrees_in_both_directions() {
    #[allow(clippy::disallowed_methods)] // see above
    let now = Timestamp::now();
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let reference = standardwebhooks::Webhook::new(secret).unwrap();
    let timestamp = now.as_second().to_string();

    // Ours, in the midst of a rotation: the reference finds its own among the signatures.
    let header = signature_header(&[signing(WHSK_SEED), signing(WHSEC), signing(secret)], ID, now, BODY);
    assert_eq!(header.split(' ').count(), 3);
    let mut headers = http::HeaderMap::new();
    for (name, value) in
        [("webhook-id", ID), ("webhook-timestamp", &timestamp), ("webhook-signature", &header)]
    {
        headers.insert(name, value.parse().unwrap());
    }
    reference.verify(BODY, &headers).unwrap();
    assert!(reference.verify(b"{}", &headers).is_err());

    // Theirs.
    let theirs = reference.sign(ID, now.as_second(), BODY).unwrap();
    let received = WebhookHeaders { id: ID, timestamp: &timestamp, signature: &theirs };
    assert_eq!(verify(&[verifying(secret)], received, BODY, now), Ok(()));
}
