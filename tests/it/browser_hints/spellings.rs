//! Links as they can be written: orders, capitals, quotes, blanks, several in one line or in several, unknown
//! parameters. The hints are the same for all.

use super::rows::Row;

const ROW: Row = Row {
    application: "",
    link: &[],
    hints: &[],
    skips: &[],
    pushes: &[],
    head: "",
    others: &[],
};

const STYLE: &str = "</a.css>; rel=preload; as=style";
const SCRIPT: &str = "</b.js>; rel=preload; as=script";
const MODULE: &str = "</c.mjs>; rel=modulepreload";

/// A style, a script and a module in one row of a spelling.
const fn three(link: &'static [&'static str]) -> Row {
    Row {
        application: "a spelling",
        link,
        hints: &[STYLE, SCRIPT, MODULE],
        pushes: &["/a.css", "/b.js", "/c.mjs"],
        ..ROW
    }
}

/// One link with its hint, which is pushed.
const fn one(link: &'static [&'static str], hints: &'static [&'static str], pushes: &'static [&'static str]) -> Row {
    Row {
        application: "a parameter",
        link,
        hints,
        pushes,
        ..ROW
    }
}

/// The name of rows with a link that is not hinted.
pub const SKIPPED: &str = "not for a 103";

/// A link that is not hinted, beside a style that is.
const fn skipped(
    link: &'static [&'static str],
    skips: &'static [&'static str],
    pushes: &'static [&'static str],
) -> Row {
    Row {
        application: SKIPPED,
        link,
        hints: &[STYLE],
        skips,
        pushes,
        others: &["/x"],
        ..ROW
    }
}

pub const SPELLINGS: &[Row] = &[
    three(&["</a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script, </c.mjs>; rel=modulepreload"]),
    three(&["</a.css>;rel=preload;as=style,</b.js>;rel=preload;as=script,</c.mjs>;rel=modulepreload"]),
    three(&[
        "</a.css>; as=style; rel=preload",
        "</b.js>; as=script; rel=preload",
        "</c.mjs>; rel=modulepreload",
    ]),
    three(&[
        r#"</a.css>; AS="STYLE"; REL="PRELOAD", </b.js>; Rel=Preload; As=Script"#,
        r#"</c.mjs> ; Rel = "ModulePreload" ;"#,
    ]),
    three(&[
        r#",, </a.css>; rel="preload stylesheet"; as=style; title="a, \"b\"; c", </b.js>; rel="next preload"; as="script""#,
        "</c.mjs>; rel=modulepreload; rel=prefetch; x-foo=1",
    ]),
    three(&[
        r#"</a.css>; rel=preload; as=style; nonce="a1"; referrerpolicy=no-referrer; type="text/css", </b.js>; nonce=b; rel=preload; type=text/javascript; as=script; crossorigin-x"#,
        r#"</c.mjs>; rel="modulepreload"; title*=UTF-8''x; hreflang=en; blocking=render"#,
    ])
    .typed(),
    three(&[
        "<../a.css>; rel=preload; as=style, <//shop.example/b.js>; rel=preload; as=script, <https://shop.example/c.mjs>; rel=modulepreload",
    ])
    .hinted(&[
        "<../a.css>; rel=preload; as=style",
        "<//shop.example/b.js>; rel=preload; as=script",
        "<https://shop.example/c.mjs>; rel=modulepreload",
    ]),
    // Two links for one asset.
    one(
        &[
            "</a.css>; rel=preload; as=style, <../a.css>; as=style; rel=\"preload\"; nopush",
            "<https://shop.example/a.css>; rel=preload; as=style",
        ],
        &[STYLE],
        &["/a.css"],
    ),
    one(
        &[r#"</f.woff>; rel="preload"; as="font"; type="font/woff"; crossorigin="anonymous""#],
        &["</f.woff>; rel=preload; as=font; crossorigin; type=\"font/woff\""],
        &["/f.woff"],
    ),
    one(
        &["</f.ttf>; crossorigin; as=font; rel=preload; nopush"],
        &["</f.ttf>; rel=preload; as=font; crossorigin"],
        &[],
    ),
    one(
        &["</i.svg>; rel=preload; as=image; type=image/svg+xml; fetchpriority=HIGH"],
        &["</i.svg>; rel=preload; as=image; type=\"image/svg+xml\"; fetchpriority=high"],
        &["/i.svg"],
    ),
    one(
        &["</d.json>; rel=preload; as=fetch; crossorigin; type=\"application/json\""],
        &["</d.json>; rel=preload; as=fetch; crossorigin; type=\"application/json\""],
        &["/d.json"],
    ),
    one(
        &["</b.js>; rel=preload; as=script; crossorigin=\"Use-Credentials\""],
        &["</b.js>; rel=preload; as=script; crossorigin=use-credentials"],
        &["/b.js"],
    ),
    one(
        &["</b.js>; rel=preload; as=script; fetchpriority=low; crossorigin=nonsense"],
        &["</b.js>; rel=preload; as=script; crossorigin; fetchpriority=low"],
        &["/b.js"],
    ),
    one(
        &["</c.mjs>; rel=modulepreload; as=script; crossorigin=\"\"; nopush; fetchpriority=auto"],
        &["</c.mjs>; rel=modulepreload; as=script; crossorigin"],
        &[],
    ),
    one(
        &[
            "</a.css>; rel=preload; as=style; integrity=\"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"; media=all",
        ],
        &[
            "</a.css>; rel=preload; as=style; integrity=\"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"",
        ],
        &["/a.css"],
    ),
    one(
        &["<https://cdn.example/a.css>; as=style; nonce=x; rel=preload, <https://cdn.example/f.woff2>; rel=preload; as=font; crossorigin"],
        &[
            "<https://cdn.example/a.css>; rel=preload; as=style",
            "<https://cdn.example/f.woff2>; rel=preload; as=font; crossorigin",
        ],
        &[],
    ),
    one(
        &["<//cdn.example/b.js>; as=script; crossorigin=use-credentials; rel=preload"],
        &["<//cdn.example/b.js>; rel=preload; as=script; crossorigin=use-credentials"],
        &[],
    ),
    one(
        &["<https://cdn.example/>; rel=\"dns-prefetch preconnect\"; crossorigin=\"\"", "</a,b;c.css?d=e&f>; rel=preload; as=style"],
        &[
            "<https://cdn.example/>; rel=preconnect; crossorigin",
            "</a,b;c.css?d=e&f>; rel=preload; as=style",
        ],
        &["/a,b;c.css?d=e&f"],
    ),
    skipped(
        &["</a.css>; rel=preload; as=style, </x>; rel=preload; as=style; media=\"print\""],
        &["media"],
        &["/a.css", "/x"],
    ),
    skipped(
        &["</a.css>; rel=preload; as=style", "</x>; rel=preload; as=image; imagesrcset=\"/x 1x\""],
        &["imagesrcset"],
        &["/a.css", "/x"],
    ),
    skipped(
        &["</x>; AS=Track; rel=preload, </a.css>; rel=preload; as=style"],
        &["hint_destination"],
        &["/x", "/a.css"],
    ),
    skipped(
        &["</a.css>; rel=preload; as=style, </x>; rel=modulepreload; as=json"],
        &["hint_destination"],
        &["/a.css", "/x"],
    ),
    skipped(
        &["</a.css>; rel=preload; as=style, </x>; rel=preload"],
        &["hint_without_as"],
        &["/a.css", "/x"],
    ),
    skipped(
        &["</x>; rel=preload; as=style; type=\"text/less\",</a.css>;as=\"style\";rel=preload"],
        &["type"],
        &["/x", "/a.css"],
    ),
    skipped(
        &["</a.css>; rel=preload; as=style, </x>; rel=preload; as=image; type=image/x-tga"],
        &["type"],
        &["/a.css", "/x"],
    ),
    skipped(
        &["</x>; rel=preload; as=style; anchor=\"/other\", </a.css>; rel=preload; as=style"],
        &["anchor"],
        &["/a.css"],
    ),
];

impl Row {
    const fn hinted(mut self, hints: &'static [&'static str]) -> Self {
        self.hints = hints;
        self
    }

    /// The hints keep `type`.
    const fn typed(self) -> Self {
        self.hinted(&[
            "</a.css>; rel=preload; as=style; type=\"text/css\"",
            "</b.js>; rel=preload; as=script; type=\"text/javascript\"",
            MODULE,
        ])
    }
}
