//! Finds the assets that a page names in its HTML and its `Link` fields. Pure.
//!
//! A browser's preload scanner does likewise; styles, scripts and media queries are not evaluated. Only assets of the
//! page's own origin count, since no others may be pushed.

use html5gum::{DefaultEmitter, HtmlString, StartTag, Token, Tokenizer};
use url::Url;

use crate::link;

/// Returns the URLs on the page's own origin that its HTML names, in order, each once: those of `link` (stylesheet,
/// preload, modulepreload, icon), `script` and `img`. The first `base` element counts.
#[must_use]
pub(super) fn html_assets(html: &[u8], page: &Url) -> Vec<Url> {
    let mut emitter = DefaultEmitter::default();
    // Text inside `script`, `style` and `textarea` is not markup.
    emitter.naively_switch_states(true);

    let mut base: Option<Url> = None;
    let mut assets = Vec::new();
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        let Token::StartTag(tag) = token else {
            continue;
        };
        if tag.name == b"base" {
            if base.is_none() {
                base = attribute(&tag, b"href").and_then(|href| page.join(&href).ok());
            }
            continue;
        }
        if let Some(target) = asset_reference(&tag) {
            push_same_origin(&mut assets, base.as_ref().unwrap_or(page), &target, page);
        }
    }
    assets
}

/// Returns the URLs on the page's own origin that `Link` fields ask to preload, in order, each once.
pub(super) fn link_assets<'a>(fields: impl IntoIterator<Item = &'a [u8]>, page: &Url) -> Vec<Url> {
    let mut assets = Vec::new();
    for target in fields.into_iter().flat_map(preload_targets) {
        push_same_origin(&mut assets, page, &target, page);
    }
    assets
}

/// Returns the reference that an element makes a browser fetch.
fn asset_reference(tag: &StartTag<()>) -> Option<String> {
    match tag.name.as_slice() {
        b"script" | b"img" => attribute(tag, b"src"),
        b"link" => {
            let relations = attribute(tag, b"rel")?;
            relations
                .split_ascii_whitespace()
                .any(|relation| {
                    FETCHED_RELATIONS
                        .iter()
                        .any(|fetched| relation.eq_ignore_ascii_case(fetched))
                })
                .then(|| attribute(tag, b"href"))
                .flatten()
        }
        _ => None,
    }
}

/// Returns an attribute's value, unless the value is empty: an empty reference means the page itself.
fn attribute(tag: &StartTag<()>, name: &[u8]) -> Option<String> {
    let value = tag.attributes.get(&HtmlString::from(name.to_vec()))?;
    let value = String::from_utf8_lossy(&value.value).trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// Adds the URL of a reference, if the URL is on the page's own origin, is not the page's, and is new.
fn push_same_origin(assets: &mut Vec<Url>, base: &Url, target: &str, page: &Url) {
    let Ok(mut url) = base.join(target) else {
        return;
    };
    url.set_fragment(None);
    if url.origin() == page.origin() && url != *page && !assets.contains(&url) {
        assets.push(url);
    }
}

/// Returns the targets that one `Link` field asks to preload, malformed links aside.
fn preload_targets(field: &[u8]) -> impl Iterator<Item = String> {
    link::parse(field)
        .flatten()
        .filter(|link| link.has_relation("preload"))
        .map(|link| String::from_utf8_lossy(link.target).into_owned())
}

/// Relations of `link` elements that make a browser fetch.
const FETCHED_RELATIONS: [&str; 4] = ["stylesheet", "preload", "modulepreload", "icon"];

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Url {
        Url::parse("http://shop.example:8080/a/index.html").expect("a valid URL")
    }

    fn in_html(html: &str) -> Vec<String> {
        paths(html_assets(html.as_bytes(), &page()))
    }

    fn in_links(fields: &[&str]) -> Vec<String> {
        paths(link_assets(fields.iter().map(|field| field.as_bytes()), &page()))
    }

    fn paths(urls: Vec<Url>) -> Vec<String> {
        urls.iter().map(|url| url.path().to_owned()).collect()
    }

    #[test]
    fn links_scripts_and_images_are_found_in_order() {
        let html = "<link rel=stylesheet href=/s.css><LINK REL='Shortcut Icon' HREF=i.ico><link rel=modulepreload \
                    href=m.js><link rel=preload as=font href=/f.woff2><script src=app.js></script><img src=../l.png>";
        assert_eq!(
            in_html(html),
            ["/s.css", "/a/i.ico", "/a/m.js", "/f.woff2", "/a/app.js", "/l.png"]
        );
    }

    #[test]
    fn other_relations_and_elements_are_not_fetched() {
        assert!(
            in_html("<link rel=canonical href=/c><a href=/a>x</a><link href=/no-rel><img src=''><script>1</script>")
                .is_empty()
        );
    }

    #[test]
    fn markup_in_scripts_and_comments_is_text() {
        let html = "<script>document.write('<img src=/x.png>')</script><!-- <img src=/y.png> --><img src=/z.png>";
        assert_eq!(in_html(html), ["/z.png"]);
    }

    #[test]
    fn each_asset_counts_once_and_fragments_do_not_count() {
        assert_eq!(in_html("<img src=/i.svg#a><img src=/i.svg#b>"), ["/i.svg"]);
    }

    #[test]
    fn other_origins_and_the_page_itself_are_left_out() {
        let html = "<img src=//cdn.example/a.png><img src=http://shop.example/p.png><img src=data:,x>\
                    <img src=index.html><img src='http://shop.example:8080/b.png'>";
        assert_eq!(in_html(html), ["/b.png"]);
    }

    #[test]
    fn the_first_base_element_counts() {
        assert_eq!(
            in_html("<base href=/v1/><base href=/v2/><img src=x.png>"),
            ["/v1/x.png"]
        );
    }

    #[test]
    fn bytes_that_are_no_text_name_no_asset() {
        assert!(html_assets(b"<img \xff\xfe src=\"\x80", &page()).is_empty());
    }

    #[test]
    fn preloads_of_all_fields_are_found() {
        assert_eq!(
            in_links(&[
                "</a,b.css>; rel=preload; as=style, <c.js>;rel=\"next preload\"",
                "</d>; title=\"x, <y>; rel=preload\"; rel=next",
                "</e>; REL=Preload, <//cdn.example/x.css>; rel=preload",
                "broken, </f>; rel=preload",
            ]),
            ["/a,b.css", "/a/c.js", "/e", "/f"]
        );
    }
}
