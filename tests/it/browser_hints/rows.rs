//! The `Link` fields that frameworks send, and what each kind of client gets for them.

/// One application's field.
pub struct Row {
    pub application: &'static str,
    /// The field's lines.
    pub link: &'static [&'static str],
    /// The links of a browser's 103.
    pub hints: &'static [&'static str],
    /// Why a browser gets no hint of the rest, each reason once.
    pub skips: &'static [&'static str],
    /// What a client that takes pushes is pushed.
    pub pushes: &'static [&'static str],
    /// Elements of the page besides those that load what is hinted.
    pub head: &'static str,
    /// The targets that those load.
    pub others: &'static [&'static str],
}

/// A row whose assets are all hinted and pushed.
const PLAIN: Row = Row {
    application: "",
    link: &[],
    hints: &[],
    skips: &[],
    pushes: &[],
    head: "",
    others: &[],
};

/// A page whose `Link` names nothing that could be delivered, so that its HTML is read.
const FROM_HTML: Row = Row {
    hints: &["</html.css>; rel=preload; as=style"],
    skips: &["relation"],
    pushes: &["/html.css"],
    ..PLAIN
};

pub const ROWS: &[Row] = &[
    Row {
        application: "Symfony WebLink",
        link: &[r#"</build/main.css>; rel="preload"; as="style""#],
        hints: &["</build/main.css>; rel=preload; as=style"],
        pushes: &["/build/main.css"],
        ..PLAIN
    },
    Row {
        application: "Symfony AssetMapper",
        link: &[r#"</assets/styles/app-1a2b3c4.css>; rel="preload"; as="style""#],
        hints: &["</assets/styles/app-1a2b3c4.css>; rel=preload; as=style"],
        pushes: &["/assets/styles/app-1a2b3c4.css"],
        ..PLAIN
    },
    Row {
        application: "Symfony WebLink, nopush",
        link: &[r#"</build/app.js>; rel="preload"; as="script"; nopush; fetchpriority="high""#],
        hints: &["</build/app.js>; rel=preload; as=script; fetchpriority=high"],
        ..PLAIN
    },
    Row {
        application: "Symfony Mercure",
        link: &[r#"<https://shop.example/.well-known/mercure>; rel="mercure""#],
        ..FROM_HTML
    },
    Row {
        application: "Rails",
        link: &[
            "</assets/application-a1b2.css>; rel=preload; as=style; nopush,</assets/application-c3d4.js>; rel=preload; as=script; nopush",
        ],
        hints: &[
            "</assets/application-a1b2.css>; rel=preload; as=style",
            "</assets/application-c3d4.js>; rel=preload; as=script",
        ],
        ..PLAIN
    },
    Row {
        application: "Rails, integrity and crossorigin",
        link: &[
            "<https://cdn.shop.example/assets/application-c3d4.js>; rel=preload; as=script; crossorigin=anonymous; integrity=sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; nopush",
        ],
        hints: &[
            "<https://cdn.shop.example/assets/application-c3d4.js>; rel=preload; as=script; crossorigin; integrity=\"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"",
        ],
        ..PLAIN
    },
    Row {
        application: "Rails, a font",
        link: &["</assets/inter.woff2>; rel=preload; as=font; type=font/woff2; crossorigin=anonymous"],
        hints: &["</assets/inter.woff2>; rel=preload; as=font; crossorigin; type=\"font/woff2\""],
        pushes: &["/assets/inter.woff2"],
        ..PLAIN
    },
    Row {
        application: "Laravel with a nonce",
        link: &[
            r#"<https://shop.example/build/assets/app-C1KO.css>; rel="preload"; as="style"; nonce="dGVzdA", <https://shop.example/build/assets/app-W553.js>; rel="modulepreload"; as="script"; nonce="dGVzdA", <https://shop.example/build/assets/vendor-x.js>; rel="modulepreload"; as="script"; nonce="dGVzdA""#,
        ],
        hints: &[
            "<https://shop.example/build/assets/app-C1KO.css>; rel=preload; as=style",
            "<https://shop.example/build/assets/app-W553.js>; rel=modulepreload; as=script",
            "<https://shop.example/build/assets/vendor-x.js>; rel=modulepreload; as=script",
        ],
        pushes: &[
            "/build/assets/app-C1KO.css",
            "/build/assets/app-W553.js",
            "/build/assets/vendor-x.js",
        ],
        ..PLAIN
    },
    Row {
        application: "Laravel, assets on another host",
        link: &[
            r#"<https://cdn.example/build/assets/app.css>; rel="preload"; as="style", <https://cdn.example/build/assets/app.js>; rel="modulepreload"; as="script""#,
        ],
        hints: &[
            "<https://cdn.example/build/assets/app.css>; rel=preload; as=style",
            "<https://cdn.example/build/assets/app.js>; rel=modulepreload; as=script",
        ],
        ..PLAIN
    },
    Row {
        application: "Next.js",
        link: &[
            r#"</_next/static/media/4cf2300e9c8272f7-s.p.woff2>; rel=preload; as="font"; crossorigin=""; type="font/woff2", </_next/static/css/54ed8.css>; rel=preload; as="style""#,
        ],
        hints: &[
            "</_next/static/media/4cf2300e9c8272f7-s.p.woff2>; rel=preload; as=font; crossorigin; type=\"font/woff2\"",
            "</_next/static/css/54ed8.css>; rel=preload; as=style",
        ],
        pushes: &[
            "/_next/static/media/4cf2300e9c8272f7-s.p.woff2",
            "/_next/static/css/54ed8.css",
        ],
        ..PLAIN
    },
    Row {
        application: "Next.js, a responsive image",
        link: &[
            r#"</_next/image?url=%2Fhero.jpg&w=1200&q=75>; rel=preload; as="image"; imagesrcset="/_next/image?url=%2Fhero.jpg&w=640&q=75 640w, /_next/image?url=%2Fhero.jpg&w=1200&q=75 1200w"; imagesizes="100vw"; fetchpriority="high""#,
        ],
        skips: &["imagesrcset"],
        pushes: &["/_next/image?url=%2Fhero.jpg&w=1200&q=75"],
        head: "<img src='/_next/image?url=%2Fhero.jpg&amp;w=1200&amp;q=75' sizes=100vw fetchpriority=high \
               srcset='/_next/image?url=%2Fhero.jpg&amp;w=640&amp;q=75 640w, /_next/image?url=%2Fhero.jpg&amp;w=1200&amp;q=75 1200w'>",
        others: &[
            "/_next/image?url=%2Fhero.jpg&w=1200&q=75",
            "/_next/image?url=%2Fhero.jpg&w=640&q=75",
        ],
        ..PLAIN
    },
    Row {
        application: "Nuxt",
        link: &[
            r#"</_nuxt/entry.41705590.js>; rel="modulepreload"; as="script"; crossorigin, </_nuxt/entry.css>; rel="preload"; as="style"; crossorigin, </_nuxt/error-404.js>; rel="prefetch"; as="script"; crossorigin"#,
        ],
        hints: &[
            "</_nuxt/entry.41705590.js>; rel=modulepreload; as=script; crossorigin",
            "</_nuxt/entry.css>; rel=preload; as=style; crossorigin",
        ],
        skips: &["relation"],
        pushes: &["/_nuxt/entry.41705590.js", "/_nuxt/entry.css"],
        others: &["/_nuxt/error-404.js"],
        ..PLAIN
    },
    Row {
        application: "SvelteKit, a page one level deep",
        link: &[
            r#"<../_app/immutable/assets/0.ff6c1858.css>; rel="preload"; as="style"; nopush, <../_app/immutable/entry/start.0dc7e3e4.js>; rel="modulepreload"; nopush, <../_app/immutable/assets/inter.woff2>; rel="preload"; as="font"; type="font/woff2"; crossorigin; nopush"#,
        ],
        hints: &[
            "<../_app/immutable/assets/0.ff6c1858.css>; rel=preload; as=style",
            "<../_app/immutable/entry/start.0dc7e3e4.js>; rel=modulepreload",
            "<../_app/immutable/assets/inter.woff2>; rel=preload; as=font; crossorigin; type=\"font/woff2\"",
        ],
        ..PLAIN
    },
    Row {
        application: "React Router",
        link: &["</build/root-ABC.css>;rel=preload;as=style,</build/entry.client.js>;rel=modulepreload"],
        hints: &[
            "</build/root-ABC.css>; rel=preload; as=style",
            "</build/entry.client.js>; rel=modulepreload",
        ],
        pushes: &["/build/root-ABC.css", "/build/entry.client.js"],
        ..PLAIN
    },
    Row {
        application: "Django",
        link: &["</static/css/app.abc.css>; as=style; crossorigin=anonymous; integrity=sha256-x; rel=preload; nopush"],
        hints: &["</static/css/app.abc.css>; rel=preload; as=style; crossorigin; integrity=sha256-x"],
        ..PLAIN
    },
    Row {
        application: "WordPress",
        link: &[
            r#"<https://shop.example/wp-json/>; rel="https://api.w.org/""#,
            r#"<https://shop.example/?p=1>; rel=shortlink"#,
        ],
        ..FROM_HTML
    },
    Row {
        application: "WordPress, Image Prioritizer",
        link: &[
            r#"<https://shop.example/wp-content/uploads/hero-1024x683.jpg>; rel="preload"; as="image"; imagesrcset="https://shop.example/wp-content/uploads/hero-1024x683.jpg 1024w, https://shop.example/wp-content/uploads/hero-300x200.jpg 300w"; imagesizes="(max-width: 1024px) 100vw, 1024px"; fetchpriority="high"; media="screen and (782px < width)""#,
        ],
        skips: &["media"],
        pushes: &["/wp-content/uploads/hero-1024x683.jpg"],
        head: "<img src='/wp-content/uploads/hero-1024x683.jpg' sizes='(max-width: 1024px) 100vw, 1024px' fetchpriority=high \
               srcset='/wp-content/uploads/hero-1024x683.jpg 1024w, /wp-content/uploads/hero-300x200.jpg 300w'>",
        others: &[
            "/wp-content/uploads/hero-1024x683.jpg",
            "/wp-content/uploads/hero-300x200.jpg",
        ],
        ..PLAIN
    },
    Row {
        application: "Drupal",
        link: &[r#"<https://shop.example/node/1>; rel="canonical", <https://shop.example/node/1>; rel="shortlink""#],
        ..FROM_HTML
    },
    Row {
        application: "Drupal, http2_server_push",
        link: &["</core/themes/olivero/css/base.css?v=1>; rel=preload; as=style"],
        hints: &["</core/themes/olivero/css/base.css?v=1>; rel=preload; as=style"],
        pushes: &["/core/themes/olivero/css/base.css?v=1"],
        ..PLAIN
    },
    Row {
        application: "Shopify",
        link: &[
            r#"<https://cdn.shopify.com>; rel="preconnect", <https://cdn.shopify.com>; rel="preconnect"; crossorigin, <//shop.example/cdn/shop/t/1/assets/base.css?v=1>; as="style"; rel="preload""#,
        ],
        hints: &[
            "<https://cdn.shopify.com>; rel=preconnect",
            "<https://cdn.shopify.com>; rel=preconnect; crossorigin",
            "<//shop.example/cdn/shop/t/1/assets/base.css?v=1>; rel=preload; as=style",
        ],
        pushes: &["/cdn/shop/t/1/assets/base.css?v=1"],
        ..PLAIN
    },
    Row {
        application: "Phoenix",
        link: &["</assets/app-9f3.css>; rel=preload; as=style"],
        hints: &["</assets/app-9f3.css>; rel=preload; as=style"],
        pushes: &["/assets/app-9f3.css"],
        ..PLAIN
    },
    Row {
        application: "ASP.NET Core",
        link: &[
            r#"</_framework/blazor.webassembly.js>; rel="preload"; as="script"; fetchpriority="high"; crossorigin="anonymous"; integrity="sha256-x""#,
        ],
        hints: &[
            "</_framework/blazor.webassembly.js>; rel=preload; as=script; crossorigin; integrity=sha256-x; fetchpriority=high",
        ],
        pushes: &["/_framework/blazor.webassembly.js"],
        ..PLAIN
    },
    Row {
        application: "a compression dictionary",
        link: &[r#"</dict.dat>; rel="compression-dictionary""#],
        others: &["/dict.dat"],
        ..FROM_HTML
    },
    Row {
        application: "speculative prefetch",
        link: &["</next>; rel=prefetch; as=document"],
        others: &["/next"],
        ..FROM_HTML
    },
];
