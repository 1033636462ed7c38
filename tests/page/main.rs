//! The landing page in a real browser: what it shows in each state of the lab, and for whom. Needs chromium.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod chromium;
mod site;

use chromium::Page;
use jiff::{Timestamp, ToSpan};
use labimg_testkit::judges::absent;
use serde_json::{Value, json};
use site::{Site, object, objects};

/// A minute ago: not so old that the page would say so.
fn now() -> Timestamp {
    Timestamp::now().round(jiff::Unit::Second).unwrap() - 1.minute()
}

/// A `state.json`: all components of the page are ready, but for these.
fn state(site: &Site, made: Timestamp, others: &[(&str, &str, &str)]) -> String {
    let components: Vec<Value> = site.json("site.json")["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| {
            let other = others.iter().find(|(name, ..)| component["name"] == *name);
            let (_, state, reason) = other.unwrap_or(&("", "ready", ""));
            json!({ "name": component["name"], "title": component["title"], "state": state, "reason": reason })
        })
        .collect();
    json!({ "made": made.to_string(), "components": components }).to_string()
}

const MIXED: [(&str, &str, &str); 4] = [
    ("keycloak", "failing", "pod keycloak-0: CrashLoopBackOff"),
    ("oauth2-proxy", "starting", "deployment oauth2-proxy: 0 of 1 ready"),
    ("nextcloud", "waiting", "waits for keycloak"),
    ("headlamp", "waiting", "waits for keycloak"),
];

/// Text of the first element.
fn text(page: &Page, selector: &str) -> String {
    page.ask(&format!("document.querySelector({selector:?}).innerText")).as_str().unwrap_or_default().to_owned()
}

fn load(page: &Page, site: &Site, width: u32, scheme: &str) {
    page.load(&site.address, width, scheme);
    page.wait_for("!document.querySelector('#summary').innerText.startsWith('Reading')");
}

/// No request leaves the origin, and nothing is wrong in the console, except for a state that is not there.
fn check_quiet(page: &Page, site: &Site) {
    let requests = page.events("Network.requestWillBeSent");
    assert!(requests.len() >= 5, "{requests:?}");
    for request in requests {
        let url = request["request"]["url"].as_str().unwrap();
        assert!(url.starts_with(&site.address), "the page asks for {url}");
    }
    let said: Vec<Value> = page.events("Log.entryAdded").into_iter().map(|event| event["entry"].clone()).collect();
    let wrong = said
        .iter()
        .filter(|e| !(e["source"] == "network" && e["url"] == format!("{}state.json", site.address).as_str()));
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<&Value>::new());
    assert_eq!(page.events("Runtime.exceptionThrown"), Vec::<Value>::new());
    assert_eq!(page.events("Runtime.consoleAPICalled"), Vec::<Value>::new());
}

/// The site of a profile and a browser; none where there is no browser, which is said.
fn opened(profile: &str) -> Option<(Site, Page)> {
    let is_absent = absent("chromium", "the landing page in a browser");
    (!is_absent).then(|| (Site::start(&objects(profile)), Page::open()))
}

#[test]
fn services_have_names_links_states_and_reasons() {
    let Some((site, page)) = opened("full") else { return };
    site.set("state.json", Some(state(&site, now(), &MIXED)));
    load(&page, &site, 1280, "light");
    assert_eq!((text(&page, "h1"), text(&page, "#domain")), ("homelab".to_owned(), "lab.home.arpa".to_owned()));
    let cards = page.ask(
        "[...document.querySelectorAll('.card')].map(c => [c.querySelector('h3').innerText, c.querySelector('a').href, \
         c.querySelector('.state').innerText, c.querySelector('.reason').innerText, c.querySelector('.access')?.innerText ?? ''])",
    );
    let cards: Vec<[String; 5]> = serde_json::from_value(cards).unwrap();
    let card = |name: &str| cards.iter().find(|card| card[0] == name).unwrap_or_else(|| panic!("no {name}: {cards:?}"));
    assert_eq!(
        card("Keycloak")[1..4],
        ["https://auth.lab.home.arpa/", "Trouble", "pod keycloak-0: CrashLoopBackOff"].map(str::to_owned)
    );
    assert_eq!(
        card("Nextcloud")[1..4],
        ["https://files.lab.home.arpa/", "Waiting", "waits for keycloak"].map(str::to_owned)
    );
    assert_eq!(card("Grafana")[1..4], ["https://grafana.lab.home.arpa/", "Ready", ""].map(str::to_owned));
    assert_eq!(page.ask("document.body.innerText.includes('`')"), false);
    // Each component is on the page once; every service says who may use it.
    let all = site.json("site.json")["components"].as_array().unwrap().clone();
    let linked = all.iter().filter(|c| c["link"].is_string() && c["name"] != "home").count();
    assert!(linked >= 7, "{linked} services");
    assert_eq!(cards.len(), linked);
    assert!(cards.iter().all(|card| !card[4].is_empty()), "{cards:?}");
    assert_eq!(page.ask("document.querySelectorAll('.row').length"), all.len() - linked);
    let row =
        page.ask("[...document.querySelectorAll('.row')].find(r => r.innerText.includes('oauth2-proxy')).innerText");
    assert!(row.as_str().unwrap().contains("deployment oauth2-proxy: 0 of 1 ready"), "{row}");
    let ready = all.len() - MIXED.len();
    assert_eq!(text(&page, "#summary"), format!("Keycloak has trouble, {ready} of {} parts are ready", all.len()));
    assert_eq!(page.ask("document.querySelector('progress').value"), ready);
    check_quiet(&page, &site);
}

#[test]
fn every_state_of_the_lab_is_told() {
    let Some((site, page)) = opened("identity") else { return };
    let count = site.json("site.json")["components"].as_array().unwrap().len();
    let is = |file: Option<String>, tone: &str, summary: &str, detail: &str, word: &str| {
        site.set("state.json", file.clone());
        load(&page, &site, 1280, "light");
        let said = text(&page, "#summary");
        assert_eq!(said, summary, "{file:?}");
        assert!(text(&page, "#detail").contains(detail), "{file:?}: {}", text(&page, "#detail"));
        assert_eq!(page.ask("document.querySelector('#health').dataset.tone"), tone, "{file:?}");
        assert_eq!(text(&page, ".card .state"), word, "{file:?}");
        // The links are there whatever is known.
        assert!(page.ask("document.querySelectorAll('.card a').length").as_u64().unwrap() >= 1);
        check_quiet(&page, &site);
    };
    let all = format!("All {count} parts are ready");
    is(Some(state(&site, now(), &[])), "ready", &all, "As of ", "Ready");
    let starting = [("keycloak", "starting", ""), ("oauth2-proxy", "waiting", "waits for keycloak")];
    let coming = format!("The lab is coming up: {} of {count} parts are ready", count - 2);
    is(Some(state(&site, now(), &starting)), "starting", &coming, "Nothing needs to be done", "Starting");
    let two = [("keycloak", "failing", "x"), ("oauth2-proxy", "failing", "y")];
    let trouble = format!("Keycloak and oauth2-proxy have trouble, {} of {count} parts are ready", count - 2);
    is(Some(state(&site, now(), &two)), "failing", &trouble, "keeps trying", "Trouble");
    let unknown = "How it is, is not known";
    is(None, "unknown", &format!("{unknown} yet"), "a few minutes after its start", "Not known");
    is(Some(state(&site, now() - 2.hours(), &[])), "unknown", unknown, "The master last told at ", "Not known");
    // A time to come is a clock that was set back: what was told then still holds.
    is(Some(state(&site, now() + 2.hours(), &[])), "ready", &all, "As of ", "Ready");
    for wrong in ["{}", "[]", "null", "{\"made\":\"yesterday\",\"components\":[]}", "{\"made\":1}"] {
        is(Some(wrong.to_owned()), "unknown", &format!("{unknown} yet"), "", "Not known");
    }
    is(Some("{ cut".to_owned()), "failing", "The lab does not answer", "asks again", "Not known");
    // Components and states that nobody knows yet, and texts that would be HTML.
    let odd = json!({ "made": now().to_string(), "components": [
        { "name": "new", "state": "ready" },
        { "name": "keycloak", "state": "resting", "reason": "<img src=x onerror=alert(1)>" },
    ] });
    site.set("state.json", Some(odd.to_string()));
    load(&page, &site, 1280, "light");
    assert_eq!(text(&page, ".card .state"), "Not known");
    assert_eq!(text(&page, ".card .reason"), "<img src=x onerror=alert(1)>");
    check_quiet(&page, &site);
}

#[test]
fn news_come_by_themselves_and_are_told_once() {
    let Some((site, page)) = opened("identity") else { return };
    site.set("state.json", Some(state(&site, now(), &MIXED)));
    load(&page, &site, 1280, "light");
    assert_eq!(text(&page, ".card .state"), "Trouble");
    page.ask("document.querySelector('.card a').focus(); window.changes = 0;
        new MutationObserver((all) => { changes += all.length }).observe(document.body, { subtree: true, childList: true, characterData: true })");
    let again = "document.dispatchEvent(new Event('visibilitychange')), new Promise((done) => setTimeout(done, 500))";
    page.ask(again);
    assert_eq!(page.ask("changes"), 0, "a screen reader would be told the same again");
    site.set("state.json", Some(state(&site, now(), &[])));
    page.ask(again);
    page.wait_for("document.querySelector('#summary').innerText.startsWith('All ')");
    assert_eq!(text(&page, ".card .state"), "Ready");
    assert_eq!(page.ask("document.activeElement === document.querySelector('.card a')"), true, "the focus was lost");
    site.set("site.json", None);
    load(&page, &site, 1280, "light");
    assert_eq!(text(&page, "#summary"), "What the lab has cannot be read");
}

/// Contrast of each text to what lies behind it (WCAG 2.2, 1.4.3): those that are too low.
const LOW_CONTRAST: &str = "(() => {
    const parse = (c) => { const n = c.match(/[\\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1] };
    const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
        return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b) };
    const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c } };
    const low = []; let seen = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const e = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest('noscript')) continue;
        seen += 1;
        const style = getComputedStyle(e), [a, b] = [light(parse(style.color)), light(behind(e))].sort((x, y) => y - x);
        const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < (large ? 3 : 4.5)) low.push(`${ratio.toFixed(2)}: ${walker.currentNode.data.trim()}`);
    }
    return { low, seen };
})()";

#[test]
fn it_is_readable_on_every_screen_and_in_both_schemes() {
    let Some((site, page)) = opened("full") else { return };
    site.set("state.json", Some(state(&site, now(), &MIXED)));
    let mut backgrounds = Vec::new();
    for width in [320, 360, 768, 1280, 1920] {
        for scheme in ["light", "dark"] {
            load(&page, &site, width, scheme);
            let found = page.ask(LOW_CONTRAST);
            assert_eq!(found["low"], json!([]), "{width} {scheme}");
            assert!(found["seen"].as_u64().unwrap() > 60, "{found}");
            // Nothing is cut off, and nobody has to scroll sideways.
            assert_eq!(page.ask("document.documentElement.scrollWidth <= innerWidth"), true, "{width} {scheme}");
            let wide = page.ask("[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).display !== 'inline').map(e => e.outerHTML.slice(0, 80))");
            assert_eq!(wide, json!([]), "{width} {scheme}");
            // A finger finds a card.
            let low = page.ask("[...document.querySelectorAll('.card')].filter(e => e.offsetHeight < 44).length");
            assert_eq!(low, 0, "{width} {scheme}");
            backgrounds.push(page.ask("getComputedStyle(document.body).backgroundColor"));
            check_quiet(&page, &site);
        }
    }
    assert!(backgrounds.iter().step_by(2).all(|light| *light == backgrounds[0]) && backgrounds[0] != backgrounds[1]);
    if let Some(folder) = std::env::var_os("LABIMG_TEST_PICTURES") {
        // One that looks as a lab does on most days.
        let mostly = [("nextcloud", "starting", "deployment nextcloud: 0 of 1 ready")];
        site.set("state.json", Some(state(&site, now(), &mostly)));
        for (name, width, height, scheme) in
            [("page", 1280, 860, "light"), ("page-dark", 1280, 860, "dark"), ("page-narrow", 360, 760, "light")]
        {
            load(&page, &site, width, scheme);
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), page.picture(width, height))
                .unwrap();
        }
    }
}

#[test]
fn keyboards_and_screen_readers_find_all() {
    let Some((site, page)) = opened("full") else { return };
    site.set("state.json", Some(state(&site, now(), &MIXED)));
    load(&page, &site, 1280, "light");
    // First what skips the rest, then each service in its order, each with a frame that is seen.
    let names: Vec<String> =
        serde_json::from_value(page.ask("[...document.querySelectorAll('.card a')].map(a => a.innerText)")).unwrap();
    let order: Vec<String> = std::iter::once("Skip to the services".to_owned()).chain(names).collect();
    for name in &order {
        page.press("Tab");
        assert_eq!(page.ask("document.activeElement.innerText"), name.as_str());
        let frame = page.ask("(() => { const e = document.activeElement; const of = (p) => { const s = getComputedStyle(e, p); \
            return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 }; return of(null) || of('::after') })()");
        assert_eq!(frame, true, "the focus on {name} is not seen");
        assert_eq!(page.ask("(() => { const r = document.activeElement.getBoundingClientRect(); return r.top >= 0 && r.left >= 0 })()"), true);
    }
    page.ask("document.querySelector('.skip').focus()");
    page.press("Enter");
    page.wait_for("document.activeElement.id === 'services'");

    let tree = page.call("Accessibility.getFullAXTree", &json!({}));
    let nodes: Vec<(String, String)> = tree["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["ignored"] == false)
        .map(|node| {
            [&node["role"], &node["name"]].map(|field| field["value"].as_str().unwrap_or_default().to_owned()).into()
        })
        .collect();
    let count = |role: &str, name: Option<&str>| {
        nodes.iter().filter(|(r, n)| r == role && name.is_none_or(|name| n == name)).count()
    };
    for landmark in ["banner", "main", "contentinfo", "status"] {
        assert_eq!(count(landmark, None), 1, "{landmark}: {nodes:?}");
    }
    for region in ["State of the lab", "Services", "Under the hood"] {
        assert_eq!((count("region", Some(region)), count("heading", Some(region))), (1, 1), "{region}: {nodes:?}");
    }
    assert_eq!((count("progressbar", Some("State of the lab")), count("list", None)), (1, 2), "{nodes:?}");
    let all = site.json("site.json")["components"].as_array().unwrap().len();
    assert_eq!(count("listitem", None), all);
    // One heading of the first level; no level is left out.
    let levels = page.ask("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))");
    let levels: Vec<u64> = serde_json::from_value(levels).unwrap();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
    assert!(levels[0] == 1 && levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    assert_eq!(page.ask("document.documentElement.lang"), "en");
    assert_eq!(page.ask("document.title"), "homelab – homelab");
    // Ids that are used are there, and once.
    let lost = page.ask("[...document.querySelectorAll('[aria-labelledby]')].filter(e => document.querySelectorAll('#' + e.getAttribute('aria-labelledby')).length !== 1).length");
    assert_eq!(lost, 0);
}

/// What runs it in the cluster.
#[test]
fn it_is_served_with_few_rights_and_without_scripts_of_others() {
    let objects = objects("minimal");
    let pod = &object(&objects, "Deployment", "home")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "ghcr.io/static-web-server/static-web-server:2.44.0");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(
        (&pod["securityContext"]["runAsNonRoot"], &pod["automountServiceAccountToken"]),
        (&true.into(), &false.into())
    );
    let ingress = &object(&objects, "Ingress", "home")["spec"];
    assert_eq!(
        (&ingress["rules"][0]["host"], &ingress["tls"][0]["hosts"][0]),
        (&"lab.home.arpa".into(), &"lab.home.arpa".into())
    );
    let sources = pod["volumes"][0]["projected"]["sources"].as_array().unwrap();
    assert_eq!(sources[1]["configMap"], json!({ "name": "home-state", "optional": true }));
    // One policy, in the page and in the server's header.
    let site = &object(&objects, "ConfigMap", "home-page")["data"];
    let index = site["index.html"].as_str().unwrap();
    let server = object(&objects, "ConfigMap", "home-server")["data"]["server.toml"].as_str().unwrap();
    let policy = index.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(server.contains(&format!("\"{policy}; frame-ancestors 'none'\"")), "{server}");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
    // k3s keeps objects of up to a mebibyte.
    assert!(serde_json::to_string(site).unwrap().len() < 100_000);
}
