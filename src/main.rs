//! The process: the only place that ends it and that prints a fatal error.

use mailroom::edges::log;
use mailroom::mail::error::Kind;
use mailroom::ops::cli::help::COMMANDS;
use mailroom::ops::cmd;
use std::process::ExitCode;

/// musl's own allocator gives memory back to the kernel after almost every batch and asks for it
/// again before the next: half the system calls of a drain.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        // The payload may hold data; the place is enough to find the fault.
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        log::error("RUN", format_args!("a fault in mailroom itself at {place}; please report it"));
        std::process::exit(Kind::Bug as i32);
    }));
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let known = words.iter().find_map(|word| COMMANDS.iter().find(|command| word == command.name));
    let command = known.map(|command| command.name).unwrap_or_default();
    match cmd::main(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A daemon's last line is one of its log, which has times and parts of the program.
            let daemon = ["collect", "send", "run"].contains(&command);
            for line in error.message.lines() {
                match daemon && error.kind != Kind::Usage {
                    true => log::error(&command.to_ascii_uppercase(), line),
                    false => log::end(line),
                }
            }
            if error.kind == Kind::Usage {
                let known = known.filter(|known| known.name != "help");
                let of = known.map(|known| format!(" {}", known.name)).unwrap_or_default();
                log::end(format_args!("see `mailroom help{of}`"));
            }
            ExitCode::from(error.kind as u8)
        }
    }
}
