//! The HTML report: what is in it, that nothing in it can do harm, and how a real browser takes it.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::browser::Browser;
use common::studies::{make_all, saved};
use common::{Sandbox, skip};
use procbench::document::head::Head;
use procbench::document::{Document, Warning};
use procbench::plan::vary::Unit;
use procbench::report::html;
use procbench::report::numbers::seconds;
use procbench::report::subject::Subject;
use procbench::study::saved::Saved;

/// Markup of the sort that somebody might write into a spec.
const NASTY: &str = "<script>alert(1)</script>\"'><img src=http://example.org/x onerror=alert(1)>&amp;<!--";

fn page_of(runs: &[Document]) -> String {
    let subjects: Vec<Subject> = runs.iter().map(Subject::from).collect();
    String::from_utf8(html::export(&subjects).expect("a page")).expect("text")
}

fn recorded(name: &str) -> Document {
    let path = format!("{}/results/2026-11-29-linux-intel-xeon/{name}.json", env!("CARGO_MANIFEST_DIR"));
    Document::read(&PathBuf::from(path)).expect("a recorded run")
}

/// Every attribute that can name something to be fetched.
fn addresses(page: &str) -> Vec<&str> {
    let named = ["src=\"", "href=\"", "url(", "srcset=\"", "action=\"", "data=\"", "@import"];
    let found = named.iter().flat_map(|name| page.split(name).skip(1));
    found.map(|rest| rest.split(['"', ')']).next().unwrap_or_default()).collect()
}

#[test]
fn the_page_has_every_figure_of_the_tables_and_every_round() {
    let run = recorded("cpu-bound");
    let page = page_of(std::slice::from_ref(&run));
    for row in &run.strategies {
        let summary = row.summary.as_ref().expect("a summary");
        assert!(
            page.contains(&format!("<td>{}</td>", seconds(summary.total_seconds.median))),
            "{}",
            row.name
        );
    }
    let rounds: usize = run.strategies.iter().map(|row| row.rounds.len()).sum();
    assert_eq!(page.matches("circle class=\"point\"").count(), rounds, "a point for each round");
    for section in [
        "Time",
        "Speed-up",
        "Memory",
        "Latency of tasks",
        "Disturbance of others",
        "Warnings",
        "Environment",
        "Method",
        "Run it again",
    ] {
        assert!(page.contains(&format!("<h2>{section}</h2>")), "no {section}");
    }
    assert!(
        page.contains("<pre>procbench --tasks 20000 --cpu 20us --workload-name cpu-bound "),
        "the command line"
    );
}

#[test]
fn what_a_user_wrote_is_text_everywhere() {
    let mut run = recorded("cpu-bound");
    run.plan.name = Some(NASTY.into());
    run.plan.run.baseline = NASTY.into();
    run.strategies[0].name = NASTY.into();
    run.plan.strategies[0].name = NASTY.into();
    run.started_at = NASTY.into();
    run.tool.version = NASTY.into();
    run.tool.commit = Some(NASTY.into());
    run.environment.machine.cpu = Some(NASTY.into());
    run.environment.machine.os = Some(NASTY.into());
    run.warnings.iter_mut().for_each(|warning| warning.message = NASTY.into());
    for page in [page_of(std::slice::from_ref(&run)), page_of(&[run.clone(), run])] {
        assert!(page.matches("&lt;script&gt;").count() > 8, "it is shown");
        for harmful in ["<script", "<img", "<!--", "onerror=alert(1)>"] {
            assert!(!page.contains(harmful), "{harmful}");
        }
        assert!(
            addresses(&page).iter().all(|address| *address == "data:," || address.starts_with("#run-")),
            "{:?}",
            addresses(&page)
        );
    }
}

#[test]
fn how_times_are_distributed_is_drawn_from_all_that_were_seen() {
    let run = Sandbox::new().measure("-n 500 --io-wait 100us --rounds 2 -m threads:workers=2");
    let with = page_of(std::slice::from_ref(&run));
    let mut older = run;
    for row in &mut older.strategies {
        row.disturbance_histogram = None;
        let latency = row.latency.as_mut().expect("tasks are stamped");
        (latency.wait_histogram, latency.service_histogram) = (None, None);
    }
    older.environment.idle_disturbance_histogram = None;
    let without = page_of(&[older]);
    let columns = |page: &str| page.matches("rect class=\"band\"").count();
    // Five hundred tasks do not all wait as long as each other: each of them has its turn.
    assert!(columns(&with) >= columns(&without) + 10, "{} and {}", columns(&with), columns(&without));
}

#[test]
fn a_run_from_the_command_line_is_escaped_too() {
    let sandbox = Sandbox::new();
    let arguments = ["-n2", "--rounds", "1", "-m", "serial", "--html", "out.html", "--workload-name", NASTY];
    sandbox.run(arguments.iter().chain(&["--", "true", "</pre><script>", "{}"])).expect_code(0);
    let page = fs::read_to_string(sandbox.path("out.html")).expect("the page");
    assert!(!page.contains("<script") && page.contains("&lt;/pre&gt;&lt;script&gt;"));
}

#[test]
fn runs_of_one_workload_have_an_overview_and_others_do_not() {
    let (one, other) = (recorded("cpu-bound"), recorded("io-bound"));
    let page = page_of(&[one.clone(), one.clone()]);
    assert!(page.contains("2 runs of one workload") && page.contains("<h2>Overview</h2>"));
    assert!(page.contains("pool, run 2") && page.contains("id=\"run-2\""));
    let page = page_of(&[one.clone(), other.clone()]);
    assert!(page.contains("<h1>2 runs</h1>") && !page.contains("Overview"));
    // Those of one workload are found among others.
    let page = page_of(&[one.clone(), other.clone(), one, other]);
    assert!(page.contains("<h1>4 runs</h1>") && page.contains("pool, run 3"));
    assert!(page.contains("Overview of runs 1, 3") && page.contains("Overview of runs 2, 4"));
}

#[test]
fn a_run_without_rounds_or_with_strange_numbers_still_makes_a_page() {
    let mut run = recorded("cpu-bound");
    run.partial = true;
    run.strategies[0].rounds.clear();
    run.strategies[0].summary = None;
    run.strategies[1].memory = None;
    run.strategies[1].latency = None;
    for row in &mut run.strategies {
        row.rounds.iter_mut().for_each(|round| round.report.total_seconds = -1e300);
    }
    let page = page_of(&[run]);
    assert!(
        page.contains("This run was cut short") && page.contains("not run") && page.contains("not measured")
    );
    assert!(!page.contains("NaN") && !page.contains("inf%"));
}

#[test]
fn an_axis_says_when_it_is_logarithmic() {
    // 24 MiB against 0.5: too far apart for bars.
    let page = page_of(&[recorded("cpu-bound")]);
    assert!(
        page.contains("peak memory, logarithmic scale")
            && page.contains("<p class=\"axis-name\">time of a round</p>")
    );
}

/// All that a browser has to tell of a page, as JSON.
const LOOK: &str = r#"(() => {
    const root = document.documentElement, width = window.innerWidth;
    const outside = [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && !e.closest('svg'))
        .filter(e => { const box = e.getBoundingClientRect(); return box.right > width + 0.5 || box.left < -0.5; });
    const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
    const paper = getComputedStyle(document.body).backgroundColor;
    const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
    const texts = [...document.querySelectorAll('body *')].filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
    const pale = texts.filter(e => e.tagName !== 'title' && e.tagName !== 'desc').filter(e => {
        const style = getComputedStyle(e);
        return contrast(e.closest('svg') ? style.fill : style.color, paper) < 4.5;
    });
    const overlaps = [...document.querySelectorAll('.axis')].filter(axis => {
        const boxes = [...axis.querySelectorAll('text')].map(t => t.getBoundingClientRect());
        return boxes.some((box, i) => i > 0 && box.left < boxes[i - 1].right);
    });
    const crowded = [...document.querySelectorAll('.plot .ends, .plot .ups')].filter(side => {
        const boxes = [...side.querySelectorAll('text')].map(t => t.getBoundingClientRect()).sort((a, b) => a.top - b.top);
        // Boxes of letters are higher than the letters.
        return boxes.some((box, i) => i > 0 && box.top + 3 < boxes[i - 1].bottom - 3);
    });
    // Words of a chart that are broken into a column of letters.
    const squashed = [...document.querySelectorAll('.note, .name')].map(e => [e, e.getBoundingClientRect()])
        .filter(([_, box]) => box.height > 66 && box.width < 100).map(([e, _]) => e);
    const beyond = [...document.querySelectorAll('table')].filter(t => t.getBoundingClientRect().right > width + 0.5);
    return {
        squashed: squashed.map(e => e.textContent), beyond: beyond.map(t => t.innerText.slice(0, 80)),
        crowded: crowded.map(e => e.textContent),
        scroll: root.scrollWidth - root.clientWidth, width, height: root.scrollHeight,
        outside: outside.map(e => e.outerHTML.slice(0, 80)), pale: pale.map(e => e.outerHTML.slice(0, 80)),
        overlaps: overlaps.map(e => e.textContent), paper: light(paper),
        unnamed: [...document.querySelectorAll('svg[role=img]')].filter(s => {
            const named = key => document.getElementById(s.getAttribute(key) || '')?.textContent;
            return !named('aria-labelledby') || !named('aria-describedby');
        }).length,
        ids: [...document.querySelectorAll('[id]')].length - new Set([...document.querySelectorAll('[id]')].map(e => e.id)).size,
        headless: [...document.querySelectorAll('table')].filter(t => !t.querySelector('caption') || !t.querySelector('th')).length,
        drawn: [...document.querySelectorAll('.strip svg, .plot .area')].filter(s => s.getBoundingClientRect().width < 100).length,
        text: document.body.innerText,
    };
})()"#;

#[test]
fn a_real_browser_shows_it_on_a_phone_and_on_a_desk_in_light_and_dark() {
    let Some(mut browser) = Browser::start() else {
        skip("the report in a real browser", "there is no chromium, chromium-browser or google-chrome");
        return;
    };
    let sandbox = Sandbox::new();
    let mut nasty = recorded("cpu-bound");
    nasty.plan.name = Some(NASTY.repeat(3));
    nasty.strategies[2].name = "pool:workers=16:chunk=1024:transport=shared-memory:start=fork".into();
    nasty.plan.strategies[2].name.clone_from(&nasty.strategies[2].name);
    // Names as advise and a wide comparison have them: long, but not as long as a line.
    let mut long = recorded("cpu-bound");
    let names = [
        "threads:workers=2:chunk=python",
        "pool:workers=16:chunk=1:transport=pipe",
        "py-pool:workers=4:chunk=1:api=imap_unordered",
    ];
    for (place, name) in names.into_iter().enumerate() {
        long.strategies[place + 1].name = name.into();
        long.plan.strategies[place + 1].name = name.into();
    }
    for (name, runs) in [
        ("one", vec![recorded("cpu-bound")]),
        ("tail", vec![recorded("heavy-tail")]),
        ("python", vec![recorded("python-start-methods")]),
        ("two", vec![recorded("io-bound"), recorded("io-bound")]),
        ("nasty", vec![nasty]),
        ("long", vec![long]),
        ("groups", ["cpu-bound", "io-bound", "cpu-bound", "io-bound"].map(recorded).into()),
    ] {
        let path = sandbox.write(&format!("{name}.html"), page_of(&runs));
        look_at(&mut browser, &path, name, "95 % interval");
    }
}

#[test]
fn a_real_browser_shows_studies_of_every_kind() {
    let Some(mut browser) = Browser::start() else {
        skip(
            "pages about studies in a real browser",
            "there is no chromium, chromium-browser or google-chrome",
        );
        return;
    };
    let sandbox = Sandbox::new();
    let mut files = make_all(&sandbox);
    // Who was told apart, and where, is chance: one with many strategies, long names and wide leads is not.
    let many = "sweep --vary tasks=1..200:9 -m serial,threads,pool:workers=2,pool:workers=2:chunk=1,pool:workers=16:chunk=python,process:in-flight=2,process \
                --rounds 1 --quiet --json many.json";
    sandbox.run(many.split_whitespace()).expect_code(0);
    let words = "sweep --vary io-wait=0,1ms,10ms,100ms --vary transport=pipe,shared-memory -n 2 -m serial,pool --rounds 1 --quiet --json words.json";
    sandbox.run(words.split(' ')).expect_code(0);
    files.extend(["many.json".to_owned(), "words.json".to_owned()]);
    for file in &files {
        sandbox.run(["report", file, "-o", "page.html"]).expect_code(0);
        look_at(&mut browser, &sandbox.path("page.html"), file, "Environment");
    }
    let all: Vec<&str> = files.iter().map(String::as_str).collect();
    sandbox.run([&["report", "-o", "page.html"], all.as_slice()].concat()).expect_code(0);
    look_at(&mut browser, &sandbox.path("page.html"), "all together", "reports");
}

/// Whether the page at `path` is fit to be seen on a phone and on a desk, in light and dark, and has `part` in it.
#[track_caller]
fn look_at(browser: &mut Browser, path: &Path, name: &str, part: &str) {
    for (size, colours) in
        [((390, 844), "light"), ((1280, 900), "dark"), ((390, 844), "dark"), ((1280, 900), "light")]
    {
        let of = format!("{name}, {} pixels, {colours}", size.0);
        browser.open(path, "screen", size, colours);
        let seen = browser.evaluate(LOOK);
        assert_eq!(seen["width"], size.0, "{of}");
        assert_eq!(seen["scroll"], 0, "{of}: nothing lies beyond the edge: {}", seen["outside"]);
        for nothing in ["outside", "pale", "overlaps", "crowded", "squashed"] {
            assert_eq!(seen[nothing], serde_json::json!([]), "{of}: {nothing}");
        }
        for none in ["unnamed", "ids", "headless", "drawn"] {
            assert_eq!(seen[none], 0, "{of}: {none}");
        }
        let is_dark = seen["paper"].as_f64().expect("a number") < 0.2;
        assert_eq!(is_dark, colours == "dark", "{of}");
        let text = seen["text"].as_str().expect("text");
        assert!(text.contains("Environment") && text.contains(part), "{of}: {text}");
        assert_eq!(
            browser.requests(),
            [format!("file://{}", path.display())],
            "{of}: it asks for nothing else"
        );
        assert!(browser.console().is_empty(), "{of}: {:?}", browser.console());
    }
    // What lies beyond the edge of paper is lost. A4 between margins of 10 mm.
    browser.open(path, "print", (718, 1047), "light");
    let seen = browser.evaluate(LOOK);
    for nothing in ["beyond", "outside", "squashed"] {
        assert_eq!(seen[nothing], serde_json::json!([]), "{name}, printed: {nothing}");
    }
}

#[test]
fn what_a_user_wrote_is_text_in_studies_too() {
    let sandbox = Sandbox::new();
    make_all(&sandbox);
    let nasty = NASTY.to_owned();
    let spoil = |document: &mut Document| {
        document.plan.name = Some(NASTY.into());
        document.started_at = NASTY.into();
        document.environment.machine.cpu = Some(NASTY.into());
        document.strategies.iter_mut().for_each(|row| row.name = NASTY.into());
        document.warnings.push(Warning { code: "nasty".into(), message: NASTY.into() });
    };
    let spoil_head = |head: &mut Head| {
        head.started_at = NASTY.into();
        head.command_line.push(NASTY.into());
    };
    for file in ["sweep.json", "map.json", "crossover.json", "advice.json", "claims.json"] {
        let mut of = saved(&sandbox, file);
        match &mut of {
            Saved::Run(document) => spoil(document),
            Saved::Sweep(sweep) => {
                spoil_head(&mut sweep.head);
                sweep.strategies.iter_mut().for_each(|name| name.clone_from(&nasty));
                for variable in &mut sweep.variables {
                    variable.key.clone_from(&nasty);
                    variable.unit = Unit::Word;
                    variable.values.iter_mut().for_each(|value| value.text.clone_from(&nasty));
                }
                for cell in &mut sweep.cells {
                    cell.values.iter_mut().for_each(|value| value.clone_from(&nasty));
                    cell.document.iter_mut().for_each(spoil);
                    cell.standing.iter_mut().for_each(|standing| standing.best.clone_from(&nasty));
                }
            }
            Saved::Crossover(crossover) => {
                spoil_head(&mut crossover.head);
                crossover.between = [nasty.clone(), nasty.clone()];
                crossover.key.clone_from(&nasty);
                crossover.points.iter_mut().for_each(|point| spoil(&mut point.document));
            }
            Saved::Advice(advice) => {
                spoil_head(&mut advice.head);
                advice.command.push(nasty.clone());
                advice.candidates.iter_mut().for_each(|candidate| candidate.strategy.clone_from(&nasty));
                advice.finals.iter_mut().for_each(spoil);
                advice.standing.iter_mut().for_each(|standing| standing.best.clone_from(&nasty));
            }
            Saved::Claims(claims) => {
                claims.started_at.clone_from(&nasty);
                for tested in &mut claims.claims {
                    tested.claim.name.clone_from(&nasty);
                    tested.claim.says.clone_from(&nasty);
                    tested.findings.iter_mut().for_each(|finding| finding.why.clone_from(&nasty));
                }
            }
        }
        let page = String::from_utf8(html::export(&[Subject::from(&of)]).expect("a page")).expect("text");
        assert!(page.matches("&lt;script&gt;").count() > 2, "{file}: it is shown");
        for harmful in ["<script", "<img", "<!--", "onerror=alert(1)>"] {
            assert!(!page.contains(harmful), "{file}: {harmful}");
        }
        assert!(
            addresses(&page).iter().all(|address| *address == "data:,"),
            "{file}: {:?}",
            addresses(&page)
        );
    }
}
