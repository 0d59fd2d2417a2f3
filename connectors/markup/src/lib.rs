//! A message's `body` for channels: CommonMark as blocks, as safe HTML and as plain text, and texts cut to a channel's
//! limits.
//!
//! What no channel of ours renders the same way is text here: raw HTML, images, links that are not `http`, `https` or
//! `mailto`. So a connector that walks the blocks cannot be made to emit a tag or a dangerous link.
//!
//! ```
//! use notify_markup::{cut_chars, html, plain};
//!
//! assert_eq!(html("**down** <b>now</b>"), "<p><strong>down</strong> &lt;b&gt;now&lt;/b&gt;</p>\n");
//! assert_eq!(plain("- [report](https://example.org/r)"), "- report <https://example.org/r>\n");
//! assert_eq!(cut_chars("the pods are down", 14).text, "the pods are");
//! ```

#![forbid(unsafe_code)]

mod cut;
mod html;
mod parse;
mod plain;
mod text;

pub use cut::{Cut, cut_bytes, cut_chars, cut_utf16};
pub use html::html;
pub use parse::{Block, Inline, parse};
pub use plain::plain;
pub use text::{escape_html, honest, is_link};
