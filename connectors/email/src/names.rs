//! Host names to addresses: few questions at once, and answers that are kept for a moment. A name server that hangs
//! keeps a thread for each question, and there are eight for all channels.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Questions for one name at once.
const QUESTIONS: usize = 2;
const KEEP: Duration = Duration::from_secs(30);
const KEEP_FAILURE: Duration = Duration::from_secs(5);
/// Names that are remembered; a channel can name any host.
const MAX_NAMES: usize = 256;

type Answer = Result<Vec<IpAddr>, io::ErrorKind>;

struct Name {
    questions: Arc<Semaphore>,
    answer: Mutex<Option<(Instant, Answer)>>,
}

impl Name {
    fn fresh(&self, now: Instant) -> Option<Answer> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, answer) = answer.as_ref()?;
        let keep = if answer.is_ok() { KEEP } else { KEEP_FAILURE };
        (now.saturating_duration_since(*since) < keep).then(|| answer.clone())
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<String, Arc<Name>>>);

impl Names {
    fn names(&self) -> MutexGuard<'_, HashMap<String, Arc<Name>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, name: &str, now: Instant) -> Arc<Name> {
        let mut names = self.names();
        if names.len() >= MAX_NAMES && !names.contains_key(name) {
            names.retain(|_, name| Arc::strong_count(name) > 1 || name.fresh(now).is_some());
        }
        if names.len() >= MAX_NAMES && !names.contains_key(name) {
            names.retain(|_, name| Arc::strong_count(name) > 1);
        }
        let new =
            || Arc::new(Name { questions: Arc::new(Semaphore::new(QUESTIONS)), answer: Mutex::default() });
        Arc::clone(names.entry(name.to_owned()).or_insert_with(new))
    }

    /// The system's answer for a name.
    pub(crate) async fn addresses(&self, name: &str) -> Answer {
        let question = name.to_owned();
        self.ask(name, Instant::now(), async move {
            let found =
                tokio::net::lookup_host((question.as_str(), 0)).await.map_err(|error| error.kind())?;
            Ok(found.map(|address| address.ip()).collect())
        })
        .await
    }

    /// The kept answer, or that of the question. The question goes on when nobody waits for it any more, as its thread
    /// does, and keeps its place until then.
    async fn ask(
        &self,
        name: &str,
        now: Instant,
        question: impl Future<Output = Answer> + Send + 'static,
    ) -> Answer {
        let name = self.name(name, now);
        if let Some(answer) = name.fresh(now) {
            return answer;
        }
        let Ok(place) = Arc::clone(&name.questions).acquire_owned().await else {
            return Err(io::ErrorKind::Interrupted);
        };
        // Somebody else may have asked meanwhile.
        if let Some(answer) = name.fresh(now) {
            return answer;
        }
        let asked = tokio::spawn(async move {
            let answer = question.await;
            *name.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, answer.clone()));
            drop(place);
            answer
        });
        asked.await.unwrap_or(Err(io::ErrorKind::Interrupted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A name server that counts, and answers when it is told to.
    #[derive(Default)]
    struct Server {
        asked: AtomicUsize,
        answers: tokio::sync::Notify,
    }

    fn question(
        server: &Arc<Server>,
        answer: Option<Answer>,
    ) -> impl Future<Output = Answer> + Send + 'static {
        let server = Arc::clone(server);
        async move {
            server.asked.fetch_add(1, Ordering::SeqCst);
            match answer {
                Some(answer) => answer,
                None => {
                    server.answers.notified().await;
                    Ok(vec![IpAddr::from([192, 0, 2, 1])])
                }
            }
        }
    }

    #[tokio::test]
    async fn answers_are_kept_for_a_moment() {
        let (names, server) = (Names::default(), Arc::new(Server::default()));
        let good = || Some(Ok(vec![IpAddr::from([192, 0, 2, 1])]));
        let bad = || Some(Err(io::ErrorKind::NotFound));
        let mut now = Instant::now();
        for (name, answer, wait, asked) in [
            ("a", good(), 0, 1),
            ("a", bad(), 29, 1),
            ("a", bad(), 2, 2),
            ("a", good(), 4, 2),
            ("a", good(), 2, 3),
            ("b", good(), 0, 4),
        ] {
            now += Duration::from_secs(wait);
            let _ = names.ask(name, now, question(&server, answer)).await;
            assert_eq!(server.asked.load(Ordering::SeqCst), asked, "{name} after {wait} s");
        }
    }

    #[tokio::test]
    async fn a_server_that_hangs_gets_two_questions_for_a_name() {
        let (names, server, now) = (Names::default(), Arc::new(Server::default()), Instant::now());
        for _ in 0..20 {
            let asked = names.ask("a", now, question(&server, None));
            assert!(tokio::time::timeout(Duration::from_millis(10), asked).await.is_err());
        }
        assert_eq!(server.asked.load(Ordering::SeqCst), 2, "those that nobody waits for count, too");
        let other = names.ask("b", now, question(&server, Some(Err(io::ErrorKind::NotFound)))).await;
        assert_eq!(other, Err(io::ErrorKind::NotFound), "another name is not held up");
        server.answers.notify_waiters();
        assert!(names.ask("a", now, question(&server, None)).await.is_ok());
        assert_eq!(server.asked.load(Ordering::SeqCst), 3, "two, and the other name's");
    }

    #[tokio::test]
    async fn names_are_forgotten() {
        let (names, server, now) = (Names::default(), Arc::new(Server::default()), Instant::now());
        for n in 0..1000 {
            let _ = names.ask(&n.to_string(), now, question(&server, Some(Ok(Vec::new())))).await;
        }
        assert!(names.names().len() <= MAX_NAMES);
    }
}
