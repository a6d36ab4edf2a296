//! Tells which media types browsers fetch for which destination of a preload.

/// Returns whether browsers fetch a preload of this media type, without parameters, for the destination that `as` names. For
/// destinations without a list every type is fetched.
#[must_use]
pub fn is_fetched_as(destination: &str, essence: &[u8]) -> bool {
    let is = |known: &[&str]| known.iter().any(|known| essence.eq_ignore_ascii_case(known.as_bytes()));
    match destination {
        "style" => is(&["text/css"]),
        "script" => is(SCRIPTS),
        "image" => is(IMAGES),
        "font" => is(FONTS),
        "track" => is(&["text/vtt"]),
        _ => true,
    }
}

/// The JavaScript MIME types (MIME Sniffing standard, section 4.6).
const SCRIPTS: &[&str] = &[
    "application/ecmascript",
    "application/javascript",
    "application/x-ecmascript",
    "application/x-javascript",
    "text/ecmascript",
    "text/javascript",
    "text/javascript1.0",
    "text/javascript1.1",
    "text/javascript1.2",
    "text/javascript1.3",
    "text/javascript1.4",
    "text/javascript1.5",
    "text/jscript",
    "text/livescript",
    "text/x-ecmascript",
    "text/x-javascript",
];

/// Image types that a browser shows which makes use of a 103: JPEG XL is Safari's alone.
const IMAGES: &[&str] = &[
    "image/apng",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/jpg",
    "image/pjpeg",
    "image/png",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
    "image/webp",
    "image/x-icon",
    "image/x-png",
];

/// Font types that at least one current browser loads (MIME Sniffing standard, section 6.2).
const FONTS: &[&str] = &[
    "font/collection",
    "font/otf",
    "font/sfnt",
    "font/ttf",
    "font/woff",
    "font/woff2",
    "application/font-otf",
    "application/font-sfnt",
    "application/font-ttf",
    "application/font-woff",
    "application/font-woff2",
    "application/vnd.ms-opentype",
    "application/x-font-otf",
    "application/x-font-ttf",
    "application/x-font-woff",
];
