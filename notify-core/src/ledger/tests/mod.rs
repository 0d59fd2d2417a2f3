mod appending;
mod exports;
mod golden;
mod kept;
mod properties;
mod stories;
mod support;
mod vectors;
