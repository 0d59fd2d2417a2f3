//! What a connector author needs: safe traits, the message, the request parts, and one export macro.
//!
//! A connector is a `cdylib` with one exported symbol. Implement [`Codec`] when the target speaks HTTP: the host then
//! does the network, and the codec only translates. Implement [`Transport`] when it does not (SMTP, AMQP, …). The
//! contract behind it is `connectors/abi/include/notify_connector.h`; no unsafe code is needed on this side, and a
//! panic in any method becomes an answer for that one message.
//!
//! ```
//! use notify_connector_sdk::{Codec, Log, Part, PreparedRequest, Refusal, Response, Send, Verdict, export_codec};
//!
//! struct Chat;
//!
//! impl Codec for Chat {
//!     const MANIFEST: &'static str =
//!         r#"{"name":"chat","version":"1.0.0","kind":"codec","channelTypes":["chat"]}"#;
//!
//!     fn create(_options: &[u8], _log: Log) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn prepare(&self, send: &Send<'_>) -> Result<PreparedRequest, Refusal> {
//!         let message = send.message()?;
//!         let text = serde_json::json!({ "text": message.title }).to_string();
//!         // The URL is the secret here: the codec names it, the host fills it in.
//!         Ok(PreparedRequest::post(vec![Part::secret("url")]).json(text))
//!     }
//!
//!     fn interpret(&self, response: &Response<'_>) -> Verdict {
//!         match response.status {
//!             200..=299 => Verdict::delivered(),
//!             429 => Verdict::throttled(response.retry_after_ms(), "asked to slow down"),
//!             500.. => Verdict::retry(None, "the service failed"),
//!             status => Verdict::permanent(format!("answered {status}")),
//!         }
//!     }
//! }
//!
//! export_codec!(Chat);
//!
//! # fn main() {
//! // What the host calls first: the one exported symbol.
//! let table = notify_connector_entry_v1();
//! assert!(!table.is_null());
//! # }
//! ```
//!
//! Build with `crate-type = ["cdylib"]` and link with `-z nodelete` (see `connectors/webhook/build.rs`), then run
//! `notify-connector-conformance PATH` on the result.

mod codec;
mod edge;
pub mod http;
pub mod json;
pub mod message;
mod request;
pub mod time;
mod transport;
mod values;
pub mod words;

pub use codec::Codec;
pub use edge::Log;
pub use json::Json;
pub use message::Message;
pub use request::{Auth, Part, PreparedRequest};
pub use transport::{Completion, Transport};
pub use values::{ConfigProblem, Phase, Refusal, Response, Send, Verdict, VerdictCode};

/// For the export macros only; not a public interface.
#[doc(hidden)]
pub mod export {
    pub use crate::codec::table as codec_table;
    pub use crate::transport::table as transport_table;
    pub use notify_connector_abi::Connector;
}

/// Exports a [`Codec`] as this library's connector. Once per library.
#[macro_export]
macro_rules! export_codec {
    ($codec:ty) => {
        static NOTIFY_CONNECTOR_TABLE: $crate::export::Connector = $crate::export::codec_table::<$codec>();
        /// The one exported symbol (`notify_connector.h`).
        #[unsafe(no_mangle)]
        pub extern "C" fn notify_connector_entry_v1() -> *const $crate::export::Connector {
            &raw const NOTIFY_CONNECTOR_TABLE
        }
    };
}

/// Exports a [`Transport`] as this library's connector. Once per library.
#[macro_export]
macro_rules! export_transport {
    ($transport:ty) => {
        static NOTIFY_CONNECTOR_TABLE: $crate::export::Connector =
            $crate::export::transport_table::<$transport>();
        /// The one exported symbol (`notify_connector.h`).
        #[unsafe(no_mangle)]
        pub extern "C" fn notify_connector_entry_v1() -> *const $crate::export::Connector {
            &raw const NOTIFY_CONNECTOR_TABLE
        }
    };
}
