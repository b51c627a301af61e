//! Forms. One that changes something has four steps on one page: change, preview, reason, save.
//!
//! A form is whole without JavaScript: one button shows the preview (GET, so that it can be linked to and changes
//! nothing), the other saves (POST). With JavaScript the preview follows while somebody types. What is saved is
//! refused if the configuration has changed since the form was shown.

use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use maud::{Markup, html};

use super::page::trouble::Trouble;
use super::sign_in::check_page;

/// The largest form, in bytes, and the most fields of one.
const FORM_MAX: usize = 32 << 10;
const FIELDS_MAX: usize = 100;

/// How long a form may take to arrive.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What a form or an address says.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// What an address says.
    #[must_use]
    pub fn of_query(request: &HttpRequest) -> Self {
        Self::of(request.query_string().as_bytes())
    }

    /// What a form says.
    ///
    /// # Errors
    /// It was sent by no page of Weir, is too long, or is no form.
    pub async fn of_form(request: &HttpRequest, mut payload: Payload) -> Result<Self, Trouble> {
        check_page(request)?;
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(Trouble::wrong(
                "",
                "a form must be application/x-www-form-urlencoded",
            ));
        }
        let read = tokio::time::timeout(TIME_LIMIT, Self::read(&mut payload));
        let body = read
            .await
            .map_err(|_| Trouble::wrong("", "the form took too long to arrive"))??;
        Ok(Self::of(&body))
    }

    async fn read(payload: &mut Payload) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        while let Some(part) = payload.next().await {
            let part = part.map_err(|_| Trouble::wrong("", "the form did not arrive whole"))?;
            if body.len() + part.len() > FORM_MAX {
                return Err(Trouble::wrong(
                    "",
                    format!("a form has at most {FORM_MAX} bytes"),
                ));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    fn of(encoded: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(encoded).into_owned();
        Self(pairs.take(FIELDS_MAX).collect())
    }

    /// What a query says.
    #[cfg(test)]
    pub fn parse(query: &str) -> Self {
        Self::of(query.as_bytes())
    }

    /// Whether a field is there, even if it is empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(of, _)| of == name)
    }

    /// A field that is there and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter().filter(|(of, _)| of == name);
        all.next()
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// A field; empty if it is not there.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// A number, if the field is there.
    ///
    /// # Errors
    /// It is no number.
    pub fn number(&self, name: &str) -> Result<Option<f64>, Trouble> {
        let Some(given) = self.get(name) else {
            return Ok(None);
        };
        let number = together(given).and_then(|plain| plain.parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| {
            let detail = "must be a number, like 50, 0.5 or 1,200: a point begins the fraction";
            Trouble::wrong(name, detail)
        })
    }
}

/// A number without what separates its thousands. None if a comma or a space separates anything else: `1,5` is one and
/// a half to many, and fifteen to nobody.
fn together(given: &str) -> Option<String> {
    let (whole, fraction) = match given.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (given, None),
    };
    let separator = whole
        .chars()
        .find(|of| matches!(of, ',' | ' ' | '\u{a0}' | '\u{202f}'));
    let Some(separator) = separator else {
        return Some(given.to_owned());
    };
    let mut groups = whole.split(separator);
    let first = groups.next()?.trim_start_matches('-');
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let begins = (1..=3).contains(&first.len()) && are_digits(first);
    let goes_on = groups.all(|group| group.len() == 3 && are_digits(group));
    let ends = fraction.is_none_or(are_digits);
    (begins && goes_on && ends).then(|| given.replace(separator, ""))
}

/// What a form shows beside its fields: why it was not saved, and the preview, or why there is none.
pub fn outcome<T>(
    refused: Option<Trouble>,
    preview: Result<Option<T>, Trouble>,
) -> (Option<T>, Option<Trouble>) {
    match (refused, preview) {
        (refused, Ok(preview)) => (preview, refused),
        (Some(refused), Err(_)) => (None, Some(refused)),
        (None, Err(trouble)) => (None, Some(trouble)),
    }
}

/// The answer to a form that was saved: leads to a page that shows what came of it.
#[must_use]
pub fn saved(to: String) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .finish()
}

/// A form that changes something.
pub struct Change<'a> {
    /// Where it is shown (GET) and saved (POST).
    pub action: &'a str,
    /// Its fields.
    pub inputs: Markup,
    /// The preview of what they say; none if they say nothing new.
    pub preview: Option<Markup>,
    /// Why it cannot be previewed, or was not saved.
    pub trouble: Option<&'a Trouble>,
    /// The tag of the configuration that it was made from.
    pub seen: &'a str,
    /// The reason that was given.
    pub reason: &'a str,
    /// What the button says that saves.
    pub save: &'a str,
    /// Whether its reader may save.
    pub may_save: bool,
}

impl Change<'_> {
    /// The form.
    #[must_use]
    pub fn shown(&self) -> Markup {
        html! {
            form.change method="post" action=(self.action) {
                input type="hidden" name="seen" value=(self.seen);
                fieldset hx-get=(self.action) hx-trigger="input delay:300ms" hx-include="closest form"
                    hx-target="#preview" hx-select="#preview" hx-swap="outerHTML" hx-sync="this:replace" {
                    legend { "Change" }
                    (self.inputs)
                }
                p.buttons {
                    // Without a script, and for the Enter key: the first button only shows.
                    button type="submit" formmethod="get" formnovalidate { "Preview" }
                }
                div id="preview" role="region" aria-label="Preview" aria-live="polite" {
                    @if let Some(trouble) = self.trouble { (trouble.sentence()) }
                    @if let Some(preview) = &self.preview { (preview) }
                }
                @if self.may_save {
                    fieldset {
                        legend { "Save" }
                        label for="reason" { "Reason, for those who ask later" }
                        input id="reason" name="reason" value=(self.reason) maxlength="1024" autocomplete="off";
                        p.buttons { button.main type="submit" { (self.save) } }
                    }
                } @else {
                    p.quiet { "You may look, but only an operator can save." }
                }
            }
        }
    }
}

/// A field for a text or a number.
pub struct Input<'a> {
    /// Its name, as the API has it.
    pub name: &'a str,
    /// What people call it.
    pub label: &'a str,
    /// What it holds.
    pub value: &'a str,
    /// What it means, or its unit.
    pub hint: &'a str,
    /// Whether numbers are expected.
    pub is_number: bool,
}

impl Input<'_> {
    /// The field.
    #[must_use]
    pub fn shown(&self) -> Markup {
        let (id, hint) = (format!("in-{}", self.name), format!("hint-{}", self.name));
        html! {
            div.field {
                label for=(id) { (self.label) }
                input id=(id) name=(self.name) value=(self.value) autocomplete="off"
                    inputmode=[self.is_number.then_some("decimal")] aria-describedby=(hint);
                p.hint id=(hint) { (self.hint) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let fields = Fields::of(
            b"a=1%2C200&b=&c=x&d=inf&e=+5+&f=1%2C5&g=12+345.5&h=1%2C2000&i=1.5%2C0&j=1%2C234%2C5&k=-1%2C000&l=1,234+567",
        );
        assert_eq!(fields.number("a").unwrap(), Some(1200.0));
        assert_eq!(fields.number("g").unwrap(), Some(12_345.5));
        assert_eq!(fields.number("k").unwrap(), Some(-1000.0));
        assert_eq!(fields.number("b").unwrap(), None);
        assert_eq!(fields.number("e").unwrap(), Some(5.0));
        for wrong in ["c", "d", "f", "h", "i", "j", "l"] {
            assert_eq!(fields.number(wrong).unwrap_err().field, wrong);
        }
    }
}
