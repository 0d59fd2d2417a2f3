//! What a channel's sends count against: the provider's rates from the plug-in's manifest, and its own.
//!
//! A rate's `per` says what makes two channels one target. Where only the config counts, channels of all tenants share
//! it (one SMTP server, one public URL); secret references mean something in their tenant only, so those stay within it.
//! Where nothing that `per` names is there, each channel is a target of its own.

use notify_connector_host::ConnectorHost;
use notify_connector_host::manifest::Rate as ProviderRate;
use notify_core::document::Channel;
use notify_core::duration::Length;
use notify_core::ids::TenantId;
use notify_core::ledger::commitment::PlainDigest;
use notify_core::noise::gcra::Rate;
use notify_store::model::TargetRate;
use serde_json::{Value, json};

/// All buckets that a send of this channel takes a token of; most channels have none.
pub(crate) fn targets(host: &ConnectorHost, tenant: &TenantId, channel: &Channel) -> Vec<TargetRate> {
    let plugin = host.manifest(&channel.r#type);
    let rates = plugin.as_ref().map(|plugin| plugin.manifest.limits.rates.as_slice()).unwrap_or_default();
    if rates.is_empty() && channel.rate.is_none() {
        return Vec::new();
    }
    of(rates, tenant, channel)
}

/// Those of the provider only, which other channels may share.
pub(crate) fn provided(host: &ConnectorHost, tenant: &TenantId, channel: &Channel) -> Vec<TargetRate> {
    let channel = Channel { rate: None, ..channel.clone() };
    targets(host, tenant, &channel)
}

fn of(rates: &[ProviderRate], tenant: &TenantId, channel: &Channel) -> Vec<TargetRate> {
    // Another rate is another line: who waited at the old one lines up anew.
    let own = channel.rate.map(|rate| TargetRate {
        key: key(&json!(["own", tenant.as_str(), channel.id.as_str(), rate.count, rate.seconds])),
        rate: Rate::new(rate.count, Length::from_secs(rate.seconds.into())),
    });
    let config = Value::Object(channel.config.clone());
    let provided = rates.iter().map(|rate| {
        let (mut found, mut secret) = (false, false);
        let values: Vec<Value> = rate
            .per
            .iter()
            .map(|of| match of.strip_prefix("secret:") {
                Some(name) => {
                    let references = channel.secrets.get(name);
                    (found, secret) = (found || references.is_some(), secret || references.is_some());
                    json!(references)
                }
                None => {
                    let value = config.pointer(of);
                    found |= value.is_some();
                    json!(value)
                }
            })
            .collect();
        let whose = match (found, secret) {
            (true, false) => json!([]),
            (true, true) => json!([tenant.as_str()]),
            (false, _) => json!([tenant.as_str(), channel.id.as_str()]),
        };
        TargetRate {
            key: key(&json!(["provider", channel.r#type, rate.count, rate.seconds, rate.per, values, whose])),
            rate: Rate::new(rate.count, Length::from_secs(rate.seconds.into())),
        }
    });
    provided.chain(own).collect()
}

/// Maps are sorted, so equal values have equal bytes.
fn key(of: &Value) -> [u8; 32] {
    PlainDigest::of(of.to_string().as_bytes()).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_shares_a_target() {
        let rates: Vec<ProviderRate> = serde_json::from_value(json!([
            {"count": 1, "seconds": 1, "per": ["/channel", "secret:token"]},
        ]))
        .unwrap();
        let channel = |id: &str, config: Value, secrets: Value| -> Channel {
            serde_json::from_value(json!({
                "schema": "notify-channel@1", "id": id, "name": id, "type": "chat", "config": config,
                "secrets": secrets,
            }))
            .unwrap()
        };
        let (ops, token) = (json!({"channel": "#ops"}), json!({"token": ["secret://env/A"]}));
        let check = |one: (&str, &Channel), other: (&str, &Channel), same: bool| {
            let keys = |(tenant, channel): (&str, &Channel)| {
                let found = of(&rates, &TenantId::new(tenant).unwrap(), channel);
                found.into_iter().map(|target| target.key).collect::<Vec<_>>()
            };
            assert_eq!(keys(one) == keys(other), same, "{one:?} {other:?}");
        };
        let a = channel("a", ops.clone(), token.clone());
        check(("t", &a), ("t", &channel("b", ops.clone(), token.clone())), true);
        check(("t", &a), ("u", &a), false);
        check(("t", &a), ("t", &channel("b", json!({"channel": "#dev"}), token.clone())), false);
        check(("t", &a), ("t", &channel("b", ops.clone(), json!({"token": ["secret://env/B"]}))), false);
        // Nothing secret: the same place whoever sends there.
        check(("t", &channel("a", ops.clone(), json!({}))), ("u", &channel("b", ops, json!({}))), true);
        check(("t", &channel("a", json!({}), json!({}))), ("t", &channel("b", json!({}), json!({}))), false);
    }

    #[test]
    fn an_own_rate_comes_on_top() {
        let channel: Channel = serde_json::from_value(json!({
            "schema": "notify-channel@1", "id": "c", "name": "c", "type": "chat", "rate": {"count": 1, "seconds": 9},
        }))
        .unwrap();
        let tenant = TenantId::new("t").unwrap();
        assert_eq!(of(&[], &tenant, &channel).len(), 1);
        let rate = ProviderRate { count: 5, seconds: 1, per: vec![] };
        let found = of(&[rate], &tenant, &channel);
        assert_eq!(found.len(), 2);
        assert_ne!(found[0].key, found[1].key);
    }
}
