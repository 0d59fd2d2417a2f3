//! One transaction over many commits: lock and read, judge, write.

mod held;
mod inbox;
mod judge;
mod load;
mod log;
mod memory;
mod noise;
mod quarantine;
mod state;
mod write;

pub use judge::VOID_TOKEN;
pub use load::{Look, event_state};
pub use log::Keyring;
pub use memory::Memory;

use crate::commit::{Commit, Committed, Refused};
use crate::pools::Writer;
use crate::sql::{Db, Texts};
use crate::store::StoreError;
use memory::Known;
use notify_core::ids::TenantId;
use state::State;
use std::collections::BTreeMap;

/// How a transaction failed.
#[derive(Debug)]
pub enum Failed {
    /// Before COMMIT was sent: nothing was written.
    Nothing(StoreError),
    /// COMMIT was sent and its answer was lost or bad: everything was written, or nothing.
    InDoubt(sqlx::Error),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Nothing(error)
    }
}

/// Writes all commits that are not refused, durably, in one transaction. Answers come in order of `commits`.
pub async fn transaction(
    writer: &mut Writer<'_>,
    texts: &Texts,
    keys: &Keyring,
    commits: &[&Commit],
    look: Look,
) -> Result<Vec<Result<Committed, Refused>>, Failed> {
    writer.begin(texts).await.map_err(StoreError::from)?;
    let mut learned = Vec::new();
    let (mut db, memory) = writer.parts();
    let answers = rounds(&mut db, texts, keys, commits, memory, look, &mut learned).await;
    let nothing_written = !matches!(&answers, Ok(answers) if answers.iter().any(Result::is_ok));
    if nothing_written {
        // When this fails as well, the writer gives the connection up and the database rolls back by itself.
        if let Err(error) = writer.rollback(texts).await {
            tracing::debug!(%error, "a rollback failed");
        }
        return Ok(answers?);
    }
    match writer.commit(texts).await {
        Ok(()) => {
            if let (_, Some(memory)) = writer.parts() {
                memory.keep(learned);
            }
            Ok(answers?)
        }
        Err(error) => Err(Failed::InDoubt(error)),
    }
}

/// A round is what can be read and written together: all tenants on SQLite, one tenant on PostgreSQL. Tenants come in
/// ascending order, so that no two transactions wait for each other's head rows.
async fn rounds(
    db: &mut Db<'_>,
    texts: &Texts,
    keys: &Keyring,
    commits: &[&Commit],
    mut memory: Option<&mut Memory>,
    look: Look,
    learned: &mut Vec<(TenantId, Known)>,
) -> Result<Vec<Result<Committed, Refused>>, StoreError> {
    let mut by_tenant: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, commit) in commits.iter().enumerate() {
        let key = if db.dialect().mixes_tenants() { "" } else { commit.tenant.as_str() };
        by_tenant.entry(key).or_default().push(at);
    }
    let mut answers: Vec<Result<Committed, Refused>> = Vec::new();
    answers.resize_with(commits.len(), || Err(Refused::NoTenant));
    for members in by_tenant.into_values() {
        let Some(first) = members.first() else { continue };
        db.enter(texts, &commits[*first].tenant).await?;
        let mut state = State::default();
        let round: Vec<_> =
            members.iter().map(|at| (state.slot(&commits[*at].tenant), commits[*at])).collect();
        load::load(db, texts, keys, &mut state, &round, memory.as_deref_mut(), look).await?;
        let mut judged = judge::judge(&mut state, keys, &round);
        let judged_answers = std::mem::take(&mut judged.answers);
        if judged_answers.iter().any(Result::is_ok) {
            let mut logs = write::write(db, texts, &mut state, &judged).await?;
            if memory.is_some() {
                learned.extend(memory::learn(&mut state, &mut logs));
            }
        }
        for (at, answer) in members.into_iter().zip(judged_answers) {
            answers[at] = answer;
        }
    }
    Ok(answers)
}
