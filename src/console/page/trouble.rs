//! What went wrong, as a page or as a sentence on one.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use maud::{Markup, html};
use serde::Deserialize;

use super::Frame;

/// Why a page, or a part of one, cannot be shown, or a change was refused.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The status of the page.
    pub status: StatusCode,
    /// What kind of trouble it is.
    pub title: String,
    /// What happened, and what to do.
    pub detail: String,
    /// The field that is wrong; may be empty.
    pub field: String,
}

/// The API's problem document.
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: String,
    #[serde(default)]
    field: String,
}

impl Trouble {
    /// A problem that the API answered.
    #[must_use]
    pub fn of_problem(status: StatusCode, document: &[u8]) -> Self {
        match serde_json::from_slice(document) {
            Ok(Problem {
                title,
                detail,
                field,
            }) => Self {
                status,
                title,
                detail,
                field,
            },
            Err(_) => Self::internal(),
        }
    }

    /// Something that should not happen.
    #[must_use]
    pub fn internal() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            title: "Internal error".into(),
            detail: "this cannot be shown; the log says why".into(),
            field: String::new(),
        }
    }

    /// A value in a form or a link that is wrong.
    #[must_use]
    pub fn wrong(field: &str, detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            title: "Invalid value".into(),
            detail: detail.into(),
            field: field.into(),
        }
    }

    /// Something that is not there.
    #[must_use]
    pub fn missing(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "Not found".into(),
            detail: detail.into(),
            field: String::new(),
        }
    }

    /// Whether it says that something is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// Whether the configuration has changed since the form was shown.
    #[must_use]
    pub fn is_other_revision(&self) -> bool {
        self.status == StatusCode::PRECONDITION_FAILED
    }

    /// The sentence for a part of a page.
    #[must_use]
    pub fn sentence(&self) -> Markup {
        html! {
            p.trouble role="status" {
                strong { (self.title) } ": "
                @if !self.field.is_empty() { code { (self.field) } " " }
                (self.detail)
            }
        }
    }
}

impl From<crate::http::problem::Problem> for Trouble {
    fn from(problem: crate::http::problem::Problem) -> Self {
        Self::of_problem(problem.status_code(), &problem.document())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl ResponseError for Trouble {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let frame = Frame::bare(&self.title);
        frame.answer(
            self.status,
            html! {
                h1 { (self.title) }
                (self.sentence())
                p { a href="/" { "To the overview" } }
            },
        )
    }
}
