//! A connection to one Redis database, and how commands are put through it.

use std::collections::BTreeMap;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};

use super::queues::Queues;
use super::refused::Refused;

/// The connection, and what is remembered as long as it lasts.
pub(super) struct Line {
    /// The connection.
    pub(super) connection: MultiplexedConnection,
    /// Lists whose last message was too long to be fetched at every look.
    pub(super) long: BTreeMap<String, Instant>,
    /// The queues, those learned from bindings among them.
    pub(super) queues: Option<Queues>,
    /// When bindings were last looked at.
    pub(super) learned: Option<Instant>,
    /// Commands refused at this look.
    pub(super) refused: Refused,
}

impl Line {
    /// A new one.
    pub(super) fn new(connection: MultiplexedConnection, queues: Option<Queues>) -> Self {
        Self { connection, long: BTreeMap::new(), queues, learned: None, refused: Refused::default() }
    }

    /// The replies to commands of these names, in their order; `None` where the server answers with an error: not
    /// allowed, or not now.
    pub(super) async fn all(&mut self, names: &[&'static str], pipe: &mut Pipeline) -> RedisResult<Vec<Option<Value>>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let replies: Vec<RedisResult<Value>> = pipe.ignore_errors().query_async(&mut self.connection).await?;
        let replies = names.iter().zip(replies).map(|(name, reply)| match reply {
            Ok(Value::ServerError(error)) => self.refuse(name, &error.into()),
            Ok(value) => Some(value),
            Err(error) => self.refuse(name, &error),
        });
        Ok(replies.collect())
    }

    /// The reply to one command.
    pub(super) async fn one(&mut self, name: &'static str, command: &Cmd) -> RedisResult<Option<Value>> {
        match self.connection.send_packed_command(command).await {
            Ok(Value::ServerError(error)) => Ok(self.refuse(name, &error.into())),
            Ok(value) => Ok(Some(value)),
            Err(error) if error.code().is_some() => Ok(self.refuse(name, &error)),
            Err(error) => Err(error),
        }
    }

    fn refuse(&mut self, name: &'static str, error: &RedisError) -> Option<Value> {
        self.refused.note(name, error);
        None
    }
}

/// A reply that is text.
pub(super) fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::BulkString(bytes) = value { Some(bytes) } else { None }
}

/// A reply that is a number: an integer, or text that spells one.
pub(super) fn number(value: &Value) -> Option<i64> {
    if let Value::Int(n) = value { Some(*n) } else { text(value)?.parse().ok() }
}

/// A reply that is text in UTF-8.
pub(super) fn text(value: &Value) -> Option<&str> {
    std::str::from_utf8(bytes(value)?).ok()
}

/// A reply that is a list or a set.
pub(super) fn items(value: &Value) -> &[Value] {
    if let Value::Array(items) | Value::Set(items) = value { items } else { &[] }
}
