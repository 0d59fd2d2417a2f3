//! Postfix and Dovecot from Debian's binaries, in a temporary folder on free loopback ports: submission with STARTTLS
//! and sign-in, delivery into a Maildir, IMAP, and bounces for what a second server refuses.
//!
//! Both need to be started by root; they drop to their own users. Stopped by their own process ids.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running pair. Dropping it stops both.
#[derive(Debug)]
pub struct MailServers {
    dir: tempfile::TempDir,
    dovecot: Child,
    /// Submission: STARTTLS and sign-in are required.
    pub submission: u16,
    pub imap: u16,
}

/// Who may sign in, and whose mailbox there is.
pub const USER: &str = "alerts@inbox.test";
pub const PASSWORD: &str = "s3cret pässword";

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    for _ in 0..400 {
        if holds() {
            return;
        }
        // Nothing is ever sent: a pause that is no sleep.
        let _ = receiver.recv_timeout(Duration::from_millis(50));
    }
    drop(sender);
    panic!("{what}");
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl MailServers {
    /// Starts both. Mail for `bounce.test` goes on to the SMTP server at `relay`; mail for `inbox.test` stays.
    ///
    /// # Panics
    /// When they are not installed, we are not root, or they do not come up.
    #[must_use]
    pub fn start(certificate: &Path, key: &Path, relay: u16) -> Self {
        let dir = tempfile::Builder::new().prefix("mail").tempdir_in("/tmp").expect("a folder");
        let at = dir.path();
        let text = at.display().to_string();
        for name in ["etc", "queue", "data", "mail", "run", "log"] {
            fs::create_dir(at.join(name)).expect("a folder");
        }
        for name in ["", "etc", "mail", "run", "queue"] {
            fs::set_permissions(at.join(name), fs::Permissions::from_mode(0o755)).expect("permissions");
        }
        assert!(
            run("chown", &["postfix", &format!("{text}/data")]),
            "Postfix is not installed, or we are not root"
        );
        assert!(run("chown", &["postfix", &format!("{text}/mail")]));
        fs::create_dir(at.join("queue/private")).expect("a folder");
        assert!(run("chown", &["postfix", &format!("{text}/queue/private")]));
        for (from, to) in [(certificate, "cert.pem"), (key, "key.pem")] {
            fs::copy(from, at.join("etc").join(to)).expect("copied");
        }
        let (submission, imap) = (free_port(), free_port());
        let uid = String::from_utf8(Command::new("id").args(["-u", "postfix"]).output().expect("id").stdout);
        let gid = String::from_utf8(Command::new("id").args(["-g", "postfix"]).output().expect("id").stdout);
        let (uid, gid) = (uid.expect("text").trim().to_owned(), gid.expect("text").trim().to_owned());

        fs::write(
            at.join("etc/users"),
            format!("{USER}:{{PLAIN}}{PASSWORD}::::::\nops@inbox.test:{{PLAIN}}{PASSWORD}::::::\n"),
        )
        .expect("written");
        fs::write(
            at.join("etc/dovecot.conf"),
            format!(
                "protocols = imap\nlisten = 127.0.0.1\nbase_dir = {text}/run\nlog_path = {text}/log/dovecot\n\
                 ssl = no\ndisable_plaintext_auth = no\nauth_mechanisms = plain login\nfirst_valid_uid = 1\n\
                 mail_location = maildir:{text}/mail/%n\nmail_uid = {uid}\nmail_gid = {gid}\n\
                 passdb {{\n  driver = passwd-file\n  args = {text}/etc/users\n}}\n\
                 userdb {{\n  driver = static\n  args = uid={uid} gid={gid} home={text}/mail/%n\n}}\n\
                 service auth {{\n  unix_listener {text}/queue/private/auth {{\n    mode = 0666\n  }}\n}}\n\
                 service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n  chroot =\n}}\n"
            ),
        )
        .expect("written");
        let dovecot = Command::new("dovecot")
            .args(["-F", "-c"])
            .arg(at.join("etc/dovecot.conf"))
            .stdin(Stdio::null())
            .spawn()
            .expect("Dovecot is not installed (Debian package `dovecot-imapd`)");

        fs::write(
            at.join("etc/main.cf"),
            format!(
                "compatibility_level = 3.6\nqueue_directory = {text}/queue\ndata_directory = {text}/data\n\
                 mail_owner = postfix\nsetgid_group = postdrop\nmyhostname = mx.inbox.test\nmydestination =\n\
                 inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks =\nmaillog_file = {text}/log/postfix\n\
                 maillog_file_prefixes = /tmp\nsmtp_dns_support_level = disabled\n\
                 virtual_mailbox_domains = inbox.test\nvirtual_mailbox_base = {text}/mail\n\
                 virtual_mailbox_maps = inline:{{ {{alerts@inbox.test=alerts/}}, {{ops@inbox.test=ops/}} }}\n\
                 virtual_uid_maps = static:{uid}\nvirtual_gid_maps = static:{gid}\nvirtual_minimum_uid = 1\n\
                 transport_maps = inline:{{ {{bounce.test=smtp:[127.0.0.1]:{relay}}} }}\n\
                 smtpd_tls_cert_file = {text}/etc/cert.pem\nsmtpd_tls_key_file = {text}/etc/key.pem\n\
                 smtpd_tls_security_level = encrypt\nsmtpd_tls_auth_only = yes\nsmtpd_sasl_auth_enable = yes\n\
                 smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\n\
                 smtpd_recipient_restrictions = permit_sasl_authenticated, reject\n\
                 smtpd_relay_restrictions = permit_sasl_authenticated, reject\nsmtpd_reject_unlisted_recipient = yes\n\
                 message_size_limit = 200000\nminimal_backoff_time = 300s\nbounce_notice_recipient = alerts@inbox.test\n"
            ),
        )
        .expect("written");
        let service = |name: &str, kind: &str, private: &str, wake: &str, limit: &str, command: &str| {
            format!("{name} {kind} {private} - n {wake} {limit} {command}\n")
        };
        let master: String = [
            service(&format!("127.0.0.1:{submission}"), "inet", "n", "-", "-", "smtpd"),
            service("pickup", "unix", "n", "60", "1", "pickup"),
            service("cleanup", "unix", "n", "-", "0", "cleanup"),
            service("qmgr", "unix", "n", "300", "1", "qmgr"),
            service("rewrite", "unix", "-", "-", "-", "trivial-rewrite"),
            service("bounce", "unix", "-", "-", "0", "bounce"),
            service("defer", "unix", "-", "-", "0", "bounce"),
            service("trace", "unix", "-", "-", "0", "bounce"),
            service("verify", "unix", "-", "-", "1", "verify"),
            service("proxymap", "unix", "-", "-", "-", "proxymap"),
            service("smtp", "unix", "-", "-", "-", "smtp"),
            service("relay", "unix", "-", "-", "-", "smtp"),
            service("error", "unix", "-", "-", "-", "error"),
            service("retry", "unix", "-", "-", "-", "error"),
            // Writes as the mailbox's owner.
            "virtual unix - n n - - virtual\n".to_owned(),
            service("anvil", "unix", "-", "-", "1", "anvil"),
            service("tlsmgr", "unix", "-", "1000?", "1", "tlsmgr"),
            service("scache", "unix", "-", "-", "1", "scache"),
            service("postlog", "unix-dgram", "n", "-", "1", "postlogd"),
        ]
        .concat();
        fs::write(at.join("etc/master.cf"), master).expect("written");
        let etc = at.join("etc").display().to_string();
        let started = run("postfix", &["-c", &etc, "start"]);
        let servers = Self { dir, dovecot, submission, imap };
        assert!(started, "Postfix did not start: {}", servers.log());
        for (what, port) in [("Postfix", submission), ("Dovecot", imap)] {
            wait_for(what, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        servers
    }

    /// What both wrote, for the message of a failed test.
    #[must_use]
    pub fn log(&self) -> String {
        ["postfix", "dovecot"]
            .map(|name| fs::read_to_string(self.dir.path().join("log").join(name)).unwrap_or_default())
            .concat()
    }

    /// The messages in a mailbox, as files.
    #[must_use]
    pub fn mailbox(&self, name: &str) -> Vec<Vec<u8>> {
        let folder = |part: &str| self.dir.path().join("mail").join(name).join(part);
        let mut files: Vec<PathBuf> = ["new", "cur"]
            .iter()
            .flat_map(|part| fs::read_dir(folder(part)).into_iter().flatten().flatten())
            .map(|entry| entry.path())
            .collect();
        files.sort();
        files.iter().filter_map(|file| fs::read(file).ok()).collect()
    }

    /// Waits for so many messages in a mailbox.
    ///
    /// # Panics
    /// When they do not come within 20 seconds.
    #[must_use]
    pub fn wait_for_mail(&self, name: &str, many: usize) -> Vec<Vec<u8>> {
        let (_sender, receiver) = std::sync::mpsc::channel::<()>();
        for _ in 0..400 {
            let found = self.mailbox(name);
            if found.len() >= many {
                return found;
            }
            let _ = receiver.recv_timeout(Duration::from_millis(50));
        }
        panic!("{many} messages for {name}: {}", self.log());
    }
}

impl Drop for MailServers {
    fn drop(&mut self) {
        let etc = self.dir.path().join("etc").display().to_string();
        let _ = run("postfix", &["-c", &etc, "stop"]);
        // The master of Dovecot ends its own children when it is asked to end.
        let _ = run("kill", &["-TERM", &self.dovecot.id().to_string()]);
        let _ = self.dovecot.wait();
    }
}
