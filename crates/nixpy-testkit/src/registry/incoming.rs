//! A request's body on its way in: counted as it comes, and cut where a rule says.

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::StreamExt;

use super::connection::Switch;
use super::journal::Receipt;
use super::refusal::Refusal;

/// The body of a request.
pub(super) struct Incoming {
    stream: BodyDataStream,
    receipt: Receipt,
    cut: Option<(u64, Switch)>,
}

impl Incoming {
    pub(super) fn new(body: Body, receipt: Receipt) -> Self {
        Self {
            stream: body.into_data_stream(),
            receipt,
            cut: None,
        }
    }

    /// Cuts the connection once so many bytes have come.
    pub(super) fn cut_after(&mut self, bytes: u64, switch: Switch) {
        self.cut = Some((bytes, switch));
    }

    /// The next piece; an error when the client or a rule ended the connection,
    /// in which case nobody will read the answer.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        if self.is_cut() {
            return Err(Refusal::broken_off());
        }
        let Some(piece) = self.stream.next().await else {
            return Ok(None);
        };
        let mut piece = piece.map_err(|_| Refusal::broken_off())?;
        if let Some((left, switch)) = &mut self.cut {
            let length = piece.len() as u64;
            if length >= *left {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                switch.cut();
            }
            *left = left.saturating_sub(length);
        }
        self.receipt.received(piece.len() as u64);
        Ok(Some(piece))
    }

    /// The whole body, or 413 when it is longer than this.
    pub(super) async fn all(&mut self, limit: usize) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > limit {
                return Err(Refusal::new(
                    413,
                    "SIZE_INVALID",
                    format!("more than {limit} bytes"),
                ));
            }
        }
        Ok(bytes)
    }

    /// Reads what nobody wanted, so that the client sees the answer and not a
    /// reset while it is still sending.
    pub(super) async fn drain(&mut self) {
        while let Ok(Some(_)) = self.next().await {}
    }

    fn is_cut(&self) -> bool {
        self.cut.as_ref().is_some_and(|(left, _)| *left == 0)
    }
}
