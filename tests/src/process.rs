//! Kills processes of the stack, and asks whether they still run.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Kills a process with SIGKILL. A process that is already gone is not an error.
pub fn kill_now(pid: u32) -> Result<()> {
    match kill_process(process(pid).context("this is not the id of a process")?, Signal::KILL) {
        Err(error) if error != rustix::io::Errno::SRCH => Err(error.into()),
        _ => Ok(()),
    }
}

/// Asks a process to stop in order, with SIGTERM.
pub fn ask_to_end(pid: u32) -> Result<()> {
    Ok(kill_process(process(pid).context("this is not the id of a process")?, Signal::TERM)?)
}

/// Whether a process with this id still runs. A zombie does not run.
pub fn is_alive(pid: u32) -> bool {
    let ended = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
    };
    process(pid).is_some_and(|pid| test_kill_process(pid).is_ok()) && !ended()
}

/// The id of exactly one process. To the system call, 0 and negative numbers mean groups, and 1 is init.
fn process(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_process_is_killed() {
        let spawn = || std::process::Command::new("sleep").arg("60").spawn();
        let (mut victim, mut other) = (spawn().unwrap(), spawn().unwrap());
        kill_now(victim.id()).unwrap();
        while is_alive(victim.id()) {
            std::thread::yield_now();
        }
        assert!(!victim.wait().unwrap().success());
        assert!(!is_alive(victim.id()) && is_alive(other.id()));
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn numbers_that_mean_a_group_or_init_are_refused() {
        assert!([0, 1, u32::MAX].into_iter().all(|pid| kill_now(pid).is_err()));
    }
}
