//! Tells how soon a page needs the target of a link: decides which links count where there are too many of them.
//!
//! Applications list all modules of a page, often before its stylesheets (SvelteKit, Vite), and a 103 that is full by then
//! would lack what the browser waits for.

use super::{Link, Spelled};

/// How soon a page needs the target of a link, as far as the link itself tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// A stylesheet: the browser shows nothing before it is there.
    Rendering,
    /// Anything else: scripts, fonts, images, connections.
    Page,
    /// A module, which runs after the document is parsed.
    Modules,
}

impl Need {
    /// All needs, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Rendering, Self::Page, Self::Modules];

    /// Returns the need for the target of a link.
    #[must_use]
    pub fn of(link: &Link<'_>) -> Self {
        if link.has_relation("preload") {
            let is_style = link
                .destination()
                .is_some_and(|kind| kind.eq_ignore_ascii_case(b"style"));
            if is_style { Self::Rendering } else { Self::Page }
        } else if link.has_relation("modulepreload") {
            Self::Modules
        } else {
            Self::Page
        }
    }
}

impl Spelled {
    /// The need for the target.
    #[must_use]
    pub fn need(&self) -> Need {
        let behind = self.behind_target();
        if behind.starts_with(b"; rel=modulepreload") {
            return Need::Modules;
        }
        match behind.strip_prefix(b"; rel=preload; as=style") {
            Some([] | [b';', ..]) => Need::Rendering,
            _ => Need::Page,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{ResourceHint, parse};

    #[test]
    fn a_link_and_its_one_spelling_have_the_same_need() {
        for (link, need) in [
            ("</a>; rel=preload; as=style", Need::Rendering),
            (
                "</a>; as=\"STYLE\"; nopush; rel=\"preload stylesheet\"; x=1",
                Need::Rendering,
            ),
            ("</a>; rel=preload; as=style; crossorigin; media=print", Need::Rendering),
            ("</a>; rel=preload; as=stylex", Need::Page),
            ("</a>; rel=preload; as=script", Need::Page),
            ("</a>; rel=preload", Need::Page),
            ("</a>; rel=modulepreload", Need::Modules),
            ("</a>; rel=modulepreload; as=style", Need::Modules),
            ("<https://a.example>; rel=preconnect", Need::Page),
        ] {
            let parsed = parse(link.as_bytes()).next().expect("a link").expect("a good one");
            let spelled = ResourceHint::of(&parsed).expect("a relation").spelled();
            assert_eq!((Need::of(&parsed), spelled.need()), (need, need), "{link}");
        }
    }
}
