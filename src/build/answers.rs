//! What the servers of k3s and of container images say: asked once for all images, beside the work on packages.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, Scope};

use super::containers::{self, Carried, Looked};
use super::{BuildError, BuildOptions, Run};
use crate::k3s::{self, Asked, K3sBinary, K3sError, K3sSource, Sums};
use crate::plan::Plan;
use labimg_debian::lock::archive::Archive;
use labimg_store::Context;
use labimg_tree::progress::{Unit, Warnings};

/// What is known so far. Dropping it ends what is still being asked.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Architecture → what is being asked.
    asked: RefCell<BTreeMap<String, Receiver<Found>>>,
    /// Architecture → what was found out, and not used yet.
    found: RefCell<BTreeMap<String, Found>>,
    /// Architecture → what images get.
    pub(super) k3s: RefCell<BTreeMap<String, K3sBinary>>,
    pub(super) carried: RefCell<BTreeMap<String, Carried>>,
    pub(super) archives: RefCell<Vec<(ArchiveKey, Rc<Archive>)>>,
    stop: Arc<AtomicBool>,
}

/// Suite, further suites, architecture.
pub(super) type ArchiveKey = (String, Vec<String>, String);

/// What was found out for one architecture.
#[derive(Debug)]
struct Found {
    k3s: Option<Result<Asked, K3sError>>,
    images: Option<Result<Option<Asked>, K3sError>>,
    others: Option<Result<Vec<Looked>, BuildError>>,
}

impl Found {
    fn ask(plan: &Plan, options: &BuildOptions, context: &Context<'_>) -> Self {
        let asks_for_k3s = options.k3s_bin.is_none();
        let (source, sums) = (K3sSource::of(Some(&plan.lab)), Sums::default());
        Self {
            k3s: asks_for_k3s.then(|| k3s::ask(&source, &plan.board.architecture, &sums, context)),
            images: Some(containers::ask_k3s(plan, options, &sums, context)),
            others: Some(containers::ask_others(plan, options, context)),
        }
    }
}

impl Answers {
    /// Begins to ask for what the images of these plans need. A lock has the answers to all that.
    pub(super) fn begin<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        plans: &[&'env Plan],
        options: &'env BuildOptions,
        context: &Context<'env>,
    ) -> Self {
        let answers = Self::default();
        for plan in plans.iter().copied().filter(|plan| plan.role.k3s.is_some() && options.locked.is_none()) {
            let architecture = &plan.board.architecture;
            if answers.asked.borrow().contains_key(architecture) {
                continue;
            }
            let http = context.http.until(answers.stop.clone());
            let (store, progress) = (context.store, context.progress);
            let (sender, receiver) = channel();
            let ask = move || {
                // A send fails when the build has failed, and nobody needs the answers.
                drop(sender.send(Found::ask(
                    plan,
                    options,
                    &Context { store, http: &http, progress: &Warnings(progress) },
                )));
            };
            // Without a thread it is asked when it is needed.
            if thread::Builder::new().name("questions".into()).spawn_scoped(scope, ask).is_ok() {
                answers.asked.borrow_mut().insert(architecture.clone(), receiver);
            }
        }
        answers
    }

    /// What is known of k3s for a plan.
    pub(super) fn k3s(&self, plan: &Plan, run: &Run<'_>) -> Result<Asked, K3sError> {
        let found = self.found(plan, run).k3s.take();
        let (source, architecture) = (K3sSource::of(Some(&plan.lab)), &plan.board.architecture);
        found.unwrap_or_else(|| k3s::ask(&source, architecture, &Sums::default(), &run.context))
    }

    /// What is known of k3s's own container images for a plan that asks for them, and of all others.
    pub(super) fn images(&self, plan: &Plan, run: &Run<'_>) -> Result<(Option<Asked>, Vec<Looked>), BuildError> {
        let (images, others) = {
            let mut found = self.found(plan, run);
            (found.images.take(), found.others.take())
        };
        let images =
            images.unwrap_or_else(|| containers::ask_k3s(plan, run.options, &Sums::default(), &run.context))?;
        let others = others.unwrap_or_else(|| containers::ask_others(plan, run.options, &run.context))?;
        Ok((images, others))
    }

    fn found(&self, plan: &Plan, run: &Run<'_>) -> RefMut<'_, Found> {
        let architecture = &plan.board.architecture;
        let asked = self.asked.borrow_mut().remove(architecture);
        RefMut::map(self.found.borrow_mut(), |all| {
            all.entry(architecture.clone()).or_insert_with(|| {
                let answered = asked.and_then(|asked| {
                    let source = K3sSource::of(Some(&plan.lab));
                    let asks_for_k3s =
                        run.options.k3s_bin.is_none() && !k3s::is_remembered(&source, architecture, &run.context);
                    let name = if asks_for_k3s { k3s::ASKING } else { "Looking up container images" };
                    let asks = asks_for_k3s || containers::asks_for_others(plan, run.options);
                    let _phase = asks.then(|| run.context.progress.phase(name, 0, Unit::Items));
                    asked.recv().ok()
                });
                answered.unwrap_or_else(|| Found::ask(plan, run.options, &run.context))
            })
        })
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
