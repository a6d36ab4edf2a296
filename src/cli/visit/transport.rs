//! The bytes of a connection, whatever carries them.

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to a server, encrypted or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}
