//! Signing in: AUTH PLAIN or LOGIN. Nothing of what the server says here goes any further: some repeat what they got.

use crate::reply::{Fault, Stage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::response::Response;
use zeroize::Zeroizing;

/// Newest password first; an older one while a rotation is under way.
pub(crate) async fn sign_in(
    connection: &mut AsyncSmtpConnection,
    username: &str,
    passwords: &[&str],
) -> Result<(), Fault> {
    let mut last = Fault::config(Stage::Auth, "the channel has a user name but no secret `password`");
    for password in passwords {
        match attempt(connection, username, password).await {
            Ok(()) => return Ok(()),
            Err(fault) => last = fault,
        }
        if last.breaks() {
            break;
        }
    }
    Err(last)
}

async fn attempt(connection: &mut AsyncSmtpConnection, username: &str, password: &str) -> Result<(), Fault> {
    let offers = |mechanism| connection.server_info().supports_auth_mechanism(mechanism);
    let encoded = |text: &str| Zeroizing::new(STANDARD.encode(text));
    let last = if offers(Mechanism::Plain) {
        let both = Zeroizing::new(format!("\0{username}\0{password}"));
        say(connection, &format!("AUTH PLAIN {}", *encoded(&both))).await?
    } else if offers(Mechanism::Login) {
        let mut answer = say(connection, "AUTH LOGIN").await?;
        for text in [username, password] {
            if answer.has_code(334) {
                answer = say(connection, &encoded(text)).await?;
            }
        }
        answer
    } else {
        return Err(Fault::config(Stage::Auth, "the server offers neither AUTH PLAIN nor AUTH LOGIN"));
    };
    if last.has_code(235) {
        return Ok(());
    }
    // A dialogue that nobody knows the rest of cannot be used for anything else.
    Err(Fault::local(Stage::Auth, format!("the server answered {} in place of 235", last.code())))
}

async fn say(connection: &mut AsyncSmtpConnection, line: &str) -> Result<Response, Fault> {
    let line = Zeroizing::new(format!("{line}\r\n"));
    connection.command(line.as_str()).await.map_err(|error| Fault::of(Stage::Auth, &error))
}
