//! Traefik itself with the lab's Ingresses and the arguments that our values come to: who is sent where, who gets in, and as
//! whom.
//!
//! `LABIMG_TEST_TRAEFIK` names the program; scripts/test --long gets it by scripts/traefik. Of Kubernetes it wants
//! `discovery.k8s.io/v1`, which the 1.20 of scripts/kube-apiserver does not have (it then waits for `EndpointSlice`s for ever), so a
//! stand-in tells it the objects. Everything runs in a network of its own. With `LABIMG_TEST_CHARTS`, as for
//! scripts/stack-charts, and helm, Ingresses that charts make are there too, and the arguments are those of Traefik's chart.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a panic is how a test fails")]

mod api;
mod lab;
mod server;
mod traefik;

use std::io::Read;

use labimg_testkit::{is_isolated, random, skipped};
use reqwest::Method;
use reqwest::blocking::Body;

use lab::{DOMAIN, Lab};
use server::Said;
use traefik::Traefik;

/// Bytes of a large upload: more than Traefik has memory for.
const LARGE: u64 = 300_000_000;
/// The same with `--long`: more than 32 bits count.
const LARGEST: u64 = 5_000_000_000;

#[test]
fn the_door_of_the_lab_lets_in_who_may_and_as_whom_they_are() {
    const WHAT: &str = "Traefik with the lab's Ingresses";
    let Some(program) = std::env::var_os("LABIMG_TEST_TRAEFIK").filter(|program| !program.is_empty()) else {
        return skipped(WHAT, "LABIMG_TEST_TRAEFIK names no traefik; scripts/test --long gets one");
    };
    if !is_isolated("the_door_of_the_lab_lets_in_who_may_and_as_whom_they_are", WHAT) {
        return;
    }
    let lab = Lab::new();
    let door = Traefik::start(program.as_ref(), &lab);

    // Whoever comes without TLS is sent to it, for good and with what was asked for.
    for (method, status) in [(Method::GET, [301, 308]), (Method::POST, [308, 308])] {
        for host in door.hosts() {
            let said = door.plainly(method.clone(), host, "/a?b=c");
            assert!(status.contains(&said.status), "{method} {host}: {said:?}");
            assert_eq!(said.header("location"), Some(format!("https://{host}/a?b=c").as_str()), "{said:?}");
        }
    }

    let forged =
        [("X-Auth-Request-User", "root"), ("X-Auth-Request-Groups", "admins"), ("x-auth-request-email", "r@r")];
    assert!(door.guarded().count() >= 2, "{:?}", door.hosts().collect::<Vec<_>>());
    for host in door.guarded() {
        // Without a session: to the login, which knows where to come back to. Names of one's own help nobody.
        for headers in [&[][..], &forged] {
            let said = door.ask(Method::GET, host, "/a?b=c", headers, None);
            assert_eq!(said.status, 302, "{host}: {said:?}");
            let login = format!("https://login.{DOMAIN}/oauth2/start?rd=https://{host}");
            assert!(said.header("location").unwrap().starts_with(&login), "{host}: {said:?}");
            assert!(said.header("location").unwrap().ends_with("%2Fa%3Fb%3Dc"), "{host}: {said:?}");
        }
        // With one: as whom oauth2-proxy says, whatever else was said.
        let with_session = [&[("Cookie", "session=lab")][..], &forged].concat();
        let seen = door.ask(Method::GET, host, "/a?b=c", &with_session, None).seen();
        assert_eq!(seen.path, "/a?b=c", "{host}");
        for (name, value) in [("user", "lab"), ("email", "lab@lab.home.arpa"), ("groups", "admins,users")] {
            assert_eq!(seen.all(&format!("x-auth-request-{name}")), [value], "{host}: {seen:?}");
        }
        assert_eq!(seen.all("x-forwarded-proto"), ["https"], "{host}");
        // What oauth2-proxy does not say, nobody says.
        let seen =
            door.ask(Method::GET, host, "/", &[&[("Cookie", "session=nobody")][..], &forged].concat(), None).seen();
        for name in ["user", "email", "groups"] {
            let all = seen.all(&format!("x-auth-request-{name}"));
            assert!(all.iter().all(|value| value.is_empty()), "{host}: {all:?}");
        }
        // Only who is in the group.
        let said = door.ask(Method::GET, host, "/", &[("Cookie", "session=guest")], None);
        assert_eq!(said.status, 403, "{host}: {said:?}");
    }
    assert!(door.asked_for_groups(), "oauth2-proxy was not asked for a group");

    // To Vault by TLS, as itself.
    let seen = door.ask(Method::GET, &format!("vault.{DOMAIN}"), "/ui", &[], None).seen();
    assert_eq!(seen.path, "/ui");

    // No limit, and nothing of it is kept, neither in memory nor on a disk: Traefik's pod may have 256 MiB.
    let size = if random::long() { LARGEST } else { LARGE };
    let files = format!("files.{DOMAIN}");
    let large = if door.hosts().any(|host| host == files) { files } else { format!("search.{DOMAIN}") };
    let (memory, written) = door.costs();
    for is_known in [true, false] {
        let content = std::io::repeat(b'x').take(size);
        let body = if is_known { Body::sized(content, size) } else { Body::new(content) };
        let seen = door.ask(Method::PUT, &large, "/large", &[("Cookie", "session=lab")], Some(body)).seen();
        assert_eq!(seen.bytes, size, "{large}");
    }
    let (after, written_after) = door.costs();
    eprintln!("{large}: twice {size} bytes: {memory} KiB of memory before and {after} after");
    assert!(after < memory + (48 << 10), "{memory} KiB before, {after} after");
    assert!(written_after < written + (16 << 20), "{written} bytes before, {written_after} after");
    // The address at which Traefik's Service can be reached is told to all Ingresses.
    door.has_told_addresses();
    door.complained_about_nothing();
    let Said { status, .. } = door.ask(Method::GET, &large, "/", &[("Cookie", "session=lab")], None);
    assert_eq!(status, 200);
}
