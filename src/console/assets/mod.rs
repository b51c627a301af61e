//! Styles, scripts and what is vendored: built into the program, so that a page loads nothing from elsewhere.

use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::page::trouble::Trouble;

/// What the name of a file changes with, so that browsers may keep it.
const KEPT: &str = "public, max-age=31536000, immutable";

/// A file that pages load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asset {
    /// Weir's style.
    Style,
    /// Weir's script.
    Script,
    /// Applies the theme that somebody chose.
    Theme,
    /// The icon of the browser's tab.
    Icon,
    /// htmx.
    Htmx,
    /// uPlot.
    Plot,
    /// uPlot's style.
    PlotStyle,
}

struct File {
    asset: Asset,
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    packed: Vec<u8>,
    url: String,
}

impl File {
    fn new(asset: Asset, name: &'static str, bytes: &'static [u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let first = digest.first_chunk().expect("a SHA-256 has 32 bytes");
        let digest = u32::from_be_bytes(*first);
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(bytes).expect("it is written into memory");
        let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        };
        Self {
            asset,
            name,
            kind,
            bytes,
            packed: packed.finish().expect("it is written into memory"),
            url: format!("/console/assets/{name}?v={digest:08x}"),
        }
    }
}

static FILES: LazyLock<[File; 7]> = LazyLock::new(|| {
    [
        File::new(Asset::Style, "console.css", include_bytes!("console.css")),
        File::new(Asset::Script, "console.js", include_bytes!("console.js")),
        File::new(Asset::Theme, "theme.js", include_bytes!("theme.js")),
        File::new(Asset::Icon, "icon.svg", include_bytes!("icon.svg")),
        File::new(
            Asset::Htmx,
            "htmx.min.js",
            include_bytes!("vendor/htmx.min.js"),
        ),
        File::new(
            Asset::Plot,
            "uPlot.iife.min.js",
            include_bytes!("vendor/uPlot.iife.min.js"),
        ),
        File::new(
            Asset::PlotStyle,
            "uPlot.min.css",
            include_bytes!("vendor/uPlot.min.css"),
        ),
    ]
});

/// Where a file is, by its contents.
pub fn url(asset: Asset) -> &'static str {
    let file = FILES.iter().find(|file| file.asset == asset);
    file.map_or("", |file| &file.url)
}

/// Sends a file.
pub async fn file(request: HttpRequest) -> Result<HttpResponse, Trouble> {
    let name = request.match_info().get("file").unwrap_or_default();
    let file = FILES.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| Trouble::missing("there is no such file"))?;
    let accepted = request.headers().get_all(ACCEPT_ENCODING);
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    let packed = accepted.any(|value| {
        let mut all = value.split(',');
        all.any(|one| one.trim().eq_ignore_ascii_case("gzip"))
    });
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, file.kind))
        .insert_header((CACHE_CONTROL, KEPT))
        .insert_header((VARY, "accept-encoding"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"));
    Ok(match packed {
        true => response
            .insert_header((CONTENT_ENCODING, "gzip"))
            .body(&*file.packed),
        false => response.body(file.bytes),
    })
}
