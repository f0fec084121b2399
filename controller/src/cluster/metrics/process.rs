//! The metrics of the process itself, from `/proc` (proc(5)). What cannot be read is left out.

use std::fs;

use super::registry::{Counter, Gauge, Registry};

/// Reads `/proc` and sets the `process_*` metrics.
pub(super) fn publish(registry: &Registry) {
    if let Ok(stat) = fs::read_to_string("/proc/self/stat")
        && let Some(times) = parse_stat(&stat)
    {
        // A total from the kernel, not an increment of ours.
        registry.total(&CPU_SECONDS, [], times.cpu_seconds);
        if let Some(boot) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(parse_boot_time) {
            registry.set(&START_TIME, [], boot + times.start_after_boot);
        }
    }
    if let Some(bytes) = fs::read_to_string("/proc/self/status").ok().as_deref().and_then(parse_resident) {
        registry.set(&RESIDENT_MEMORY, [], bytes);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is being read.
        registry.set(&OPEN_FDS, [], files.count().saturating_sub(1) as f64);
    }
}

#[derive(Debug, PartialEq)]
struct Times {
    cpu_seconds: f64,
    start_after_boot: f64,
}

/// Fields 14 and 15 (utime, stime) and 22 (starttime). The command in field 2 may contain spaces and parentheses.
fn parse_stat(stat: &str) -> Option<Times> {
    let after_command = &stat[stat.rfind(')')? + 1..];
    let fields: Vec<&str> = after_command.split_ascii_whitespace().collect();
    let seconds =
        |field: usize| fields.get(field - 3)?.parse::<f64>().ok().map(|ticks| ticks / TICKS_PER_SECOND);
    Some(Times { cpu_seconds: seconds(14)? + seconds(15)?, start_after_boot: seconds(22)? })
}

fn parse_boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn parse_resident(status: &str) -> Option<f64> {
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?;
    kibibytes.trim().parse::<f64>().ok().map(|kibibytes| kibibytes * 1024.0)
}

/// `USER_HZ`, fixed by the ABI of every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;
const CPU_SECONDS: Counter<0> =
    Counter::new("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", []);
const START_TIME: Gauge<0> =
    Gauge::new("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", []);
const RESIDENT_MEMORY: Gauge<0> =
    Gauge::new("process_resident_memory_bytes", "Resident memory size in bytes.", []);
const OPEN_FDS: Gauge<0> = Gauge::new("process_open_fds", "Number of open file descriptors.", []);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_stat_with_an_odd_command() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4 0 0 0 0 150 50 0 0 20 0 1 0 12345 1 2 3";
        assert_eq!(parse_stat(stat), Some(Times { cpu_seconds: 2.0, start_after_boot: 123.45 }));
        assert_eq!(parse_stat("7 (a) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn parses_boot_time_and_resident_memory() {
        assert_eq!(parse_boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
        assert_eq!(parse_resident("VmPeak:\t9 kB\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert_eq!(parse_resident("VmRSS:\t many"), None);
    }
}
