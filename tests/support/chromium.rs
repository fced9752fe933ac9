//! A browser without a window: what a page is like at a width.

use crate::support::tools::tool;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the browser makes of a page.
#[derive(Debug)]
pub struct Seen {
    /// How wide the window is, in CSS pixels.
    pub window: u32,
    /// How wide and high what is in it is; wider than the window: it must be moved sideways.
    pub content: (u32, u32),
    /// The elements that stick out of the window to either side, as `TAG.CLASS`; what moves inside a part
    /// of the page with scroll bars of its own does not.
    pub outside: Vec<String>,
    /// What the page asked for and did not get: everything outside its own file.
    pub asked: u32,
    /// The page as it is then, as HTML.
    pub dom: String,
}

/// Measures the page when it is there, and leaves the figures in the last comment of its end.
const MEASURE: &str = r"<script>addEventListener('load', () => {
  const all = document.documentElement, within = (e) => {
    for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
      if (getComputedStyle(p).overflowX !== 'visible') return true;
    return false;
  };
  const out = [...document.body.querySelectorAll('*')].filter((e) => {
    const r = e.getBoundingClientRect();
    return r.width && (r.right > innerWidth + 0.5 || r.left < -0.5) && !within(e);
  }).map((e) => e.tagName.toLowerCase() + (e.className ? '.' + e.className : ''));
  const asked = performance.getEntriesByType('resource').length;
  const found = [innerWidth, all.scrollWidth, Math.ceil(all.getBoundingClientRect().height), asked, out.join(' ')];
  document.body.append(document.createComment('seen|' + found.join('|') + '|'));
})</script>";

/// The browser, with a profile of its own; where none is installed the caller leaves its check out.
pub struct Chromium {
    dir: tempfile::TempDir,
    program: PathBuf,
}

impl Chromium {
    /// Finds it; starts nothing.
    pub fn find() -> Option<Chromium> {
        let program = tool("chromium-headless-shell")?.get_program().into();
        Some(Chromium { dir: tempfile::tempdir().unwrap(), program })
    }

    /// Opens the HTML file in a window so many CSS pixels wide; `dark`: for a reader who prefers that.
    pub fn look(&self, page: &Path, width: u32, dark: bool) -> Seen {
        let html = std::fs::read_to_string(page).unwrap();
        let (before, end) = html.rsplit_once("</body>").expect("a page has a body");
        // Next to it, so that what it names is found.
        let measured = page.with_extension("measured.html");
        std::fs::write(&measured, format!("{before}{MEASURE}</body>{end}")).unwrap();
        let dom = self.run(&measured, (width, 900), dark, "--dump-dom");
        std::fs::remove_file(&measured).unwrap();
        let (_, found) = dom.rsplit_once("<!--seen|").expect(&dom);
        let figures: Vec<&str> = found.split('|').collect();
        let [window, wide, high, asked] = [0, 1, 2, 3].map(|at| figures[at].parse().unwrap());
        let outside = figures[4].split_whitespace().map(str::to_owned).collect();
        let dom = dom.replace(MEASURE, "");
        Seen { window, content: (wide, high), outside, asked, dom }
    }

    /// The whole page as a PNG.
    pub fn picture(&self, page: &Path, width: u32, dark: bool) -> Vec<u8> {
        let (_, height) = self.look(page, width, dark).content;
        let file = self.dir.path().join("picture.png");
        self.run(page, (width, height), dark, &format!("--screenshot={}", file.display()));
        std::fs::read(file).unwrap()
    }

    /// Runs it with these words; gives its standard output. What it says besides is about the system's
    /// message bus and the like, which it does without.
    fn run(&self, page: &Path, (width, height): (u32, u32), dark: bool, word: &str) -> String {
        let page = page.canonicalize().unwrap();
        let output = Command::new(&self.program)
            .args(["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--log-level=3"])
            .arg(format!("--user-data-dir={}", self.dir.path().join("profile").display()))
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
            // Nothing is to be loaded, and nothing may be.
            .args(["--host-resolver-rules=MAP * ~NOTFOUND", word])
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sees_what_sticks_out_and_what_is_loaded() {
        let Some(chromium) = Chromium::find() else { return };
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("page.html");
        let write = |body: &str| {
            let head = "<meta name=viewport content='width=device-width'><style>body{margin:0}\
                        @media (prefers-color-scheme: dark) {p {height: 77px; margin:0}}</style>";
            std::fs::write(&page, format!("<!DOCTYPE html>{head}<body>{body}</body>")).unwrap();
        };
        write(
            "<p>fits</p><div style='overflow:auto'><i style='display:block;width:900px'>x</i></div>",
        );
        let seen = chromium.look(&page, 360, false);
        assert_eq!((seen.window, seen.content.0, seen.asked), (360, 360, 0), "{seen:?}");
        assert!(seen.outside.is_empty() && seen.dom.contains("fits"), "{seen:?}");
        let (light, dark) = (seen.content.1, chromium.look(&page, 360, true).content.1);
        assert!(light < dark, "{light} {dark}");
        write(
            "<b class=wide style='display:block;width:400px'>wide</b><img src='https://a.example/b'>",
        );
        let seen = chromium.look(&page, 360, false);
        assert_eq!((seen.content.0, seen.asked), (400, 1), "{seen:?}");
        assert_eq!(seen.outside, ["b.wide"]);
        let picture = chromium.picture(&page, 1200, false);
        assert_eq!(&picture[1..4], b"PNG");
        assert_eq!(picture[16..20], 1200u32.to_be_bytes());
    }
}
