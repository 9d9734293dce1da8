//! Lists in parts: `limit`, `cursor`, and where the next part is.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::error::{ApiError, Result};

/// The most that is given at once where a limit was asked for.
const MOST: u32 = 1000;

/// Which part of a list. Without `limit` it is all of it.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// At most as many, 1 to 1000. The answer's `Link` leads to the next ones.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Where the part begins, from the `Link` of the one before.
    pub cursor: Option<String>,
}

/// A limit that was asked for, or `default`.
///
/// # Errors
/// 400 for 0, and for more than is given at once.
pub fn limit(asked: Option<u32>, default: u32) -> Result<u32> {
    let asked = asked.unwrap_or(default);
    if (1..=MOST).contains(&asked) {
        return Ok(asked);
    }
    Err(ApiError::field(
        "limit",
        format!("limit is a number from 1 to {MOST}"),
    ))
}

/// A part of a list whose items are in the order of their keys, as an answer.
///
/// # Errors
/// 400 for a limit that cannot be.
pub fn answer<T: Serialize>(
    uri: &Uri,
    page: &Page,
    items: &[T],
    key: impl Fn(&T) -> String,
) -> Result<Response> {
    let (part, headers) = part(uri, page, items, key)?;
    Ok((headers, Json(part)).into_response())
}

/// The same, with the headers that go with it.
///
/// # Errors
/// As [`answer`].
pub fn part<'a, T>(
    uri: &Uri,
    page: &Page,
    items: &'a [T],
    key: impl Fn(&T) -> String,
) -> Result<(&'a [T], HeaderMap)> {
    let total = items.len();
    let limit = match page.limit {
        None => total,
        some => limit(some, MOST)? as usize,
    };
    let from = match &page.cursor {
        None => 0,
        Some(cursor) => items.partition_point(|item| key(item) <= *cursor),
    };
    let part = &items[from..(from + limit).min(total)];
    let has_more = from + part.len() < total;
    let mut headers = HeaderMap::new();
    if page.limit.is_some() {
        headers.insert("x-total-count", total.into());
        if let (true, Some(last)) = (has_more, part.last())
            && let Ok(link) = HeaderValue::from_str(&next(uri, &key(last)))
        {
            headers.insert(header::LINK, link);
        }
    }
    Ok((part, headers))
}

/// `Link` to the part after a cursor.
fn next(uri: &Uri, cursor: &str) -> String {
    let query = uri.query().unwrap_or_default().split('&');
    let others = query.filter(|part| !part.is_empty() && !part.starts_with("cursor="));
    let cursor = format!("cursor={}", encoded(cursor));
    let query: Vec<&str> = others.chain([cursor.as_str()]).collect();
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

/// A text in a query (RFC 3986).
pub fn encoded(text: &str) -> String {
    let parts = text.bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_to_the_end() {
        let items: Vec<String> = ["a", "b/ä", "c"].map(str::to_owned).into();
        let ask = |limit, cursor: Option<&str>| {
            let page = Page {
                limit,
                cursor: cursor.map(str::to_owned),
            };
            let uri = "/x?limit=2&cursor=old&a=b".parse().unwrap();
            answer(&uri, &page, &items, Clone::clone).unwrap()
        };
        let link = |response: &Response| {
            let link = response.headers().get(header::LINK)?;
            Some(link.to_str().unwrap().to_owned())
        };
        let first = ask(Some(2), None);
        assert_eq!(
            link(&first).as_deref(),
            Some("</x?limit=2&a=b&cursor=b%2F%C3%A4>; rel=\"next\"")
        );
        assert_eq!(first.headers()["x-total-count"], "3");
        assert_eq!(link(&ask(Some(2), Some("b/ä"))), None);
        let all = ask(None, None);
        assert!(link(&all).is_none() && !all.headers().contains_key("x-total-count"));
        let page = Page {
            limit: Some(0),
            cursor: None,
        };
        assert!(answer(&"/x".parse().unwrap(), &page, &items, Clone::clone).is_err());
    }
}
