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
    /// A closed panel.
    pub fn new(loader: LoaderClient) -> Self {
        Panel {
            loader,
            is_open: RwSignal::new(false),
        }
    }

    /// Opens it at the list.
    pub fn open(&self) {
        self.loader.list();
        self.is_open.set(true);
    }

    /// Opens it at what a pair needs, or at its load where one runs.
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

    /// Opens it at what a pair needs that the visitor gives.
    pub fn open_with(&self, source: PairSource) {
        self.open();
        self.loader.add(source);
    }

    /// Closes it. What was refused in it has been read.
    pub fn close(&self) {
        self.loader.dismiss_problem();
        self.is_open.set(false);
    }
}
