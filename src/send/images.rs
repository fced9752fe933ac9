//! Images that a mail brings along: the files that its HTML names, and QR codes of values in its data.
//!
//! In scope: which images an HTML part asks for, by `"cid:NAME"`, and their bytes. Out of scope: how a
//! provider takes them. <https://www.rfc-editor.org/rfc/rfc2392>

use crate::edges::crc::crc32;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcodegen::{QrCode, QrCodeEcc};
use serde_json::Value;
use std::path::Path;

/// The most bytes that the images of one mail may have together. A batch of 50 mails is in memory at
/// once, in base64, and Postmark takes 50 MB in a call.
const LARGEST: usize = 256 * 1024;

/// What the name of a QR code begins with; the rest is the name of a value, as `qr.ticket.code`.
const QR: &str = "qr.";

/// The white margin of a QR code, in modules: ISO/IEC 18004 wants four.
const MARGIN: i32 = 4;
/// Pixels of a module, to each side.
const SCALE: usize = 4;

/// An image of one mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name: what stands after `cid:`.
    pub name: String,
    /// Its media type.
    pub media: &'static str,
    /// The image.
    pub bytes: Vec<u8>,
}

/// What is wrong with a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Where, and what.
    pub(crate) why: String,
    /// It asks for what the data has not: other data may fill it.
    pub(crate) by_data: bool,
}

impl From<String> for Wrong {
    fn from(why: String) -> Wrong {
        Wrong { why, by_data: false }
    }
}

/// The names of images in HTML, each once. Only quoted ones count: what data says is escaped, so it can
/// name none.
pub fn names(html: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    // One byte is found much faster than a text.
    for (at, _) in html.match_indices(':') {
        let before = html[..at].strip_suffix("cid").and_then(|before| before.chars().next_back());
        let Some(quote @ ('"' | '\'')) = before else { continue };
        let name = html[at + 1..].split(quote).next().unwrap_or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The HTML with its images in it, for a page that has no mail around it.
pub(crate) fn embed(html: &str, images: &[Image]) -> String {
    images.iter().fold(html.to_owned(), |html, Image { name, media, bytes }| {
        let image = format!("data:{media};base64,{}", STANDARD.encode(bytes));
        ['"', '\''].iter().fold(html, |html, quote| {
            html.replace(&format!("{quote}cid:{name}{quote}"), &format!("{quote}{image}{quote}"))
        })
    })
}

/// The images that HTML names: files in `dir`, and QR codes of what the data says.
///
/// # Errors
/// Which image, and what is wrong with it.
pub(crate) fn load(html: &str, dir: &Path, data: &Value) -> Result<Vec<Image>, Wrong> {
    let mut left = LARGEST;
    let one = |name: &str| {
        let (media, bytes) = match name.strip_prefix(QR) {
            // `tickets.0.code` is /tickets/0/code for RFC 6901.
            Some(value) => {
                ("image/png", qr(name, data.pointer(&format!("/{}", value.replace('.', "/"))))?)
            }
            None => file(dir, name, left)?,
        };
        left = left.checked_sub(bytes.len()).ok_or_else(|| too_large(name))?;
        Ok(Image { name: name.to_owned(), media, bytes })
    };
    names(html).into_iter().map(one).collect()
}

fn too_large(name: &str) -> String {
    format!("cid:{name}: the images of a mail may have {LARGEST} bytes together")
}

/// An image's media type and its bytes, at most so many.
fn file(dir: &Path, name: &str, most: usize) -> Result<(&'static str, Vec<u8>), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = name.bytes().all(plain) && !name.starts_with('.');
    // The types of images that mail programs show.
    let media = match name.rsplit_once('.').filter(|_| fits) {
        Some((_, "png")) => "image/png",
        Some((_, "gif")) => "image/gif",
        Some((_, "jpg" | "jpeg")) => "image/jpeg",
        Some((_, "svg")) => "image/svg+xml",
        Some((_, "webp")) => "image/webp",
        _ => {
            return Err(format!(
                "cid:{name} names no image: a file NAME.png, .gif, .jpg, .svg or .webp, or qr.VALUE"
            ));
        }
    };
    let path = dir.join(name);
    let wrong = |error| format!("cid:{name}: {}: {error}", path.display());
    // Before it is read: it may be anything.
    let size = std::fs::metadata(&path).map_err(wrong)?.len();
    if size > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(too_large(name));
    }
    Ok((media, std::fs::read(&path).map_err(wrong)?))
}

/// The QR code of a text or a number, as PNG.
fn qr(name: &str, value: Option<&Value>) -> Result<Vec<u8>, Wrong> {
    let wrong = |why: &str| Wrong { why: format!("cid:{name}: {why}"), by_data: true };
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(wrong("the value is no text and no number")),
        None => return Err(wrong("the data has no such value")),
    };
    let code = QrCode::encode_text(&text, QrCodeEcc::Medium);
    code.map(|code| png(&code)).map_err(|_| wrong("the text is too long for a QR code"))
}

/// One bit a pixel, 1 is white; not compressed: some kilobytes at most.
/// <https://www.w3.org/TR/png-3/>
fn png(code: &QrCode) -> Vec<u8> {
    let modules = -MARGIN..code.size() + MARGIN;
    let mut rows = Vec::new();
    for y in modules.clone() {
        let bits: Vec<bool> =
            modules.clone().flat_map(|x| [!code.get_module(x, y); SCALE]).collect();
        let row = bits.chunks(8).map(|bits| {
            bits.iter().zip((0..8).rev()).fold(0, |byte, (bit, at)| byte | u8::from(*bit) << at)
        });
        // Each row begins with its filter: none.
        let row: Vec<u8> = std::iter::once(0).chain(row).collect();
        rows.extend(row.repeat(SCALE));
    }
    let side = (modules.len() * SCALE) as u32;
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = [side.to_be_bytes(), side.to_be_bytes()].concat();
    // One bit, grey; the only compression, filter and no interlacing.
    header.extend([1, 0, 0, 0, 0]);
    chunk(&mut out, b"IHDR", &header);
    chunk(&mut out, b"IDAT", &stored(&rows));
    chunk(&mut out, b"IEND", &[]);
    out
}

/// Bytes as a stream of zlib that holds them as they are.
/// <https://www.rfc-editor.org/rfc/rfc1950> and <https://www.rfc-editor.org/rfc/rfc1951#section-3.2.4>
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
        out.extend(block);
    }
    let (low, high) = bytes.iter().fold((1, 0), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    out.extend((high << 16 | low).to_be_bytes());
    out
}

/// Length, name, content and the check of the last two.
fn chunk(out: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    out.extend((content.len() as u32).to_be_bytes());
    let begin = out.len();
    out.extend(name);
    out.extend(content);
    let check = crc32(&out[begin..]);
    out.extend(check.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn data() -> Value {
        json!({ "ticket": "T-1", "seats": [{ "code": 7 }], "none": null })
    }

    #[test]
    fn images_are_named_in_quotes_alone_and_each_once() {
        let html = r#"<img src="cid:a.png"><img src='cid:qr.b'> <i style="background: url('cid:a.png')">
                      cid:c.png &quot;cid:d.png&quot; <img src=cid:e.png>"#;
        assert_eq!(names(html), ["a.png", "qr.b"]);
    }

    #[test]
    fn files_and_values_are_found_and_what_is_wrong_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("logo.gif"), "GIF89a").unwrap();
        let load = |name: &str| load(&format!("<img src=\"cid:{name}\">"), dir.path(), &data());
        let image = Image { name: "logo.gif".into(), media: "image/gif", bytes: b"GIF89a".into() };
        assert_eq!(load("logo.gif"), Ok(vec![image]));
        for name in ["qr.ticket", "qr.seats.0.code"] {
            let [image] = &load(name).unwrap()[..] else { panic!() };
            assert_eq!((image.name.as_str(), &image.bytes[1..4]), (name, &b"PNG"[..]));
        }
        for (name, why) in [
            ("../logo.gif", "names no image"),
            (".gif", "names no image"),
            ("logo.txt", "names no image"),
            ("gone.png", "No such file"),
            ("qr.seats", "is no text and no number"),
            ("qr.none", "is no text and no number"),
            ("qr.seats.1.code", "the data has no such value"),
        ] {
            let error = load(name).unwrap_err().why;
            assert!(error.contains(&format!("cid:{name}")) && error.contains(why), "{error}");
        }
        std::fs::write(dir.path().join("large.png"), vec![0; LARGEST + 1]).unwrap();
        assert!(load("large.png").unwrap_err().why.contains("may have 262144 bytes"));
        std::fs::write(dir.path().join("half.png"), vec![0; LARGEST - 1]).unwrap();
        assert!(load("half.png").is_ok());
        assert!(
            load("half.png\"><img src=\"cid:logo.gif").unwrap_err().why.contains("cid:logo.gif")
        );
    }

    #[test]
    fn a_text_that_is_too_long_for_a_qr_code_is_told_and_the_longest_fits_a_mail() {
        let code = |length: usize| qr("qr.x", Some(&Value::String("x".repeat(length))));
        assert!(code(2331).unwrap().len() < LARGEST / 2);
        assert_eq!(code(2332).unwrap_err().why, "cid:qr.x: the text is too long for a QR code");
    }
}
