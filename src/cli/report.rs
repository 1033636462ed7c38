//! Shows the progress of long steps: bars on a terminal, plain lines elsewhere, JSON lines, or nothing.
//!
//! All of it goes to standard error; standard output is for results. Nothing in it can steer the terminal.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::clean::{clean, clean_json};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use labimg_tree::human::HumanBytes;
use labimg_tree::progress::{self, Progress, Unit};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Bars that redraw: standard error is a terminal.
    Bars,
    /// An occasional line, for logs and pipes.
    Lines,
    /// One JSON object per line.
    Json {
        /// Warnings only.
        quiet: bool,
    },
    /// Warnings only.
    Quiet,
}

impl Style {
    /// Bars on a terminal, else lines; `quiet` and `json` come from the flags.
    #[must_use]
    pub fn choose(quiet: bool, json: bool) -> Self {
        match (quiet, json) {
            (_, true) => Self::Json { quiet },
            (true, _) => Self::Quiet,
            _ if std::io::stderr().is_terminal() => Self::Bars,
            _ => Self::Lines,
        }
    }

    /// Whether this event becomes a line of JSON.
    fn sends(self, event: &str) -> bool {
        matches!(self, Self::Json { quiet } if !quiet || event == "warning")
    }
}

/// Shows progress; clones share the same screen.
#[derive(Debug, Clone)]
pub struct Reporter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    style: Style,
    bars: MultiProgress,
    timings: Mutex<Vec<(String, Duration)>>,
}

impl Reporter {
    /// A reporter of the given style.
    #[must_use]
    pub fn new(style: Style) -> Self {
        Self(Arc::new(Inner { style, bars: MultiProgress::new(), timings: Mutex::new(Vec::new()) }))
    }

    /// Starts a view of something that changes while the user waits.
    #[must_use]
    pub fn live(&self) -> Live {
        let bar = (self.0.style == Style::Bars).then(|| {
            let bar = self.0.bars.add(ProgressBar::new_spinner());
            bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        });
        Live { reporter: self.clone(), bar }
    }

    /// The finished phases so far, in order, with how long each took.
    #[must_use]
    pub fn timings(&self) -> Vec<(String, Duration)> {
        self.0.timings.lock().map(|t| t.clone()).unwrap_or_default()
    }

    fn say(&self, kind: &str, text: &str) {
        let text = &*clean(text);
        match self.0.style {
            Style::Json { .. } => self.event(kind, text, |_| {}),
            Style::Bars => {
                let line = if kind == "note" { text.to_owned() } else { format!("{kind}: {text}") };
                // A closed standard error must not stop a build.
                let _ = self.0.bars.println(line);
            }
            Style::Lines | Style::Quiet if kind == "note" => Self::line(text),
            Style::Lines | Style::Quiet => Self::line(&format!("{kind}: {text}")),
        }
    }

    fn line(text: &str) {
        // A closed standard error must not stop a build.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    fn event(&self, event: &str, text: &str, more: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) {
        if self.0.style.sends(event) {
            let mut object = serde_json::Map::new();
            object.insert("event".into(), event.into());
            object.insert("text".into(), text.into());
            more(&mut object);
            Self::line(&clean_json(&serde_json::Value::Object(object).to_string()));
        }
    }
}

impl Progress for Reporter {
    fn phase(&self, name: &str, total: u64, unit: Unit) -> Box<dyn progress::Phase> {
        let name = &*clean(name);
        let bar = (self.0.style == Style::Bars).then(|| {
            let template = match (unit, total) {
                (Unit::Bytes, 1..) => "{msg:<26} {bar:28} {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12} {eta:>4}",
                (Unit::Items, 1..) => "{msg:<26} {bar:28} {pos:>10}/{len:<10} {eta:>17}",
                (Unit::Bytes, 0) => "{msg:<26} {spinner} {bytes}",
                (Unit::Items, 0) => "{msg:<26} {spinner}",
            };
            let bar = self.0.bars.add(ProgressBar::new(total));
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        self.event("start", name, |o| {
            o.insert("total".into(), total.into());
        });
        Box::new(Phase {
            reporter: self.clone(),
            name: name.to_owned(),
            total,
            unit,
            done: AtomicU64::new(0),
            begun: Instant::now(),
            said: Mutex::new(Instant::now()),
            bar,
        })
    }

    fn note(&self, text: &str) {
        if self.0.style != Style::Quiet {
            self.say("note", text);
        }
    }

    fn warn(&self, text: &str) {
        self.say("warning", text);
    }
}

/// A text that is redrawn whenever it changes: in place on a terminal, elsewhere as lines with the changes. Dropping it
/// removes it from the terminal.
#[derive(Debug)]
pub struct Live {
    reporter: Reporter,
    bar: Option<ProgressBar>,
}

impl Live {
    /// Shows `whole` on a terminal, else the lines `changes`.
    pub fn show(&self, whole: &str, changes: &[String]) {
        match &self.bar {
            Some(bar) => bar.set_message(clean(whole).into_owned()),
            None => changes.iter().for_each(|line| self.reporter.note(line)),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[derive(Debug)]
struct Phase {
    reporter: Reporter,
    name: String,
    total: u64,
    unit: Unit,
    done: AtomicU64,
    begun: Instant,
    said: Mutex<Instant>,
    bar: Option<ProgressBar>,
}

impl Phase {
    fn progress(&self, done: u64) {
        let style = self.reporter.0.style;
        if matches!(style, Style::Json { .. }) {
            self.reporter.event("progress", &self.name, |o| {
                o.insert("done".into(), done.into());
                o.insert("total".into(), self.total.into());
            });
        } else if style == Style::Lines {
            let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
            let rate = done as f64 / seconds;
            let left = self.total.saturating_sub(done) as f64 / rate.max(0.001);
            let (left, total) = (HumanDuration(Duration::from_secs_f64(left.min(1e9))), self.total);
            let line = match (self.unit, total) {
                (Unit::Bytes, 0) => format!("{}: {}", self.name, HumanBytes(done)),
                (Unit::Items, 0) => format!("{}: {done}", self.name),
                (Unit::Bytes, _) => format!(
                    "{}: {} of {}, {}/s, {left} left",
                    self.name,
                    HumanBytes(done),
                    HumanBytes(total),
                    HumanBytes(rate as u64)
                ),
                (Unit::Items, _) => format!("{}: {done} of {total}, {left} left", self.name),
            };
            Reporter::line(&line);
        }
    }
}

impl progress::Phase for Phase {
    fn inc(&self, count: u64) {
        // Sizes that others name may come to more than there is.
        let sum = |done: u64| done.saturating_add(count);
        let done =
            sum(self.done.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |done| Some(sum(done))).unwrap_or(0));
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if let Ok(mut said) = self.said.try_lock()
            && said.elapsed() >= Duration::from_secs(5)
        {
            *said = Instant::now();
            self.progress(done);
        }
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let took = self.begun.elapsed();
        if let Ok(mut timings) = self.reporter.0.timings.lock() {
            timings.push((self.name.clone(), took));
        }
        let done = self.done.load(Ordering::Relaxed);
        match self.reporter.0.style {
            Style::Json { .. } => self.reporter.event("end", &self.name, |o| {
                o.insert("done".into(), done.into());
                o.insert("seconds".into(), took.as_secs_f64().into());
            }),
            Style::Lines | Style::Bars => {
                let amount = match self.unit {
                    _ if done == 0 => String::new(),
                    Unit::Bytes => format!(" ({})", HumanBytes(done)),
                    Unit::Items => format!(" ({done})"),
                };
                self.reporter.say("note", &format!("{:<26} {:>6.1} s{amount}", self.name, took.as_secs_f64()));
            }
            Style::Quiet => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_json_is_warnings_as_json() {
        let sent = |style: Style| ["start", "progress", "end", "note", "warning"].map(|event| style.sends(event));
        assert_eq!(sent(Style::choose(false, true)), [true; 5]);
        assert_eq!(sent(Style::choose(true, true)), [false, false, false, false, true]);
        assert_eq!(Style::choose(true, false), Style::Quiet);
        assert_eq!(sent(Style::Quiet), [false; 5]);
    }
}
