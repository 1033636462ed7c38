//! `online`: what counts as a default route, and how long it waits for one.

use crate::root::{Root, text};

const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
/// A default route, as the kernel shows it.
pub const DEFAULT: &str = "eth0\t00000000\t0202000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
const NOWHERE: &str = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";

/// How often it checked again, and its output.
fn run(ipv4: &str, ipv6: Option<&str>) -> (usize, String) {
    let root = Root::new();
    root.write("proc/net/route", format!("{HEAD}{ipv4}"));
    if let Some(ipv6) = ipv6 {
        root.write("proc/net/ipv6_route", format!("{NOWHERE}{ipv6}"));
    }
    let output = root.run("online", &[]);
    assert!(output.status.success(), "{}", text(&output));
    (root.calls().lines().filter(|l| l.starts_with("sleep ")).count(), text(&output))
}

#[test]
fn a_default_route_is_enough() {
    assert_eq!(run(DEFAULT, None).0, 0);
    let ipv6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000002 00000064 00000001 00000000 00000003     eth0\n";
    assert_eq!(run("", Some(ipv6)).0, 0);
}

#[test]
fn without_one_it_gives_up_in_time() {
    // Routes to the own network, to half of all addresses, and to link-local ones.
    let near = "eth0\t0002000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
                tun0\t00000000\t00000000\t0001\t0\t0\t100\t00000080\t0\t0\t0\n";
    let local = "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n";
    for ipv6 in [None, Some(local)] {
        let (looks, says) = run(near, ipv6);
        assert_eq!(looks, 100);
        assert!(says.contains("no default route within 20 seconds"), "{says}");
    }
}
