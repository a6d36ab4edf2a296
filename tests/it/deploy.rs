//! What `docs/deploy/README.md` and `deploy/` offer to copy, given to the programs that it is for.
//!
//! A program that is not installed fails its tests: `tests/support/install.sh test` installs them.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use crate::support::{
    edge::BINARY,
    program::{Limited, Program, free_address},
    within,
};

const INSTALLED: &str = "/usr/local/bin/linkpush";
const CONFIGURATION: &str = "/etc/linkpush/edge.yaml";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Blocks between fences, by the language that they are said to be in.
fn snippets() -> BTreeMap<String, Vec<String>> {
    let text = read("docs/deploy/README.md");
    let mut snippets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            snippets
                .entry(language.to_owned())
                .or_default()
                .push(block.join("\n") + "\n");
        }
    }
    snippets
}

/// Runs a program of Debian's, also one that not every user has in PATH.
fn run(program: &str, args: &[&str], folder: &Path) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new(program)
        .args(args)
        .current_dir(folder)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}; tests/support/install.sh test installs it"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Writes the snippets of a language into files, with certificates where they look for them, and has each checked.
fn check(language: &str, check: impl Fn(&Path, &Path) -> Output) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let snippets = snippets().remove(language).unwrap_or_default();
    assert!(!snippets.is_empty(), "docs/deploy/README.md has no {language}");
    let certificate = folder.path().join("shop.pem");
    make_certificate(folder.path(), &certificate);
    for (n, snippet) in snippets.iter().enumerate() {
        let here = certificate.to_str().expect("UTF-8");
        let text = snippet
            .replace("/etc/hitch/shop.pem", here)
            .replace("/etc/haproxy/shop.pem", here);
        let file = folder.path().join(format!("{n}.conf"));
        fs::write(&file, &text).expect("a file");
        let output = check(&file, folder.path());
        assert!(
            output.status.success(),
            "{language} snippet {n}:\n{text}\n{}",
            said(&output)
        );
        // The program can tell: one word more at the end is too much for each of them.
        fs::write(&file, text + "\nnonsense { nonsense\n").expect("a file");
        assert!(
            !check(&file, folder.path()).status.success(),
            "{language}: nonsense is taken"
        );
    }
}

fn make_certificate(folder: &Path, file: &Path) {
    let args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=shop.example \
                -keyout key.pem -out cert.pem";
    let output = run("openssl", &args.split_whitespace().collect::<Vec<_>>(), folder);
    assert!(output.status.success(), "{}", said(&output));
    let pem = ["key.pem", "cert.pem"].map(|name| fs::read_to_string(folder.join(name)).expect("made"));
    fs::write(file, pem.concat()).expect("a file");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn every_snippet_is_in_a_language_that_is_known() {
    let languages: Vec<_> = snippets().into_keys().collect();
    assert_eq!(
        languages,
        ["haproxy", "hitch", "nginx", "sh", "symfony", "vcl", "yaml"],
        "add a check for a new one"
    );
}

#[test]
fn hitch_takes_its_configuration() {
    check("hitch", |file, folder| {
        run("hitch", &["--test", "--config", text(file)], folder)
    });
}

#[test]
fn haproxy_takes_its_configurations() {
    check("haproxy", |file, folder| {
        run("haproxy", &["-c", "-f", text(file)], folder)
    });
}

#[test]
fn varnish_compiles_its_rules() {
    check("vcl", |file, folder| {
        let state = folder.join("varnish");
        run(
            "varnishd",
            &["-C", "-j", "none", "-n", text(&state), "-f", text(file)],
            folder,
        )
    });
}

#[test]
fn nginx_takes_its_server() {
    check("nginx", |file, folder| {
        let state = text(folder);
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {state}/{name};"))
            .collect();
        // Debian's nginx.conf in short, which includes conf.d.
        let whole = format!(
            "pid {state}/pid;\nerror_log {state}/error;\nevents {{}}\nhttp {{ {paths}\naccess_log off;\ninclude {};\n}}\n",
            text(file)
        );
        let main = folder.join("nginx.main");
        fs::write(&main, whole).expect("a file");
        fs::copy("/etc/nginx/fastcgi_params", folder.join("fastcgi_params")).expect("nginx is installed");
        let log = format!("{state}/error");
        run("nginx", &["-t", "-q", "-e", &log, "-c", text(&main)], folder)
    });
}

#[test]
fn linkpush_takes_its_configurations() {
    check("yaml", |file, folder| {
        run(BINARY, &["check", "--skip-paths", text(file)], folder)
    });
}

/// The lines of shell below a heading.
fn commands_below(heading: &str) -> Vec<String> {
    let text = read("docs/deploy/README.md");
    let (_, section) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|rest| Some(rest.split_once("```")?.0));
    blocks.flat_map(str::lines).map(str::to_owned).collect()
}

/// A machine of one folder, in which the commands of the document are carried out: each absolute path is below it.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    /// A text whose absolute paths are those of this machine.
    fn placed(&self, text: &str) -> String {
        let root = self.folder.path().display().to_string();
        let mut placed = text.to_owned();
        for folder in ["/etc/", "/usr/local/", "/run/", "/var/lib/"] {
            placed = placed.replace(&format!(" {folder}"), &format!(" {root}{folder}"));
        }
        placed
    }

    /// Runs a command of the document; the binary is the one under test, and there is no systemd to tell.
    fn carry_out(&self, command: &str) {
        let root = self.folder.path().display();
        let unit = |name: &str| format!("systemctl --quiet --root={root} enable {name}");
        let placed = match command.split_whitespace().collect::<Vec<_>>()[..] {
            ["useradd", .., name] => format!("grep -q User={name} deploy/linkpush.service"),
            ["systemctl", "daemon-reload"] => return,
            ["systemctl", "enable", "--now", name] => unit(name),
            _ => self.placed(command).replace("target/release/linkpush", BINARY),
        };
        let output = self.shell(&placed);
        assert!(output.status.success(), "{command}: {placed}: {}", said(&output));
    }

    /// Runs a command in which `linkpush` is the installed one.
    fn shell(&self, command: &str) -> Output {
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new("sh")
            .args(["-ec", command])
            .current_dir(repository())
            .env(
                "PATH",
                format!("{}:{path}:/usr/sbin:/sbin", self.at("/usr/local/bin").display()),
            )
            .output()
            .expect("a shell")
    }
}

#[tokio::test]
async fn the_installation_of_the_document_starts_reloads_upgrades_and_purges() {
    let machine = Machine {
        folder: tempfile::tempdir().expect("a temporary folder"),
    };
    for folder in ["/usr/local/bin", "/etc/systemd/system", "/etc/logrotate.d"] {
        fs::create_dir_all(machine.at(folder)).expect("a folder");
    }
    let install = commands_below("\n## Under systemd\n");
    let (install, by_hand): (Vec<_>, Vec<_>) = install.iter().partition(|line| !line.starts_with("linkpush "));
    assert!(install.len() >= 7 && by_hand.len() == 2, "{install:?} {by_hand:?}");
    for command in install {
        machine.carry_out(command);
    }
    let unit = fs::read_to_string(machine.at("/etc/systemd/system/linkpush.service")).expect("it is installed");
    let wanted = machine.at("/etc/systemd/system/multi-user.target.wants/linkpush.service");
    assert!(wanted.is_symlink(), "it starts at boot");
    // As systemd does before it starts the unit.
    for (key, parent) in [("RuntimeDirectory", "/run"), ("StateDirectory", "/var/lib")] {
        let [name] = values(&unit, key)[..] else {
            panic!("one {key}")
        };
        fs::create_dir_all(machine.at(parent).join(name)).expect("a folder");
    }
    let file = machine.at(CONFIGURATION);
    let address = free_address();
    let text = fs::read_to_string(&file).expect("it is installed");
    let text = machine.placed(&text).replace("127.0.0.1:8080", &address.to_string());
    fs::write(&file, text).expect("a file");
    let line = |key: &str| {
        let [command] = values(&unit, key)[..] else {
            panic!("one {key}")
        };
        machine.placed(&format!(" {command}")).trim().to_owned()
    };
    let check = machine.shell(&line("ExecStartPre"));
    assert!(check.status.success(), "{}", said(&check));
    let start = line("ExecStart");
    let words: Vec<&str> = start.split_whitespace().collect();
    let server = Program::start(words[0], &words[1..], address).await;
    let pid_file = machine.at("/run/linkpush/linkpush.pid");
    within("the pid file", async {
        while fs::read_to_string(&pid_file).is_ok_and(|id| id.is_empty()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let reload = machine.shell(&line("ExecReload"));
    assert!(reload.status.success(), "{}", said(&reload));
    for command in by_hand {
        let output = machine.shell(&machine.placed(command));
        assert!(output.status.success(), "{command}: {}", said(&output));
    }
    let upgrade = commands_below("\n## Replacing the binary\n");
    let [upgrade] = &upgrade[..] else {
        panic!("one command: {upgrade:?}")
    };
    let output = machine.shell(&machine.placed(upgrade));
    assert!(output.status.success(), "{upgrade}: {}", said(&output));
    let new = fs::read_to_string(&pid_file).expect("a pid file");
    let stop = machine.shell(&format!("kill -TERM {new}"));
    assert!(stop.status.success(), "{}", said(&stop));
    within("the end of the new process", async {
        while pid_file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let manifests = machine.at("/var/lib/linkpush/manifests.json");
    assert!(
        manifests.exists(),
        "what was learned is written at the end: {}",
        server.printed()
    );
}

/// The whole chain of the document, as it stands there but for the ports, which are free ones, and places of files.
#[tokio::test]
async fn the_hops_of_the_document_fit_together() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path();
    // Varnish and nginx read as other users than the one who starts them.
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("a folder");
    make_certificate(at, &at.join("shop.pem"));
    let [linkpush, varnish, balancer, nginx] = [(); 4].map(|()| free_address());
    // hitch ends a little later than it is told to: HAProxy takes another port in its place.
    let [hitch_public, haproxy_public] = [(); 2].map(|()| free_address());
    let state = text(at);
    let placed = |text: &str| {
        let mut text = text.to_owned();
        for (port, address) in [
            ("8080", linkpush),
            ("6081", varnish),
            ("8081", balancer),
            ("8082", nginx),
        ] {
            text = text.replace(port, &address.port().to_string());
        }
        for (there, here) in [
            ("[*]:443", format!("[127.0.0.1]:{}", hitch_public.port())),
            ("bind :443", format!("bind {haproxy_public}")),
            ("/etc/hitch/", format!("{state}/")),
            ("/etc/haproxy/", format!("{state}/")),
            ("/srv/shop/public", format!("{state}/public")),
            ("include fastcgi_params", "include /etc/nginx/fastcgi_params".to_owned()),
        ] {
            text = text.replace(there, &here);
        }
        text
    };
    let write = |name: &str, content: &str| {
        let file = at.join(name);
        fs::write(&file, placed(content)).expect("a file");
        file
    };
    let snippets = snippets();
    let one = |language: &str, part: &str| {
        let found = snippets
            .get(language)
            .and_then(|all| all.iter().find(|text| text.contains(part)));
        found.unwrap_or_else(|| panic!("no {language} with {part}")).clone()
    };
    fs::create_dir(at.join("public")).expect("a folder");
    fs::write(at.join("public/page.html"), "the page").expect("a file");
    let conf = format!(
        "daemon off;\npid {state}/nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\ninclude {state}/shop.conf;\n}}\n"
    );
    write("shop.conf", &one("nginx", "listen"));
    let main = write("nginx.conf", &conf);
    let log = format!("{state}/nginx.log");
    let _nginx = Program::start("nginx", &["-e", &log, "-c", text(&main)], nginx).await;
    let file = write("balancer.cfg", &one("haproxy", "frontend internal"));
    let _balancer = Program::start("haproxy", &["-db", "-f", text(&file)], balancer).await;
    let file = write("default.vcl", &one("vcl", "backend"));
    let (address, name) = (varnish.to_string(), format!("{state}/varnish"));
    let arguments = ["-F", "-j", "none", "-n", &name, "-a", &address, "-f", text(&file)];
    let _varnish = Program::start("varnishd", &arguments, varnish).await;
    let file = write(
        "edge.yaml",
        &one("yaml", "proxy_protocol: required\n    trusted: [127.0.0.1]"),
    );
    let _linkpush = Program::start(BINARY, &["run", "--config", text(&file)], linkpush).await;
    let hitch = one("hitch", "frontend");
    // Only root becomes somebody else.
    let hitch = if rustix::process::getuid().is_root() {
        hitch
    } else {
        hitch.replace("user = \"_hitch\"\ngroup = \"_hitch\"\n", "")
    };
    for (name, program, public, content, arguments) in [
        ("hitch.conf", "hitch", hitch_public, hitch, &["--config"][..]),
        (
            "front.cfg",
            "haproxy",
            haproxy_public,
            one("haproxy", "frontend tls"),
            &["-db", "-f"],
        ),
    ] {
        let file = write(name, &content);
        let arguments = [arguments, &[text(&file)]].concat();
        let front = Program::start(program, &arguments, public).await;
        let output = page_over_tls(public).await;
        assert_eq!(
            output.stdout,
            "the page|2|200",
            "{program}: {output:?}: {}",
            front.printed()
        );
    }
}

/// Requests the page of the chain over TLS, and prints the page, the version of HTTP, and the status.
async fn page_over_tls(public: SocketAddr) -> Limited {
    let url = format!("https://shop.example:{}/page.html", public.port());
    let resolve = format!("shop.example:{}:127.0.0.1", public.port());
    let write_out = "|%{http_version}|%{http_code}";
    let limits = ["-sSk", "--http2", "--max-time", "20"];
    let arguments = [&limits[..], &["--resolve", &resolve, "-w", write_out, &url]].concat();
    Limited::run("curl", &arguments, Duration::from_secs(30)).await
}

/// The values of a key in a systemd unit.
fn values<'u>(unit: &'u str, key: &str) -> Vec<&'u str> {
    unit.lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .collect()
}

#[test]
fn systemd_takes_the_unit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("linkpush.service");
    let unit = read("deploy/linkpush.service").replace(INSTALLED, BINARY);
    fs::write(&file, &unit).expect("a file");
    let verify = || run("systemd-analyze", &["verify", "--man=no", text(&file)], folder.path());
    let output = verify();
    // An unknown key is only a warning.
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
    fs::write(&file, unit.replace("ProtectHome=", "ProtectHouse=")).expect("a file");
    assert!(said(&verify()).contains("ProtectHouse"), "a slip is told");
    fs::write(&file, &unit).expect("a file");
    // Exposure in tenths: most services of a distribution have 9 and more of 10.
    let args = ["security", "--offline=yes", "--threshold=20", text(&file)];
    let output = run("systemd-analyze", &args, folder.path());
    assert!(output.status.success(), "less hardened: {}", said(&output));
}

#[test]
fn the_commands_of_the_unit_are_those_of_the_binary() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("edge.yaml");
    fs::copy(repository().join("deploy/edge.yaml"), &file).expect("a file");
    let unit = read("deploy/linkpush.service");
    let commands = ["ExecStartPre", "ExecStart", "ExecReload"].map(|key| values(&unit, key));
    assert_eq!(
        commands.concat(),
        [
            format!("{INSTALLED} check {CONFIGURATION}"),
            format!("{INSTALLED} run --config {CONFIGURATION}"),
            format!("{INSTALLED} reload --config {CONFIGURATION}"),
        ]
    );
    let output = run(BINARY, &["check", "--skip-paths", text(&file)], folder.path());
    assert!(output.status.success(), "{}", said(&output));
    for command in ["run", "reload"] {
        let output = run(BINARY, &[command, "--help"], folder.path());
        assert!(said(&output).contains("--config <FILE>"), "{}", said(&output));
    }
}

/// `30s` as seconds.
fn seconds(text: &str) -> u64 {
    text.trim()
        .trim_end_matches('s')
        .parse()
        .unwrap_or_else(|_| panic!("{text}: not in seconds"))
}

/// The first value of a key in YAML, however deep.
fn value_of<'y>(yaml: &'y str, key: &str) -> &'y str {
    yaml.split_once(&format!("{key}: "))
        .and_then(|(_, rest)| rest.split(['\n', ' ', '}', '#']).next())
        .unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn systemd_waits_longer_than_requests_may_take() {
    let unit = read("deploy/linkpush.service");
    let [stop] = values(&unit, "TimeoutStopSec")[..] else {
        panic!("one TimeoutStopSec");
    };
    let graceful = seconds(value_of(&read("conf/edge.yaml"), "graceful_timeout"));
    assert!(seconds(stop) > graceful, "{stop} is not more than {graceful}s");
}

/// The `edge.yaml` of the ConfigMap.
fn config_map(kubernetes: &str) -> String {
    kubernetes
        .split_once("  edge.yaml: |\n")
        .expect("a ConfigMap")
        .1
        .lines()
        .map_while(|line| line.strip_prefix("    "))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_kubernetes_manifest_fits_together() {
    let manifest = read("deploy/kubernetes.yaml");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("edge.yaml");
    let edge = config_map(&manifest);
    fs::write(&file, &edge).expect("a file");
    let output = run(BINARY, &["check", "--skip-paths", text(&file)], folder.path());
    assert!(output.status.success(), "{}", said(&output));
    let end = seconds(value_of(&manifest, "terminationGracePeriodSeconds"));
    let sleep = seconds(value_of(&manifest, "seconds"));
    let graceful = seconds(value_of(&edge, "graceful_timeout"));
    assert!(
        end > sleep + graceful,
        "{end}s are not more than {sleep}s and {graceful}s"
    );
    let port = value_of(&manifest, "containerPort");
    assert!(value_of(&edge, "- address").ends_with(&format!(":{port}")), "{port}");
    let pid_file = Path::new(value_of(&edge, "pid_file"));
    let run = pid_file.parent().expect("a folder").display().to_string();
    assert!(manifest.contains(&format!("mountPath: {run} }}")), "{run} is writable");
}

/// Sources of `COPY` in the stage that builds.
fn copied(dockerfile: &str) -> Vec<PathBuf> {
    let copies = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"));
    copies
        .flat_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words[..words.len() - 1].iter().map(PathBuf::from).collect::<Vec<_>>()
        })
        .collect()
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
    }
}

/// Files that a source file takes in by `include_str!` or `include_bytes!`.
fn included(source: &Path, found: &mut Vec<PathBuf>) {
    if source.is_dir() {
        for entry in fs::read_dir(source).expect("a folder") {
            included(&entry.expect("an entry").path(), found);
        }
    } else if source.extension().is_some_and(|extension| extension == "rs") {
        let text = fs::read_to_string(source).expect("a source file");
        for (at, _) in text.match_indices("include_") {
            let call = text[at..].split_once("!(\"").filter(|(name, _)| name.len() < 16);
            if let Some((path, _)) = call.and_then(|(_, rest)| rest.split_once('"')) {
                found.push(source.parent().expect("a folder").join(path));
            }
        }
    }
}

#[test]
fn the_dockerfile_copies_all_that_is_built_from() {
    let dockerfile = read("deploy/Dockerfile");
    let ignored = read("deploy/Dockerfile.dockerignore");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sources = copied(&dockerfile);
    assert!(sources.len() >= 4, "{sources:?}");
    for source in &sources {
        assert!(
            ignored.lines().any(|line| line == format!("!{}", source.display())),
            "{} is ignored",
            source.display()
        );
        copy(&repository().join(source), &folder.path().join(source));
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let args = ["metadata", "--no-deps", "--offline", "--locked", "--format-version=1"];
    let output = run(&cargo, &args, folder.path());
    assert!(output.status.success(), "{}", said(&output));
    let mut files = Vec::new();
    included(&folder.path().join("src"), &mut files);
    assert!(!files.is_empty(), "the demo includes files");
    for file in files {
        assert!(file.exists(), "{} is not copied", file.display());
    }
}

#[test]
fn the_dockerfile_builds_and_runs_as_the_readme_does() {
    let dockerfile = read("deploy/Dockerfile");
    let build = "cargo build --release --locked";
    assert!(
        read("Makefile").contains(build) && dockerfile.contains(build),
        "{build}"
    );
    assert!(dockerfile.contains(&format!("/src/target/release/linkpush {INSTALLED}\n")));
    assert!(dockerfile.contains(&format!("ENTRYPOINT [\"{INSTALLED}\"]")));
    assert!(dockerfile.contains(&format!("CMD [\"run\", \"--config\", \"{CONFIGURATION}\"]")));
    assert!(dockerfile.contains("\nSTOPSIGNAL SIGTERM\n") && dockerfile.contains(":nonroot\n"));
}
