//! `clock`: when it waits, and what it does with an implausible clock.

use crate::root::{Root, text};

const IMAGE: u64 = 1_800_000_000;

/// A node whose system clock shows `now`, with or without a real-time clock.
fn node(now: u64, rtc: Option<u64>) -> Root {
    let root = Root::new();
    let epoch = std::fs::File::options().write(true).open(root.at("usr/lib/clock-epoch")).unwrap();
    epoch.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(IMAGE)).unwrap();
    // Setting the clock changes what it shows.
    root.write("now", now.to_string());
    root.stand_in(
        "date",
        "now=$LABIMG_ROOT/now\ncase \"$*\" in\n*-s*) echo \"${3#@}\" > \"$now\" ;;\n+%s) cat \"$now\" ;;\n\
         *) /bin/date -u -d \"@$(cat \"$now\")\" \"$2\" ;;\nesac",
    );
    if let Some(rtc) = rtc {
        root.write("sys/class/rtc/rtc0/since_epoch", rtc.to_string());
    }
    root
}

fn run(root: &Root) -> (String, u64, usize) {
    let output = root.run("clock", &[]);
    assert!(output.status.success(), "{}", text(&output));
    let seconds = root.calls().lines().filter(|l| l.starts_with("sleep 1")).count();
    (text(&output), root.read("now").trim().parse().unwrap(), seconds)
}

#[test]
fn a_clock_that_kept_the_time_is_trusted_at_once() {
    let later = IMAGE + 86_400;
    let (says, now, seconds) = run(&node(later, Some(later)));
    assert_eq!((now, seconds), (later, 0), "{says}");
}

#[test]
fn without_a_clock_the_network_is_waited_for() {
    // No network: half a minute.
    let (says, now, seconds) = run(&node(IMAGE, None));
    assert_eq!((now, seconds), (IMAGE, 30), "{says}");
    assert!(says.contains("warning: no time server answered"), "{says}");
    // A network without a time server: two minutes.
    let root = node(IMAGE, None);
    root.write("proc/net/route", crate::online::DEFAULT);
    assert_eq!(run(&root).2, 120);
    // A time server that answers.
    let root = node(IMAGE, None);
    root.write("proc/net/route", crate::online::DEFAULT);
    root.stand_in(
        "sleep",
        "mkdir -p \"$LABIMG_ROOT/run/systemd/timesync\"; touch \"$LABIMG_ROOT/run/systemd/timesync/synchronized\"",
    );
    let (says, _, seconds) = run(&root);
    assert_eq!(seconds, 1);
    assert!(!says.contains("warning"), "{says}");
}

#[test]
fn a_clock_before_the_image_is_set_and_not_trusted() {
    let (says, now, seconds) = run(&node(0, Some(0)));
    assert_eq!((now, seconds), (IMAGE, 30), "{says}");
    // systemd has set the clock already, but the chip still shows 1970.
    assert_eq!(run(&node(IMAGE, Some(100))).2, 30);
}

#[test]
fn a_clock_far_in_the_future_is_set_back_when_nobody_knows_better() {
    let far = 2_145_916_800; // 2038
    let (says, now, _) = run(&node(far, Some(far)));
    assert_eq!(now, IMAGE, "{says}");
    assert!(says.contains("warning: the clock stood at 2038"), "{says}");
}

#[test]
fn the_seeds_time_counts_when_it_is_later() {
    let root = node(IMAGE, None);
    root.write("etc/labimg/node.conf", format!("SEED_TIME={}\n", IMAGE + 1000));
    assert_eq!(run(&root).1, IMAGE + 1000);
}
