//! Processes of this computer, from proc(5).

use rustix::process::{Pid, Signal, kill_process};

/// All processes, each with its parent.
fn all() -> Vec<(i32, i32)> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let parent = |pid: i32| {
        // `pid (name) state parent …`
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    processes.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter_map(|pid| Some((pid, parent(pid)?))).collect()
}

/// All descendants of a process.
pub fn descendants(ancestor: u32) -> Vec<i32> {
    let all = all();
    let mut found = vec![ancestor as i32];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// Whether it is the first process of a PID namespace inside this process's namespace.
fn is_first(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|l| l.strip_prefix("NSpid:")).unwrap_or_default();
    ids.split_whitespace().count() > 1 && ids.split_whitespace().last() == Some("1")
}

fn name(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// Among the descendants of `ancestor`, the first process of a namespace with this name.
pub fn first_process(ancestor: u32, called: &str) -> Option<i32> {
    descendants(ancestor).into_iter().find(|&pid| is_first(pid) && name(pid) == called)
}

/// Whether the process exists.
pub fn exists(pid: i32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Kills a process; one that has already ended is not an error.
pub fn kill(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}
