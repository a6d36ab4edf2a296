//! Decides which links browsers use when they stand in a 103 (rules 15 and 18).
//!
//! Measured with Chromium and Firefox: Chromium ignores a link whose `as`, `media` or `imagesrcset` leaves the choice
//! to the page, Firefox fetches every variant; a `type` that no browser shows is fetched though the page would not
//! fetch it.

use super::{Destination, SkipReason};
use crate::link::{Relation, ResourceHint, is_fetched_as};

/// Checks whether a link is of use in a 103.
///
/// # Errors
///
/// The first reason why the link is of no use.
pub(super) fn check(link: &ResourceHint<'_>) -> Result<(), SkipReason> {
    if link.media.is_some() {
        return Err(SkipReason::Media);
    }
    if link.relation == Relation::Preconnect {
        return Ok(());
    }
    if link.image_srcset.is_some() {
        return Err(SkipReason::ImageSrcset);
    }
    let named = link.destination.as_deref().map(Destination::parse);
    match (link.relation, named) {
        (Relation::Preload, None | Some(None)) => return Err(SkipReason::HintWithoutAs),
        (Relation::Preload, Some(Some(destination))) if !HINTED.contains(&destination) => {
            return Err(SkipReason::HintDestination);
        }
        (Relation::ModulePreload, Some(destination)) if destination != Some(Destination::Script) => {
            return Err(SkipReason::HintDestination);
        }
        _ => {}
    }
    let destination = named.flatten().unwrap_or(Destination::Script);
    match &link.media_type {
        Some(media_type) if !is_shown(destination, media_type) => Err(SkipReason::MediaType),
        _ => Ok(()),
    }
}

/// The `as` values that browsers accept in a 103.
const HINTED: [Destination; 5] = [
    Destination::Style,
    Destination::Script,
    Destination::Font,
    Destination::Image,
    Destination::Fetch,
];

/// Returns whether at least one current browser uses this media type for this destination.
fn is_shown(destination: Destination, media_type: &[u8]) -> bool {
    let essence = media_type.split(|&byte| byte == b';').next().unwrap_or_default();
    is_fetched_as(destination.name(), essence.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::parse;

    #[test]
    fn each_link_that_is_of_no_use_in_a_103_has_its_reason() {
        for (field, expected) in [
            ("rel=preload; as=style", Ok(())),
            ("rel=preload; as=script; nopush; nonce=x", Ok(())),
            ("rel=preload; as=font; type=\"font/woff2\"; crossorigin", Ok(())),
            ("rel=preload; as=image; type=IMAGE/AVIF", Ok(())),
            ("rel=preload; as=fetch; type=application/json", Ok(())),
            ("rel=preload; as=style; media=all", Ok(())),
            ("rel=modulepreload", Ok(())),
            ("rel=modulepreload; as=script", Ok(())),
            ("rel=modulepreload; type=\"text/javascript;charset=utf-8\"", Ok(())),
            ("rel=preconnect", Ok(())),
            ("rel=preconnect; as=x; imagesrcset=\"/a 1x\"; media=\" all\"", Ok(())),
            ("rel=preconnect; media=print", Err(SkipReason::Media)),
            ("rel=preload; as=style; media=\" \"", Ok(())),
            ("rel=preload", Err(SkipReason::HintWithoutAs)),
            ("rel=preload; as=nonsense", Err(SkipReason::HintWithoutAs)),
            ("rel=preload; as=track", Err(SkipReason::HintDestination)),
            ("rel=preload; as=json", Err(SkipReason::HintDestination)),
            ("rel=preload; as=document", Err(SkipReason::HintDestination)),
            ("rel=modulepreload; as=worker", Err(SkipReason::HintDestination)),
            ("rel=modulepreload; as=x", Err(SkipReason::HintDestination)),
            ("rel=preload; as=style; media=print", Err(SkipReason::Media)),
            (
                "rel=preload; as=image; imagesrcset=\"/a 1x\"",
                Err(SkipReason::ImageSrcset),
            ),
            ("rel=preload; as=style; type=text/less", Err(SkipReason::MediaType)),
            ("rel=preload; as=script; type=module", Err(SkipReason::MediaType)),
            ("rel=preload; as=image; type=image/x-tga", Err(SkipReason::MediaType)),
            ("rel=preload; as=font; type=font/eot", Err(SkipReason::MediaType)),
        ] {
            let field = format!("</a>; {field}");
            let link = parse(field.as_bytes()).next().expect("a link").expect("a good one");
            let link = ResourceHint::of(&link).expect("a relation");
            assert_eq!(check(&link), expected, "{field}");
        }
    }
}
