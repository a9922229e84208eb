// The end of a process by a signal, and what must not outlive it.
#pragma once

namespace poolwise {

/// From now on `clean` runs before a signal ends the process. It may call only what is async-signal-safe. For
/// up to 8 of them, from initialisers of static variables.
bool before_death_by_signal(void (*clean)()) noexcept;

/// For a command's main(): each signal that would end the process (SIGINT, SIGTERM, SIGHUP, SIGQUIT and their
/// kin) first unlinks unfinished outputs and kills the programs that run for it, then ends it as it would have.
/// A signal that is ignored, or has a handler, keeps that.
///
/// SIGBUS from a mapped file that was cut short says so in a line on standard error, and the process exits with
/// `changed_file_code`. SIGXFSZ is ignored: the write then fails, and its error names the file.
void clean_up_on_signals(int changed_file_code);

}  // namespace poolwise
