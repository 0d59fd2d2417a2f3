//! How each action ended, once every entry is read.

use super::{Kept, Path, Teller, owned};
use crate::story::{ActionStory, DigestEnd, End, words};
use crate::time::rfc3339_millis;
use serde_json::Value;

impl Teller<'_> {
    /// One end for each branch.
    pub fn finish(mut self) -> Told {
        let branches = std::mem::take(&mut self.branches);
        let told = branches.into_iter().map(|mut branch| {
            let ends = branch.paths.iter().map(|path| self.end_of(path));
            // Of several decisions about one action, what brings the alert to somebody stands for all.
            let (end, extra) = ends
                .max_by_key(|(end, _)| rank(end))
                .unwrap_or_else(|| (End::Unknown { outcome: String::new() }, words::Extra::default()));
            let ours = branch.paths.iter().find_map(|path| match path {
                Path::Delivery(id) => Some(id.clone()),
                Path::Held(id) => self.held.get(id).and_then(|held| held.now.sent()),
                Path::Digest(id) => self.digests.get(id).and_then(|digest| digest.now.sent()),
                Path::Stopped(_) => None,
            });
            let current = ours.and_then(|id| self.evidence.deliveries.iter().find(|row| row.id == id));
            branch.story.rule_version = branch.story.rule_version.or(current.map(|row| row.rule_version));
            branch.story.sentence = words::action(&branch.story, &end, &branch.decision, &extra);
            branch.story.end = end;
            branch.story
        });
        Told { actions: told.collect(), unmatched: self.unmatched, decided: self.decided }
    }

    fn end_of(&self, path: &Path) -> (End, words::Extra) {
        match path {
            Path::Stopped(end) => (end.clone(), words::Extra::default()),
            Path::Delivery(id) => self.delivery_end(id),
            Path::Held(id) => match self.held.get(id).map(|held| &held.now) {
                Some(Kept::Sent(delivery)) => self.delivery_end(delivery),
                Some(Kept::Cancelled(release)) => cancelled(release),
                Some(Kept::Waits { until, again }) => {
                    let row = self.evidence.held.iter().find(|row| row.id == *id);
                    let until = row.map(|row| rfc3339_millis(row.release_at)).or_else(|| until.clone());
                    let extra = words::Extra { release: again.clone(), ..words::Extra::default() };
                    (End::Held { held: Some(id.clone()), delivery: None, until }, extra)
                }
                None => {
                    let end = End::Held { held: Some(id.clone()), delivery: None, until: None };
                    (end, words::Extra::default())
                }
            },
            Path::Digest(id) => self.digest_end(id),
        }
    }

    fn digest_end(&self, id: &str) -> (End, words::Extra) {
        let digest = self.digests.get(id);
        let within = |then| End::InDigest { digest: id.to_owned(), then };
        match digest.map(|digest| &digest.now) {
            Some(Kept::Cancelled(release)) => cancelled(release),
            Some(Kept::Sent(delivery)) => {
                let (end, mut extra) = self.delivery_end(delivery);
                extra.count = digest.and_then(|digest| digest.count);
                let end = match end {
                    End::Sent { delivery, result, at } => within(DigestEnd::Sent { delivery, result, at }),
                    End::Sending { delivery, attempt, due_at } => {
                        within(DigestEnd::Sending { delivery, attempt, due_at })
                    }
                    End::Held { delivery, until, .. } => within(DigestEnd::Held { delivery, until }),
                    other => other,
                };
                (end, extra)
            }
            waits => {
                let row = self.evidence.digests.iter().find(|row| row.id == *id);
                let (said, again) = match waits {
                    Some(Kept::Waits { until, again }) => (until.clone(), again.clone()),
                    _ => (None, None),
                };
                let at = row.map(|row| rfc3339_millis(row.closes_at)).or(said);
                let then = match &again {
                    Some(_) => DigestEnd::Held { delivery: None, until: at },
                    None => DigestEnd::Open { closes_at: at },
                };
                (within(then), words::Extra { release: again, ..words::Extra::default() })
            }
        }
    }

    /// Of a delivery or any of its replays, the one that came furthest.
    fn delivery_end(&self, id: &str) -> (End, words::Extra) {
        let all = self.deliveries.get(id).map(|delivery| delivery.again.as_slice()).unwrap_or_default();
        let one = |id: &String| {
            let delivery = self.deliveries.get(id);
            let row = self.evidence.deliveries.iter().find(|row| row.id == *id);
            let extra = words::Extra {
                last_result: delivery.and_then(|delivery| delivery.last_result.clone()),
                release: delivery.and_then(|delivery| delivery.judged.clone()),
                ..words::Extra::default()
            };
            if let Some(end) = delivery.and_then(|delivery| delivery.ended.clone()) {
                return (end, extra);
            }
            let (attempt, due_at) = delivery.map_or((1, None), |delivery| delivery.next.clone());
            let sending = End::Sending { delivery: id.clone(), attempt, due_at };
            let end = match row.map(|row| (row.state.as_str(), row)) {
                Some((result @ ("delivered" | "accepted"), _)) => {
                    End::Sent { delivery: id.clone(), result: result.to_owned(), at: None }
                }
                Some(("dead", _)) => failed("delivery-failed", id),
                Some(("cancelled", _)) => failed("delivery-cancelled", id),
                row => match extra.release.as_ref().map(super::until) {
                    // The next attempt waits, and is judged again when it is due.
                    Some(until) => {
                        let due_at = row.and_then(|(_, row)| row.due_at).map(rfc3339_millis);
                        End::Held { held: None, delivery: Some(id.clone()), until: due_at.or(until) }
                    }
                    None => row.map_or(sending, |(_, row)| End::Sending {
                        delivery: id.clone(),
                        attempt: u64::from(row.next_attempt),
                        due_at: row.due_at.map(rfc3339_millis),
                    }),
                },
            };
            (end, extra)
        };
        let found = all.iter().map(one).max_by_key(|(end, _)| rank(end));
        let nothing = End::Sending { delivery: id.to_owned(), attempt: 1, due_at: None };
        found.unwrap_or((nothing, words::Extra::default()))
    }
}

impl Kept {
    fn sent(&self) -> Option<String> {
        if let Self::Sent(delivery) = self { Some(delivery.clone()) } else { None }
    }
}

fn cancelled(release: &Value) -> (End, words::Extra) {
    let because = owned(release, "control").unwrap_or_default();
    let until = release.get("parameters").and_then(|parameters| owned(parameters, "until"));
    (
        End::NotSent { because, until, delivery: None },
        words::Extra { release: Some(release.clone()), ..words::Extra::default() },
    )
}

pub(super) fn failed(because: &str, delivery: &str) -> End {
    End::NotSent { because: because.to_owned(), until: None, delivery: Some(delivery.to_owned()) }
}

/// All that the entries say.
pub struct Told {
    pub actions: Vec<ActionStory>,
    pub unmatched: Option<u64>,
    /// The entry with the decisions was read.
    pub decided: bool,
}

/// How far it came.
const fn rank(end: &End) -> u8 {
    match end {
        End::Unknown { .. } => 0,
        End::NotSent { .. } => 1,
        End::Held { .. } => 2,
        End::InDigest { then: DigestEnd::Open { .. } | DigestEnd::Held { .. }, .. } => 3,
        End::InDigest { then: DigestEnd::Sending { .. }, .. } | End::Sending { .. } => 4,
        End::InDigest { then: DigestEnd::Sent { .. }, .. } | End::Sent { .. } => 5,
    }
}
