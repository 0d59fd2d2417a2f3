//! `/docs/`: Swagger UI over our own `/openapi.json`, from files in this program. Nothing is loaded from elsewhere, and
//! the policy sent along has the browser see to that.

use crate::answer;
use crate::app::{Answer, Call};
use axum::response::Response;
use http::{HeaderName, StatusCode, header};
use notify_core::problem::{Code, Problem};

struct File {
    name: &'static str,
    media: &'static str,
    content: &'static [u8],
    /// `content` is gzip: every browser reads it, and the files are twenty times as large without.
    gzip: bool,
}

const FILES: [File; 4] = [
    File {
        name: "",
        media: "text/html; charset=utf-8",
        content: include_bytes!("../assets/swagger-ui/index.html"),
        gzip: false,
    },
    File {
        name: "start.js",
        media: "text/javascript; charset=utf-8",
        content: include_bytes!("../assets/swagger-ui/start.js"),
        gzip: false,
    },
    File {
        name: "swagger-ui-bundle.js",
        media: "text/javascript; charset=utf-8",
        content: include_bytes!("../assets/swagger-ui/swagger-ui-bundle.js.gz"),
        gzip: true,
    },
    File {
        name: "swagger-ui.css",
        media: "text/css; charset=utf-8",
        content: include_bytes!("../assets/swagger-ui/swagger-ui.css.gz"),
        gzip: true,
    },
];

/// Of the files above.
const ETAG: &str = "\"swagger-ui-5.35.0-1\"";

/// No inline script or style, no frame, no other host.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /docs/`
pub async fn page(call: Call) -> Answer {
    file(&call, "")
}

/// `GET /docs/{file}`
pub async fn asset(call: Call) -> Answer {
    file(&call, call.param("file"))
}

/// `GET /docs`
pub async fn redirect(_call: Call) -> Answer {
    let mut response = answer::empty(StatusCode::PERMANENT_REDIRECT);
    answer::set(&mut response, header::LOCATION, "/docs/");
    Ok(response)
}

fn file(call: &Call, name: &str) -> Answer {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return Err(Problem::new(
            Code::NotFound,
            "",
            "the documentation has no such file",
            "open `/docs/`, or read `/openapi.json`",
        ));
    };
    let mut response: Response = if call.header("if-none-match") == Some(ETAG) {
        answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        let mut response = answer::bytes(StatusCode::OK, file.media, file.content.to_vec());
        if file.gzip {
            answer::set(&mut response, header::CONTENT_ENCODING, "gzip");
        }
        response
    };
    answer::set(&mut response, header::CONTENT_SECURITY_POLICY, POLICY);
    answer::set(&mut response, header::ETAG, ETAG);
    answer::set(&mut response, header::CACHE_CONTROL, "no-cache");
    answer::set(&mut response, HeaderName::from_static("referrer-policy"), "no-referrer");
    Ok(response)
}
