//! Bounces: reading the delivery status notifications (RFC 3464) that mail servers send back.
//!
//! A pure parser: bytes in, facts out. Nothing here trusts its input: every list is bounded, and what is not understood
//! is left out. Who sent the bounce is not known either (anybody can write one): treat a finding as a hint about our own
//! message that it names, and only if it names one.

use crate::identity::delivery_of;

/// Longest message that is looked at; the rest is ignored.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_PARTS: usize = 50;
const MAX_RECIPIENTS: usize = 200;
const MAX_VALUE: usize = 1_000;

/// `Action`, RFC 3464 2.3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Given up.
    Failed,
    /// Still trying.
    Delayed,
    /// In the mailbox.
    Delivered,
    /// Handed to a system that sends no notifications.
    Relayed,
    /// Handed to several.
    Expanded,
}

/// What it means for the recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The address will never work: do not send there again.
    Hard,
    /// It failed this time: mailbox full, policy, message too large, server away for too long.
    Soft,
    /// Nothing is decided.
    Pending,
    /// It arrived.
    Arrived,
}

/// One recipient's fate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// `Final-Recipient`.
    pub recipient: String,
    /// `Original-Recipient`, if said: the address that we sent to.
    pub original_recipient: Option<String>,
    pub action: Action,
    /// RFC 3463, such as (5, 1, 1).
    pub status: Option<(u8, u16, u16)>,
    /// What the refusing server said.
    pub diagnostic: Option<String>,
}

impl Fate {
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match (self.action, self.status) {
            (Action::Delayed, _) => Kind::Pending,
            (Action::Delivered | Action::Relayed | Action::Expanded, _) => Kind::Arrived,
            // 5.1.x: the address, except a bad sender (5.1.7, 5.1.8); 5.2.1: disabled; 5.4.4: no such host.
            (Action::Failed, Some((5, 1, detail))) if detail != 7 && detail != 8 => Kind::Hard,
            (Action::Failed, Some((5, 2, 1) | (5, 4, 4))) => Kind::Hard,
            (Action::Failed, _) => Kind::Soft,
        }
    }
}

/// A delivery status notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounce {
    pub reporting_mta: Option<String>,
    pub fates: Vec<Fate>,
    /// `Message-ID` of the message that it is about.
    pub message_id: Option<String>,
}

impl Bounce {
    /// Our delivery, when the message was one of ours.
    #[must_use]
    pub fn delivery_id(&self) -> Option<&str> {
        self.message_id.as_deref().and_then(delivery_of)
    }
}

/// Why a message is no bounce that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBounce {
    /// An ordinary message, or an auto-reply.
    OtherMessage,
    /// A report without a status part that can be read.
    NoStatus,
}

/// Headers of a block, unfolded, in order, names in lower case.
fn headers(block: &[u8]) -> (Vec<(String, String)>, usize) {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut at = 0;
    while let Some(rest) = block.get(at..).filter(|rest| !rest.is_empty()) {
        let length = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
        let raw = rest.get(..length).unwrap_or_default();
        at += length;
        let line = String::from_utf8_lossy(raw);
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            break;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = found.last_mut()
                && value.len() < MAX_VALUE
            {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':')
            && found.len() < 300
        {
            found.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    for (_, value) in &mut found {
        if value.len() > MAX_VALUE {
            *value = notify_markup::cut_bytes(value, MAX_VALUE).text.to_owned();
        }
    }
    (found, at)
}

fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A parameter of a content type: `boundary="x"`.
fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once(';') {
        let (key, after) = after.split_once('=')?;
        let after = after.trim_start();
        let (found, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => {
                let end = after.find([';', ' ', '\t']).unwrap_or(after.len());
                after.split_at_checked(end).unwrap_or((after, ""))
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(found.to_owned());
        }
        rest = next;
    }
    None
}

/// The parts between the lines `--boundary`.
fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<&'b [u8]> {
    let mark = format!("--{boundary}");
    let mut found = Vec::new();
    let (mut at, mut start) = (0, None);
    while at < body.len() && found.len() < MAX_PARTS {
        let rest = body.get(at..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| end + 1);
        let line = rest.get(..length).unwrap_or_default();
        if let Some(after) = line.strip_prefix(mark.as_bytes()) {
            let after = after.trim_ascii_end();
            if after.is_empty() || after == b"--" {
                if let Some(from) = start {
                    found.push(body.get(from..at).unwrap_or_default());
                }
                start = Some(at + length);
                if after == b"--" {
                    return found;
                }
            }
        }
        at += length;
    }
    // Cut off, as happens to long bounces: the last part is what there is of it.
    if let Some(from) = start
        && found.len() < MAX_PARTS
    {
        found.push(body.get(from..).unwrap_or_default());
    }
    found
}

/// `rfc822; a@b.example` without its type.
fn typed(value: &str) -> String {
    let value = value.split_once(';').map_or(value, |(_, rest)| rest).trim();
    value.trim_start_matches('<').trim_end_matches('>').to_owned()
}

fn action(value: &str) -> Option<Action> {
    let word = value.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    Some(match word.to_ascii_lowercase().as_str() {
        "failed" => Action::Failed,
        "delayed" => Action::Delayed,
        "delivered" => Action::Delivered,
        "relayed" => Action::Relayed,
        "expanded" => Action::Expanded,
        _ => return None,
    })
}

fn status_part(mut block: &[u8]) -> (Option<String>, Vec<Fate>) {
    let mut mta = None;
    let mut fates = Vec::new();
    while !block.is_empty() && fates.len() < MAX_RECIPIENTS {
        let (fields, used) = headers(block);
        block = block.get(used.max(1)..).unwrap_or_default();
        if let Some(name) = header(&fields, "reporting-mta") {
            mta = Some(typed(name));
        }
        let recipient = header(&fields, "final-recipient").or_else(|| header(&fields, "original-recipient"));
        let (Some(recipient), Some(action)) = (recipient, header(&fields, "action").and_then(action)) else {
            continue;
        };
        fates.push(Fate {
            recipient: typed(recipient),
            original_recipient: header(&fields, "original-recipient").map(typed),
            action,
            status: header(&fields, "status").and_then(crate::reply::status_of),
            diagnostic: header(&fields, "diagnostic-code").map(typed),
        });
    }
    (mta, fates)
}

/// Reads a message. Ordinary mail, auto-replies and read receipts are [`NoBounce::OtherMessage`].
///
/// # Errors
/// [`NoBounce`].
pub fn parse(message: &[u8]) -> Result<Bounce, NoBounce> {
    let message = message.get(..MAX_BYTES).unwrap_or(message);
    let (outer, body_at) = headers(message);
    let content_type = header(&outer, "content-type").unwrap_or_default();
    let is_report = content_type.to_ascii_lowercase().starts_with("multipart/report");
    let report_type = parameter(content_type, "report-type").unwrap_or_default();
    let boundary = parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty());
    let (true, true, Some(boundary)) =
        (is_report, report_type.eq_ignore_ascii_case("delivery-status"), boundary)
    else {
        return Err(NoBounce::OtherMessage);
    };
    let mut bounce = Bounce { reporting_mta: None, fates: Vec::new(), message_id: None };
    for part in parts(message.get(body_at..).unwrap_or_default(), &boundary) {
        let (fields, inner_at) = headers(part);
        let inner = part.get(inner_at..).unwrap_or_default();
        let kind = header(&fields, "content-type").unwrap_or_default().to_ascii_lowercase();
        if kind.starts_with("message/delivery-status") || kind.starts_with("message/global-delivery-status") {
            let (mta, fates) = status_part(inner);
            bounce.reporting_mta = bounce.reporting_mta.or(mta);
            let room = MAX_RECIPIENTS.saturating_sub(bounce.fates.len());
            bounce.fates.extend(fates.into_iter().take(room));
        } else if kind.starts_with("message/rfc822")
            || kind.starts_with("text/rfc822-headers")
            || kind.starts_with("message/global")
        {
            let (original, _) = headers(inner);
            bounce.message_id =
                bounce.message_id.or_else(|| header(&original, "message-id").map(str::to_owned));
        }
    }
    if bounce.fates.is_empty() { Err(NoBounce::NoStatus) } else { Ok(bounce) }
}
