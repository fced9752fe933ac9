//! Programs of the system that check what we wrote, where they are installed.

use std::process::Command;

/// A program of the system. Where it is missing the caller leaves its check out; not in CI.
pub fn tool(name: &str) -> Option<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} is not installed: see scripts/setup");
        eprintln!("left out, not installed: {name}");
    }
    found.map(Command::new)
}

/// Runs it; gives its standard output. It must succeed and write nothing to standard error.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && log.is_empty(), "{command:?}:\n{out}\n{log}");
    out
}

/// Runs it; it must succeed and say nothing.
pub fn assert_silent(command: &mut Command) {
    assert_eq!(run(command), "", "{command:?}");
}

/// What the QR code says that is in a PNG; its checksums must be right.
pub fn qr_code(png: &[u8]) -> String {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    reader.finish().unwrap();
    let (width, line) = (info.width as usize, info.line_size);
    let bit = |x: usize, y: usize| 255 * (pixels[y * line + x / 8] >> (7 - x % 8) & 1);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, info.height as usize, bit);
    let [code] = &image.detect_grids()[..] else { panic!("it shows no QR code, or several") };
    code.decode().unwrap().1
}
