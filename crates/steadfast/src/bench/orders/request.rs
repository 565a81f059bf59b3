//! Requests that cost little to make.
//!
//! The generator's own work comes off the machine that is measured. So heads and bodies are made
//! once; what differs from request to request is a key and the choice of a body.

use bytes::Bytes;
use fastrand::Rng;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;

use super::city;

/// Bodies to choose from.
const BODIES: usize = 1_024;

/// Articles of all restaurants together.
const ARTICLES: u32 = 200;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Makes requests to place an order.
#[derive(Debug)]
pub struct Requests {
    headers: HeaderMap,
    uri: Uri,
    bodies: Vec<Bytes>,
    rng: Rng,
}

impl Requests {
    /// For a server that is reached as `authority`.
    ///
    /// # Errors
    /// `authority` cannot stand in a header.
    pub fn new(authority: &str, mut rng: Rng) -> Result<Self, http::header::InvalidHeaderValue> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(HOST, HeaderValue::from_str(authority)?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let bodies = (0..BODIES).map(|_| Bytes::from(body(&mut rng))).collect();
        Ok(Self { headers, uri: Uri::from_static("/orders"), bodies, rng })
    }

    /// The next request, with a key that was never used before.
    pub fn next(&mut self) -> Request<Full<Bytes>> {
        let body = self.bodies[self.rng.usize(..BODIES)].clone();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let mut headers = self.headers.clone();
        headers.insert(&IDEMPOTENCY_KEY, key(&mut self.rng));
        *request.headers_mut() = headers;
        request
    }
}

/// 16 random bytes, in hexadecimal and in quotes as RFC 8941 wants them.
fn key(rng: &mut Rng) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'"'; 34];
    let random = rng.u128(..).to_le_bytes();
    for (byte, pair) in random.iter().zip(text[1..33].chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    match HeaderValue::from_bytes(&text) {
        Ok(value) => value,
        Err(_) => unreachable!("quotes and hexadecimal digits are visible ASCII"),
    }
}

/// An order as people place them: about 250 bytes.
pub fn body(rng: &mut Rng) -> String {
    let merchant = rng.u32(..city::MERCHANTS);
    let (x, y) = city::merchant(merchant);
    let (to_x, to_y) = city::near(rng, x, y);
    let (first, second) = (rng.u32(..ARTICLES), rng.u32(..ARTICLES));
    let (pieces, minor) = (rng.u32(1..4), rng.u32(60..400) * 100);
    let customer = rng.u32(..1_000_000);
    format!(
        "{{\"merchant\":\"r{merchant}\",\"pickup\":{{\"x\":{x},\"y\":{y}}},\
         \"dropoff\":{{\"x\":{to_x},\"y\":{to_y}}},\
         \"items\":[{{\"sku\":\"dish-{first}\",\"quantity\":{pieces}}},\
         {{\"sku\":\"dish-{second}\",\"quantity\":1}}],\
         \"amount\":{{\"currency\":\"KRW\",\"minor\":{minor}}},\
         \"customer\":\"c-{customer}\",\"note\":\"Ring twice and leave it at the door\"}}"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use steadfast_dispatch::geo::LocationKind;
    use steadfast_dispatch::order::PlaceOrder;
    use steadfast_dispatch::service::IdempotencyKey;
    use steadfast_time::Timestamp;

    use super::*;

    #[test]
    fn every_body_is_an_order_that_is_accepted() {
        let requests = Requests::new("127.0.0.1:1", Rng::with_seed(1)).unwrap();
        for body in &requests.bodies {
            let order: PlaceOrder = serde_json::from_slice(body).unwrap();
            assert_eq!(order.check(LocationKind::Planar, Timestamp::EPOCH), Ok(()));
            assert!((200..300).contains(&body.len()), "{} bytes", body.len());
        }
    }

    #[test]
    fn keys_are_valid_and_differ() {
        let mut requests = Requests::new("127.0.0.1:1", Rng::with_seed(1)).unwrap();
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let request = requests.next();
            let key = request.headers()[&IDEMPOTENCY_KEY].to_str().unwrap().to_owned();
            IdempotencyKey::parse(key.as_bytes()).unwrap();
            assert!(seen.insert(key));
        }
    }
}
