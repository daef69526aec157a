//! How each event changes the model.
