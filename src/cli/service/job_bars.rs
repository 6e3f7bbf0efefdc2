//! # Job bars: how much of a job is done
//!
//! A job's tasks are meant to end, so what counts is how many have ended well, and how many are at work.
//!
//! ```text
//!   job progress: 3 out of 5 complete [==============================>                    ]
//!   active tasks: 2 out of 2 tasks
//!   1/5: complete  [==================================================>]
//! ```
//!
//! Laws: tasks of an earlier run of the same job do not count. *See:* docker/cli `cli/command/service/progress`. *Next room:*
//! [`super::progress`]

use super::bars::{Line, MOST, of_task};
use minidock_spec::swarm::{
    service::Service,
    task::{Task, TaskState},
};
use std::collections::BTreeMap;

/// The lines of a job at one moment, and whether all is done.
pub fn look(service: &Service, tasks: &[Task], begun: &mut bool) -> (bool, Vec<Line>) {
    let run = service.job_status.unwrap_or_default().job_iteration;
    let is_global = service.spec.mode.is_global();
    let mut chosen: BTreeMap<String, &Task> = BTreeMap::new();
    for task in tasks.iter().filter(|task| task.job_iteration == Some(run) && task.status.state <= TaskState::Rejected) {
        let key = if is_global { task.node_id.clone() } else { format!("{:020}", task.slot) };
        match chosen.get(&key) {
            Some(other) if other.status.state <= task.status.state => {}
            _ => {
                chosen.insert(key, task);
            }
        }
    }
    if is_global && chosen.is_empty() && !*begun {
        return (false, vec![Line::new("job progress", "waiting for tasks")]);
    }
    let total = if is_global { chosen.len() as u64 } else { service.spec.mode.wanted() };
    let complete = chosen.values().filter(|task| task.status.state == TaskState::Complete).count() as u64;
    let active = chosen.values().filter(|task| task.status.state < TaskState::Complete).count() as u64;
    let mut lines = Vec::new();
    if !*begun {
        *begun = true;
        lines.extend(sums(service, 0, 0, total));
        if !is_global && total <= MOST {
            lines.extend((1..=total).map(|n| Line::new(format!("{n}/{total}"), " ")));
        }
    }
    for (place, task) in chosen.values().enumerate().filter(|_| total <= MOST) {
        let name = if is_global { task.node_id.clone() } else { format!("{}/{total}", place + 1) };
        lines.extend(of_task(name, task, TaskState::Complete));
    }
    lines.extend(sums(service, active, complete, total));
    (complete >= total, lines)
}

fn sums(service: &Service, active: u64, complete: u64, total: u64) -> Vec<Line> {
    let width = total.to_string().len();
    let done = Line {
        bar: Some((complete, total)),
        ..Line::new("job progress", format!("{complete:>width$} out of {total} complete"))
    };
    let Some(job) = &service.spec.mode.replicated_job else { return vec![done] };
    let concurrent = job.max_concurrent.filter(|n| *n > 0).unwrap_or(total);
    let width = concurrent.to_string().len();
    let wanted = total.saturating_sub(complete).min(concurrent);
    vec![done, Line::new("active tasks", format!("{active:>width$} out of {wanted:>width$} tasks"))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use minidock_spec::swarm::{
        Version,
        service::{JobStatus, ReplicatedJob, ServiceMode, ServiceSpec},
    };

    #[test]
    fn a_job_is_counted_by_what_is_done_in_this_run() {
        let job = ReplicatedJob { max_concurrent: Some(2), total_completions: Some(3) };
        let mode = ServiceMode { replicated_job: Some(job), ..ServiceMode::default() };
        let status = JobStatus { job_iteration: Version { index: 2 }, ..JobStatus::default() };
        let service =
            Service { spec: ServiceSpec { mode, ..ServiceSpec::default() }, job_status: Some(status), ..Service::default() };
        let task = |slot: u64, run: u64, state: TaskState| {
            let mut task = Task {
                slot,
                job_iteration: Some(Version { index: run }),
                desired_state: TaskState::Complete,
                ..Task::default()
            };
            task.status.state = state;
            task
        };
        let tasks = [task(0, 1, TaskState::Complete), task(0, 2, TaskState::Complete), task(1, 2, TaskState::Running)];
        let (done, lines) = look(&service, &tasks, &mut true);
        let said: Vec<String> = lines.iter().map(|line| format!("{}: {}", line.id, line.words.trim_end())).collect();
        assert_eq!(
            said,
            ["1/3: complete", "2/3: running", "job progress: 1 out of 3 complete", "active tasks: 1 out of 2 tasks"]
        );
        assert_eq!((done, lines[0].bar, lines[1].bar), (false, Some((10, 10)), Some((9, 10))));
        let all: Vec<Task> = (0..3).map(|slot| task(slot, 2, TaskState::Complete)).collect();
        assert!(look(&service, &all, &mut true).0);
    }
}
