//! Group commit without a timer: one task takes all that waits into a transaction, and starts the next when that one
//! ended. The more callers wait, the larger the groups, and the fewer flushes each costs.

use crate::commit::{Commit, Committed, Refused};
use crate::engine::{self, Failed, Look};
use crate::pools::Shared;
use crate::sql::direct;
use crate::store::{StoreError, repeat};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// A commit that waits, and whom to tell.
#[derive(Debug)]
pub struct Job {
    pub commit: Commit,
    pub reply: oneshot::Sender<Result<Committed, StoreError>>,
}

/// Bounds on one transaction: it must not grow so large that the first to come waits long for the last.
const MAX_COMMITS: usize = 256;
const MAX_ENTRIES: usize = 512;

type Answers = Vec<Result<Committed, StoreError>>;

/// Runs until every sender is gone and every commit is answered.
pub async fn run(shared: Arc<Shared>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut waiting: Vec<Job> = Vec::new();
    loop {
        if waiting.is_empty() {
            if jobs.recv_many(&mut waiting, MAX_COMMITS).await == 0 {
                return;
            }
        } else {
            while waiting.len() < MAX_COMMITS {
                let Ok(job) = jobs.try_recv() else { break };
                waiting.push(job);
            }
        }
        let rest = waiting.split_off(fitting(&waiting));
        let group = std::mem::replace(&mut waiting, rest);
        let (commits, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|job| (job.commit, job.reply)).unzip();
        let commits: Vec<&Commit> = commits.iter().collect();
        let answers = commit_group(&shared, &commits).await;
        for (reply, answer) in replies.into_iter().zip(answers) {
            // Nobody listens: a caller that gave up. Its commit stands all the same.
            let _ = reply.send(answer);
        }
        shared.committed(commits.len());
    }
}

/// How many of the waiting fit into one transaction; at least one.
fn fitting(waiting: &[Job]) -> usize {
    let mut entries = 0;
    let fit = waiting.iter().take(MAX_COMMITS).take_while(|job| {
        entries += job.commit.entries().len().max(1);
        entries <= MAX_ENTRIES
    });
    fit.count().max(1).min(waiting.len())
}

/// Tries the group as a whole; when that fails, each by itself, so that one bad commit harms nobody else.
async fn commit_group(shared: &Shared, commits: &[&Commit]) -> Answers {
    let mut outcome = attempt(shared, commits).await;
    if let Err(Failed::Nothing(StoreError::Database(error))) = &outcome
        && is_connection_loss(error)
    {
        tracing::warn!(%error, "the database connection was lost; trying again on a new one");
        outcome = attempt(shared, commits).await;
    }
    match outcome {
        Ok(answers) => answers.into_iter().map(|answer| answer.map_err(StoreError::from)).collect(),
        Err(Failed::InDoubt(error)) => {
            commits.iter().map(|_| Err(StoreError::InDoubt(repeat(&error)))).collect()
        }
        Err(Failed::Nothing(error)) if commits.len() == 1 => vec![Err(error)],
        Err(Failed::Nothing(StoreError::Database(error))) if is_connection_loss(&error) => {
            commits.iter().map(|_| Err(StoreError::Database(repeat(&error)))).collect()
        }
        Err(Failed::Nothing(error)) => {
            tracing::warn!(%error, commits = commits.len(), "a transaction failed; its commits are tried one by one");
            let mut answers = Answers::with_capacity(commits.len());
            for commit in commits {
                answers.push(match attempt(shared, &[*commit]).await {
                    Ok(mut alone) => alone.pop().unwrap_or(Err(Refused::NoTenant)).map_err(StoreError::from),
                    Err(Failed::InDoubt(error)) => Err(StoreError::InDoubt(error)),
                    Err(Failed::Nothing(error)) => Err(error),
                });
            }
            answers
        }
    }
}

async fn attempt(shared: &Shared, commits: &[&Commit]) -> Result<Vec<Result<Committed, Refused>>, Failed> {
    let mut writer = shared.writer().await?;
    let outcome = engine::transaction(&mut writer, &shared.texts, &shared.keys, commits, Look::Trust).await;
    match outcome {
        // A row that a commit brings exists already: look first, and let judgement say whose it is.
        Err(Failed::Nothing(StoreError::Database(error))) if direct::is_constraint(&error) => {
            engine::transaction(&mut writer, &shared.texts, &shared.keys, commits, Look::First).await
        }
        outcome => outcome,
    }
}

/// The server did not say no; it said nothing.
pub fn is_connection_loss(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed => true,
        // 57P01 to 57P03: the administrator or a crash ended the session; class 08: connection exceptions.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some()
                && (code.starts_with("57P") || code.starts_with("08"))
        }),
        _ => false,
    }
}
