//! The way to the models' panel, from anywhere on the page.

use leptos::prelude::*;

use crate::page::workers::loader::LoaderClient;
use crate::protocol::loader::PairSource;

/// Opens and closes the panel, from anywhere on the page.
#[derive(Clone, Copy)]
pub struct Panel {
    pub(super) loader: LoaderClient,
    pub(super) is_open: RwSignal<bool>,
}

impl Panel {
    /// The handle of a closed panel.
    pub fn new(loader: LoaderClient) -> Self {
        Panel {
            loader,
            is_open: RwSignal::new(false),
        }
    }

    /// Opens the panel at the list, which is requested again.
    pub fn open(&self) {
        self.loader.list();
        self.is_open.set(true);
    }

    /// Opens the panel with a pair's pre-flight, or its load where one runs.
    pub fn open_at(&self, address: String) {
        self.open();
        let loads = self
            .loader
            .loads
            .with_untracked(|loads| loads.contains_key(&address));
        if !loads {
            self.loader.check(address);
        }
    }

    /// Opens the panel and adds a pair; its pre-flight follows.
    pub fn open_with(&self, source: PairSource) {
        self.open();
        self.loader.add(source);
    }

    /// Closes the panel. The visitor has read the problem that it showed.
    pub fn close(&self) {
        self.loader.dismiss_problem();
        self.is_open.set(false);
    }
}
