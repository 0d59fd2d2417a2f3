//! One send: a message per recipient, one after the other over one connection, and a verdict from what became of them.

use crate::config::{Config, Options, Settings};
use crate::content::Content;
use crate::dial::{Dialer, farewell};
use crate::dkim::Signers;
use crate::identity::{Reference, Unsubscribe, recipient_mark};
use crate::mime::{self, Draft};
use crate::pool::{Key, Place, Pool};
use crate::reply::{Fault, Meaning, Stage};
use crate::stream::FAREWELL;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use notify_connector_sdk::{Message, Phase, Refusal, Send, Verdict, VerdictCode};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// What all sends share.
pub struct Post {
    pub(crate) dialer: Dialer,
    pub(crate) pool: Pool,
    pub signers: Signers,
}

impl Post {
    /// # Errors
    /// Text for the operator.
    pub fn new(options: &Options) -> Result<Self, String> {
        Ok(Self {
            dialer: Dialer::new(options)?,
            pool: Pool::new(options.connections, Duration::from_secs(options.idle_seconds)),
            signers: Signers::default(),
        })
    }

    /// Closes connections that were idle for too long, or all idle ones; together, and each within a second.
    pub async fn close(&self, all: bool) {
        let mut leaving = tokio::task::JoinSet::new();
        for mut connection in self.pool.expired(all) {
            leaving.spawn(async move {
                let _ = tokio::time::timeout(FAREWELL, connection.quit()).await;
            });
        }
        leaving.join_all().await;
    }
}

/// One send, owned.
pub struct Job {
    settings: Settings,
    message: Message,
    content: Content,
    delivery_id: String,
    delivery_unix_ms: u64,
    check: bool,
    passwords: Vec<Zeroizing<String>>,
    dkim_key: Option<Zeroizing<String>>,
    unsubscribe: Option<Unsubscribe>,
    opted_out: HashSet<String>,
    progress: Mutex<Progress>,
    cancelled: AtomicBool,
}

/// What is known so far, also when the deadline cuts the rest off.
#[derive(Default)]
struct Progress {
    reference: Reference,
    notes: Vec<String>,
    /// Concerns everybody: no other recipient is tried.
    stop: Option<Fault>,
    /// The first that concerns one recipient who may work later.
    later: Option<Fault>,
    /// Somebody waits for another reason than that we are too fast.
    unhurried: bool,
    /// The newest answer of a server that took a message.
    taken: Option<String>,
}

type Secrets = BTreeMap<String, Vec<Zeroizing<String>>>;

impl Job {
    /// # Errors
    /// What is wrong with the message or the configuration.
    pub fn read(send: &Send<'_>, options: &Options) -> Result<Self, Refusal> {
        let config: Config = send.config()?;
        let settings = config.settle(options)?;
        let message = send.message()?;
        let mut secrets: Secrets = if send.secrets_json.is_empty() {
            Secrets::new()
        } else {
            serde_json::from_slice::<BTreeMap<String, Vec<String>>>(send.secrets_json)
                .map_err(|_| Refusal::retry("the studio's secrets cannot be read"))?
                .into_iter()
                .map(|(name, values)| (name, values.into_iter().map(Zeroizing::new).collect()))
                .collect()
        };
        let mut first = |name: &str| secrets.remove(name).unwrap_or_default().into_iter().next();
        let alert_url = first("studio-alert-url");
        let unsubscribe = first("studio-unsubscribe").and_then(|json| serde_json::from_str(&json).ok());
        let opted_out = match first("studio-opted-out") {
            None => HashSet::new(),
            // Sending to people who said no is worse than sending later.
            Some(json) => serde_json::from_str::<HashSet<String>>(&json)
                .map_err(|_| Refusal::retry("the list of opted-out addresses cannot be read"))?,
        };
        let dkim_key = first("dkim");
        if settings.dkim.is_some() != dkim_key.is_some() {
            return Err(Refusal::bad_config(
                "DKIM needs both `dkim` in the configuration and the secret `dkim`",
            ));
        }
        let passwords = secrets.remove("password").unwrap_or_default();
        if settings.username.is_some() == passwords.is_empty() {
            return Err(Refusal::bad_config(
                "signing in needs both `username` in the configuration and the secret `password`",
            ));
        }
        let mut content = Content::new(&message, alert_url.as_ref().map(|url| url.as_str()));
        content.resolved = send.phase == Phase::Resolve;
        let sample =
            unsubscribe.as_ref().and_then(|one: &Unsubscribe| one.link(settings.recipients.first()?.key()));
        content.fit(|content| crate::html::html(content, sample.as_deref()).len());
        let reference = thread(Reference::read(send.provider_reference, send.delivery_id), send);
        Ok(Self {
            settings,
            message,
            content,
            delivery_id: send.delivery_id.to_owned(),
            delivery_unix_ms: send.delivery_unix_ms,
            check: send.check,
            passwords,
            dkim_key,
            unsubscribe,
            opted_out,
            progress: Mutex::new(Progress { reference, ..Progress::default() }),
            cancelled: AtomicBool::new(false),
        })
    }

    /// No further recipient is begun; the one under way is finished, so that nobody gets it twice.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn passwords(&self) -> Vec<&str> {
        self.passwords.iter().map(|password| password.as_str()).collect()
    }

    /// The bytes for the recipient at this place: for previews and tests.
    ///
    /// # Errors
    /// What cannot be written or signed.
    pub fn bytes(&self, post: &Signers, at: usize) -> Result<Vec<u8>, Refusal> {
        let recipient =
            self.settings.recipients.get(at).ok_or_else(|| Refusal::permanent("no such recipient"))?;
        let thread = self.progress().reference.thread.clone();
        let draft = Draft {
            settings: &self.settings,
            message: &self.message,
            content: &self.content,
            delivery_id: &self.delivery_id,
            delivery_unix_ms: self.delivery_unix_ms,
            thread: &thread,
            unsubscribe: self.unsubscribe.as_ref(),
        };
        let bytes = mime::build(&draft, recipient).map_err(Refusal::permanent)?;
        match (&self.settings.dkim, &self.dkim_key) {
            (Some(dkim), Some(key)) => post.sign(dkim, key, &bytes).map_err(Refusal::bad_config),
            _ => Ok(bytes),
        }
    }

    /// Sends to everyone who has not got it.
    pub async fn run(&self, post: &Post) -> Verdict {
        if self.check {
            return self.check(post).await;
        }
        let open: Vec<usize> = self.open();
        if open.is_empty() {
            return self.verdict();
        }
        let passwords = self.passwords();
        let key = Key::new(&self.settings, &passwords);
        let Some(mut place) = post.pool.place(&key).await else {
            return Verdict::retry(None, "the connector is stopping");
        };
        for at in open {
            if self.cancelled.load(Ordering::SeqCst) {
                self.progress().stop = Some(Fault::local(Stage::Connect, "cancelled"));
                break;
            }
            let bytes = match self.bytes(&post.signers, at) {
                Ok(bytes) => bytes,
                Err(refusal) => {
                    give_back(post, &key, place);
                    return self.stopped(refusal);
                }
            };
            let Some(recipient) = self.settings.recipients.get(at) else { continue };
            let Err(fault) = self.one(post, &mut place, recipient, &bytes).await else { continue };
            if self.failed(recipient, fault) {
                break;
            }
        }
        give_back(post, &key, place);
        self.verdict()
    }

    /// Remembers what became of a recipient. True when the others need not be tried.
    fn failed(&self, recipient: &crate::address::Address, fault: Fault) -> bool {
        let meaning = fault.meaning();
        let mut progress = self.progress();
        match meaning {
            Meaning::Refused | Meaning::Policy | Meaning::Message => {
                progress.reference.hard |= meaning != Meaning::Policy;
                progress.notes.push(format!("{recipient} refused ({fault})"));
                progress.reference.refused.insert(recipient_mark(recipient.key()));
            }
            Meaning::RetryRecipient | Meaning::Throttled if fault.of_recipient() => {
                progress.notes.push(format!("{recipient} later ({fault})"));
                progress.unhurried |= meaning != Meaning::Throttled;
                progress.later.get_or_insert(fault);
            }
            Meaning::Config | Meaning::RetryAll | Meaning::RetryRecipient | Meaning::Throttled => {
                progress.stop = Some(fault);
                return true;
            }
        }
        false
    }

    /// Recipients that are neither done nor refused nor opted out.
    fn open(&self) -> Vec<usize> {
        let progress = self.progress();
        let mut seen = HashSet::new();
        let left = |key: &str| {
            let mark = recipient_mark(key);
            !self.opted_out.contains(key)
                && !progress.reference.done.contains(&mark)
                && !progress.reference.refused.contains(&mark)
        };
        let recipients = self.settings.recipients.iter().enumerate();
        recipients.filter(|(_, one)| left(one.key()) && seen.insert(one.key())).map(|(at, _)| at).collect()
    }

    /// One recipient. An idle connection that the server has closed meanwhile costs a new one, not an attempt.
    async fn one(
        &self,
        post: &Post,
        place: &mut Place,
        recipient: &crate::address::Address,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let mut reused = place.connection.is_some();
        loop {
            let mut connection = match place.connection.take() {
                Some(connection) => connection,
                None => {
                    place.dirty = false;
                    post.dialer.open(&self.settings, &self.passwords()).await?
                }
            };
            // Only now, when it is known what became of the recipient before: nobody may lose that to a server that hangs.
            if std::mem::take(&mut place.dirty) && connection.command(Rset).await.is_err() {
                reused = false;
                continue;
            }
            match self.transmit(&mut connection, recipient, bytes).await {
                Ok(answer) => {
                    place.sent();
                    let mut progress = self.progress();
                    progress.reference.done.insert(recipient_mark(recipient.key()));
                    progress.taken = Some(answer);
                    drop(progress);
                    place.connection = Some(connection);
                    return Ok(());
                }
                Err(fault) if reused && fault.stage == Stage::Sender && fault.breaks() => reused = false,
                Err(fault) => {
                    if !fault.breaks() {
                        place.connection = Some(connection);
                        place.dirty = true;
                    }
                    return Err(fault);
                }
            }
        }
    }

    async fn transmit(
        &self,
        connection: &mut AsyncSmtpConnection,
        recipient: &crate::address::Address,
        bytes: &[u8],
    ) -> Result<String, Fault> {
        let at = |stage| move |error: lettre::transport::smtp::Error| Fault::of(stage, &error);
        let unusable = |stage| move |reason: String| Fault::config(stage, reason);
        let sender = self.settings.from.address.envelope().map_err(unusable(Stage::Sender))?;
        let to = recipient.envelope().map_err(unusable(Stage::Recipient))?;
        let mut parameters = Vec::new();
        if connection.server_info().supports_feature(Extension::EightBitMime) && !bytes.is_ascii() {
            parameters.push(MailParameter::Body(
                lettre::transport::smtp::extension::MailBodyParameter::EightBitMime,
            ));
        }
        connection.command(Mail::new(Some(sender), parameters)).await.map_err(at(Stage::Sender))?;
        connection.command(Rcpt::new(to, Vec::new())).await.map_err(at(Stage::Recipient))?;
        connection.command(Data).await.map_err(at(Stage::Data))?;
        let answer = connection.message(bytes).await.map_err(at(Stage::Taken))?;
        Ok(answer.first_line().unwrap_or_default().to_owned())
    }

    async fn check(&self, post: &Post) -> Verdict {
        if let Err(refusal) = self.bytes(&post.signers, 0) {
            return refusal.into();
        }
        match post.dialer.open(&self.settings, &self.passwords()).await {
            Ok(connection) => {
                farewell(connection);
                let signed_in = if self.settings.username.is_some() { ", signed in" } else { "" };
                let tls =
                    if self.settings.tls == crate::config::Tls::None { "without TLS" } else { "with TLS" };
                Verdict::new(
                    VerdictCode::Delivered,
                    format!("{} answers {tls}{signed_in}; nothing was sent", self.settings.server.host),
                )
            }
            Err(fault) => of_fault(&fault),
        }
    }

    /// After a refusal of our own, in the middle.
    fn stopped(&self, refusal: Refusal) -> Verdict {
        let text = self.progress().reference.text();
        let verdict: Verdict = refusal.into();
        verdict.reference(text)
    }

    /// The deadline cut the rest off.
    #[must_use]
    pub fn late(&self) -> Verdict {
        if !self.open().is_empty() {
            let fault =
                Fault::local(Stage::Connect, "the deadline came; a message under way may have been taken");
            self.progress().stop.get_or_insert(fault);
        }
        self.verdict()
    }

    fn verdict(&self) -> Verdict {
        let progress = self.progress();
        let all: HashSet<&str> = self.settings.recipients.iter().map(crate::address::Address::key).collect();
        let skipped = all.iter().filter(|key| self.opted_out.contains(**key)).count();
        let (done, refused) = (progress.reference.done.len(), progress.reference.refused.len());
        let mut detail = format!("{done} of {} recipients", all.len());
        if skipped > 0 {
            detail.push_str(&format!(", {skipped} opted out"));
        }
        if let Some(answer) = &progress.taken {
            detail.push_str(&format!("; the server said: {answer}"));
        }
        for note in &progress.notes {
            detail.push_str("; ");
            detail.push_str(note);
        }
        let whole = |detail: String| notify_markup::cut_bytes(&detail, 900).text.to_owned();
        if let Some(fault) = progress.stop.as_ref().or(progress.later.as_ref()) {
            let detail =
                if done + refused + skipped == 0 { fault.to_string() } else { format!("{fault}; {detail}") };
            if fault.text == "cancelled" && fault.code.is_none() && done == 0 {
                return Verdict::new(VerdictCode::Cancelled, "cancelled before anything was sent");
            }
            let verdict = match of_fault(fault) {
                hurried if progress.stop.is_none() && progress.unhurried => {
                    Verdict { code: VerdictCode::Retry, ..hurried }
                }
                verdict => verdict,
            };
            let verdict = Verdict { detail: whole(detail), ..verdict };
            return verdict.reference(progress.reference.text());
        }
        if skipped == all.len() {
            return Verdict::new(
                VerdictCode::Cancelled,
                "nothing was sent: all recipients of this channel opted out",
            );
        }
        let reference = progress.reference.clone();
        if done == 0 && !reference.hard {
            // A rule of the server against all of them: mended in its configuration or ours, so all are tried again then.
            return Verdict::new(VerdictCode::BadConfig, whole(detail))
                .reference(reference.finished().text());
        }
        if done == 0 {
            return Verdict::new(VerdictCode::Permanent, whole(detail)).reference(reference.text());
        }
        Verdict::accepted(whole(detail)).reference(reference.finished().text())
    }
}

/// The thread that a message belongs to, and that the next one of its incident will.
fn thread(mut reference: Reference, send: &Send<'_>) -> Reference {
    match send.phase {
        Phase::None => {}
        Phase::Open => reference.thread = send.delivery_id.to_owned(),
        Phase::Update | Phase::Resolve if reference.thread.is_empty() => {
            reference.thread = send.delivery_id.to_owned();
        }
        Phase::Update | Phase::Resolve => {}
    }
    reference
}

fn give_back(post: &Post, key: &Key, place: Place) {
    if let Some(connection) = post.pool.put(key, place) {
        farewell(connection);
    }
}

fn of_fault(fault: &Fault) -> Verdict {
    let text = fault.to_string();
    match fault.meaning() {
        Meaning::Config => Verdict::bad_config(text),
        Meaning::Throttled => Verdict::throttled(None, text),
        Meaning::RetryAll | Meaning::RetryRecipient => Verdict::retry(None, text),
        Meaning::Refused | Meaning::Policy | Meaning::Message => Verdict::permanent(text),
    }
}
