//! What the studio itself provides for a send (`notify_connector.h`, "Values of the studio"): the link to the full
//! alert; for transports also how to make the ways out, and who took one. Computed here alone, so that a preview names
//! what a delivery names and both have equal bytes.

use crate::worker::Shared;
use notify_connector_host::manifest::Kind;
use notify_connector_host::secret_names;
use notify_core::document::Channel;
use notify_core::ids::{DeliveryId, TenantId, hex};
use notify_core::time::Timestamp;
use notify_store::StoreError;
use notify_store::model::Page;

/// The link to the page of the alert.
pub const ALERT_URL: &str = "studio-alert-url";
/// For transports: `{"prefix": …, "key": …}`, from which they make a way out for each recipient.
pub const UNSUBSCRIBE: &str = "studio-unsubscribe";
/// For transports: a JSON list of addresses, lower case, that get nothing.
pub const OPTED_OUT: &str = "studio-opted-out";

/// Names and values.
pub(crate) type Provided = Vec<(&'static str, String)>;

/// For a delivery, a digest, a release or a test that was decided at this time: the same on every attempt.
///
/// # Errors
/// When the store cannot say who wants nothing: then nothing may be sent either.
pub(crate) async fn provided(
    shared: &Shared,
    tenant: &TenantId,
    channel: &Channel,
    delivery: &DeliveryId,
    decided_at: Timestamp,
) -> Result<Provided, StoreError> {
    let mut values = Provided::new();
    let links = shared.options.links.as_ref();
    values.extend(links.map(|links| (ALERT_URL, links.alert(tenant, delivery, decided_at))));
    let kind = shared.host.manifest(&channel.r#type).map(|plugin| plugin.manifest.kind);
    if kind == Some(Kind::Transport) {
        values.extend(links.map(|links| {
            let made = links.ways_out(tenant, &channel.id);
            let key = hex(&*made.key);
            (UNSUBSCRIBE, serde_json::json!({ "prefix": made.prefix, "key": key }).to_string())
        }));
        let addresses = opted_out(shared, tenant, channel).await?;
        if !addresses.is_empty() {
            values.push((OPTED_OUT, serde_json::json!(addresses).to_string()));
        }
    }
    Ok(values)
}

/// Only who can be written to at all can opt out, so there are few.
async fn opted_out(shared: &Shared, tenant: &TenantId, channel: &Channel) -> Result<Vec<String>, StoreError> {
    let mut page = Page { limit: 500, after: None };
    let mut addresses = Vec::new();
    loop {
        let found = shared.store.opt_outs(tenant, &channel.id, &page).await?;
        addresses.extend(found.items.into_iter().map(|out| out.address));
        match found.next {
            Some(next) => page.after = Some(next),
            None => return Ok(addresses),
        }
    }
}

/// The names that a connector is told at delivery: those of the channel's secrets, then those of the values above.
/// Values are of no use to a preview.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn names(
    shared: &Shared,
    tenant: &TenantId,
    channel: &Channel,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let nobody = DeliveryId::derive([tenant.as_str(), "preview"]);
    Ok(secret_names(&channel.secrets, &provided(shared, tenant, channel, &nobody, now).await?))
}

#[cfg(test)]
mod tests;
