//! No files import each other in a circle, and no folders that lie side by side.

use super::{files, paths::Crate, relative};

#[test]
fn nothing_is_imported_in_a_circle() {
    let files = files();
    let texts: Vec<_> = files
        .iter()
        .map(|(path, _, text)| (relative(path), text.as_str()))
        .collect();
    let circles = Crate::read(texts.iter().map(|(path, text)| (path.as_str(), *text))).circles();
    let wrong: Vec<_> = circles.iter().map(|circle| circle.join(" -> ")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn circles_are_found_by_what_defines_a_name() {
    type Sources = &'static [(&'static str, &'static str)];
    let table: &[(&str, Sources, &[&[&str]])] = &[
        (
            "one way",
            &[
                ("lib.rs", "mod a;\nmod b;\n"),
                ("a.rs", "use crate::b::B;\npub struct A(B);\n"),
                ("b.rs", "pub struct B;\n"),
            ],
            &[],
        ),
        (
            "three in a circle, by a line of several names, by an inner path and by an alias",
            &[
                ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
                (
                    "a.rs",
                    "use crate::{\n    b::{self, B},\n    d::D as E,\n};\nfn a(_: B) {}\n",
                ),
                ("b.rs", "pub struct B;\nfn b() { super::c::c() }\n"),
                ("c.rs", "use crate::a as other;\npub fn c() { other::a() }\n"),
                ("d.rs", "pub struct D;\n"),
            ],
            &[&["a.rs", "b.rs", "c.rs"]],
        ),
        (
            "a folder's face hands names on",
            &[
                ("lib.rs", "pub mod a;\n"),
                (
                    "a/mod.rs",
                    "mod one;\nmod two;\npub use one::One;\npub(crate) use two::{Two, three};\n",
                ),
                ("a/one.rs", "pub struct One;\n"),
                ("a/two.rs", "use super::One;\npub struct Two(One);\npub fn three() {}\n"),
            ],
            &[],
        ),
        (
            "a circle through a folder's face",
            &[
                ("lib.rs", "pub mod a;\n"),
                (
                    "a/mod.rs",
                    "mod one;\nmod two;\npub use one::One;\npub(crate) use two::Two;\n",
                ),
                ("a/one.rs", "use super::Two;\npub struct One(Two);\n"),
                ("a/two.rs", "use crate::a::One;\npub struct Two(Box<One>);\n"),
            ],
            &[&["a/one.rs", "a/two.rs"]],
        ),
        (
            "a parent with code of its own, and its child",
            &[
                ("lib.rs", "pub mod a;\n"),
                ("a/mod.rs", "mod one;\npub struct A;\npub fn a() { one::one() }\n"),
                ("a/one.rs", "use super::A;\npub fn one() -> Option<A> { None }\n"),
            ],
            &[&["a/mod.rs", "a/one.rs"]],
        ),
        (
            "two folders, though no two files",
            &[
                ("lib.rs", "mod a;\nmod b;\n"),
                ("x/a/one.rs", "pub struct One;\n"),
                ("x/a/two.rs", "use crate::x::b::three::Three;\npub struct Two(Three);\n"),
                ("x/b/three.rs", "use crate::x::a::one::One;\npub struct Three(One);\n"),
            ],
            &[&["x/a", "x/b"]],
        ),
        (
            "tests and comments import what they like",
            &[
                ("lib.rs", "mod a;\nmod b;\n"),
                ("a.rs", "use crate::b::B;\npub struct A(B);\n"),
                (
                    "b.rs",
                    "//! See crate::a::A.\npub struct B;\n\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n",
                ),
                ("b/tests.rs", "use crate::a::A;\n"),
            ],
            &[],
        ),
    ];
    for (what, sources, expected) in table {
        assert_eq!(Crate::read(sources.iter().copied()).circles(), *expected, "{what}");
    }
}
