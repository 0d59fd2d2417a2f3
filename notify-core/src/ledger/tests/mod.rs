mod appending;
mod exports;
mod golden;
mod properties;
mod stories;
mod support;
mod vectors;
