//! Time that processes and threads have spent on cores. It is compared where servers and their load
//! share a machine: it does not matter how much of it the load takes.

use std::fs;

/// The seconds that this thread has run on a core.
pub fn seconds_here() -> f64 {
    let told = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    told.tv_sec as f64 + told.tv_nsec as f64 / 1e9
}

/// The seconds that a process has spent on cores so far.
pub fn seconds_of(process: u32) -> f64 {
    Stat::of(process).expect("it runs").own_seconds()
}

/// The same with the processes that it started, running or ended.
pub fn seconds_of_all(process: u32) -> f64 {
    let parent = Stat::of(process).expect("it runs");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children = ids.filter_map(Stat::of);
    let children = children.filter(|child| child.number(1) == f64::from(process));
    let running: f64 = children.map(|child| child.own_seconds()).sum();
    parent.own_seconds() + parent.ended_seconds() + running
}

/// The fields of `/proc/…/stat` behind the name, proc(5).
struct Stat(Vec<String>);

impl Stat {
    /// None if the process has ended.
    fn of(process: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name before may hold spaces.
        let (_, fields) = stat.rsplit_once(") ")?;
        Some(Self(fields.split(' ').map(str::to_owned).collect()))
    }

    fn number(&self, index: usize) -> f64 {
        self.0[index].parse().expect("a number")
    }

    /// utime and stime, in hundredths of a second.
    fn own_seconds(&self) -> f64 {
        (self.number(11) + self.number(12)) / 100.0
    }

    /// cutime and cstime: of children that have ended.
    fn ended_seconds(&self) -> f64 {
        (self.number(13) + self.number(14)) / 100.0
    }
}
