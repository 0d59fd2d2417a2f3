//! `notify token`

use crate::args::{Format, Global, TokenCommand};
use crate::failure::Failure;
use crate::home::{Home, SystemClock, random};
use crate::output;
use notify_core::ids::TenantId;
use notify_core::time::Clock;
use notify_webservice::auth::{Issue, Scope, issue_token};
use serde_json::json;

pub fn run(global: &Global, command: &TokenCommand) -> Result<(), Failure> {
    let TokenCommand::Issue { home, tenant, scope, ttl, subject } = command;
    let tenant = TenantId::new(tenant.as_str()).map_err(|error| Failure::usage(error.to_string(), ""))?;
    let scopes = scope
        .iter()
        .map(|name| name.parse::<Scope>().map_err(|error| Failure::usage(error.to_string(), "")))
        .collect::<Result<Vec<_>, _>>()?;
    let plain = (1..=128).contains(&subject.len()) && subject.chars().all(|c| !c.is_control());
    if !plain {
        return Err(Failure::usage("a subject has 1 to 128 characters", "name who or what the token is for"));
    }
    let key = Home::open(home, vec![])?.token_key()?;
    let bytes = random()?;
    let [id, _] = bytes.as_chunks::<16>().0 else { return Err(Failure::other("no random bytes", "")) };
    let issue = Issue { tenant: &tenant, subject, scopes: &scopes, ttl: *ttl };
    let token = issue_token(&key, &issue, *id, SystemClock.now())
        .map_err(|error| Failure::usage(error.to_string(), "give --ttl like 12h"))?;
    match global.output {
        Format::Table => output::say(&token),
        format => output::structured(
            format,
            &json!({ "token": token, "tenant": tenant.as_str(), "scopes": scope, "ttlSeconds": ttl.as_secs() }),
        ),
    }
    Ok(())
}
