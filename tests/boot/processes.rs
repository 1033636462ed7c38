//! Processes of this computer, as `/proc` shows them.

/// The processes that this one has started.
pub fn children(parent: u32) -> Vec<rustix::process::Pid> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let child = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_string_lossy().parse::<i32>().ok()?;
        // `pid (name) state parent …`, proc(5).
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let of = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?;
        (of == parent.to_string()).then(|| rustix::process::Pid::from_raw(pid))?
    };
    processes.filter_map(child).collect()
}

/// Processes that stand still until this is dropped.
pub struct Held(pub Vec<rustix::process::Pid>);

impl Held {
    pub fn signal(&self, signal: rustix::process::Signal) {
        for pid in &self.0 {
            // One that ended meanwhile is told by the next look at the machine.
            let _ = rustix::process::kill_process(*pid, signal);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::CONT);
    }
}

/// Whether every thread of a process is stopped: state `T` in `/proc/PID/task/TID/stat`, proc(5).
pub fn threads_stand_still(pid: rustix::process::Pid) -> bool {
    let stopped = |stat: String| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'));
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).unwrap().flatten();
    // A thread that ended meanwhile writes no more.
    tasks.map(|task| std::fs::read_to_string(task.path().join("stat"))).all(|stat| stat.map_or(true, stopped))
}
